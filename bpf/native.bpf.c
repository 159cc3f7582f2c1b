/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The native walker: program counter -> frame word -> unwind rule -> caller.
 *
 * At 99 Hz the caches belong to the workload, so each step is made to touch few lines. Rules are
 * found in `rule_cache`, which holds (frame word, rule) pairs in the order walks met them: the
 * frame after this one is predicted to be the next pair, so that a known path is read
 * sequentially. Only a frame off the path goes through the index, and only a frame never seen is
 * searched for in its page of rows.
 */
#include "bpf/unwind.bpf.h"

#define WALK_ENV struct cpu_state

/* What is seldom needed is in functions of its own: the others' code then lies close together, and
 * fewer lines of it must be fetched. */
int native_rare(u32 cpu, u64 rule);
#define WALK_APPLY_RARE(c, r, rule) native_rare((c)->cpu, rule)

#include "bpf/window.bpf.h"
#include "bpf/walk.h"

struct rule_pair {
	u64 frame;
	u64 rule;
};

#define RULE_INDEX_SIZE 65536

struct rule_cache_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* a power of two, set by user space */
	__type(key, u32);
	__type(value, struct rule_pair);
} rule_cache SEC(".maps");

struct rule_index_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RULE_INDEX_SIZE);
	__type(key, u32);
	__type(value, u64); /* array elements are rounded up to 8 bytes anyway */
} rule_index SEC(".maps");

struct pages_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct page_key);
	__type(value, struct page_value);
} pages SEC(".maps");

/* The loaded pages. A chunk is an element, so that a page is one address and offsets in it. */
struct rows_pool_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct rows_chunk);
} rows_pool SEC(".maps");

static __always_inline u32 rule_slot_of(u64 frame)
{
	return (frame * 0x9e3779b97f4a7c15ULL) >> 48 & (RULE_INDEX_SIZE - 1);
}

static __always_inline u16 chunk_u16(const struct rows_chunk *chunk, u32 offset)
{
	return *(const u16 *)(chunk->bytes + (offset & (ROWS_CHUNK_BYTES - 2)));
}

/* The rule of an offset in a loaded page: the last row that does not begin behind it. */
static __always_inline u64 page_search(const struct rows_chunk *chunk, u32 base, u32 n_rows, u16 pc)
{
	u32 lo = 0, n = n_rows, index;

	/* 2^14 = ROWS_MAX rows. */
	for (int step = 0; step < 15; step++) {
		u32 half = n >> 1;

		if (!half)
			break;
		if (chunk_u16(chunk, ROWS_STARTS(base) + 2 * (lo + half)) <= pc)
			lo += half;
		n -= half;
	}
	index = chunk_u16(chunk, ROWS_INDICES(base, n_rows) + 2 * lo);
	return *(const u64 *)(chunk->bytes +
			      ((ROWS_RULES(base, n_rows) + 8 * index) & (ROWS_CHUNK_BYTES - 8)));
}

/* Finds the rule in the page of rows; 0 when the page is not loaded. */
static __always_inline int rule_search(struct cpu_state *c, u64 frame, u64 *ret)
{
	struct page_key key = {
		.file = FRAME_FILE(frame),
		.page = FRAME_OFFSET(frame) >> ROWS_PAGE_SHIFT,
	};
	struct page_value *page = bpf_map_lookup_elem(&pages, &key);
	struct rows_chunk *chunk;
	u32 element;

	if (!page)
		return 0;
	element = page->offset / ROWS_CHUNK_BYTES;
	chunk = bpf_map_lookup_elem(&rows_pool, &element);
	if (!chunk)
		return 0;
	c->stats[STAT_RULE_SEARCHED]++;
	page->used = 1;
	*ret = page_search(chunk, page->offset & (ROWS_CHUNK_BYTES - 1), page->n_rows,
			   (u16)FRAME_OFFSET(frame));
	return 1;
}

/*
 * A pair is replaced, by the CPU it belongs to, in the order frame = 0, rule, frame; who reads
 * frame, rule, frame again and sees the same frame twice has the rule that belongs to it.
 */
static __always_inline int pair_get(const volatile struct rule_pair *p, u64 frame, u64 *ret)
{
	u64 rule;

	if (p->frame != frame)
		return 0;
	rule = p->rule;
	barrier();
	if (p->frame != frame)
		return 0;
	*ret = rule;
	return 1;
}

static __always_inline void rule_remember(struct cpu_state *c, u64 frame, u64 rule)
{
	u32 slot = rule_slot_of(frame);
	u64 *index = bpf_map_lookup_elem(&rule_index, &slot);
	/* Each CPU fills a part of its own, so that no two write the same pair; all read all. */
	u32 part = (rule_cache_mask + 1) / n_cpus;
	u32 at = c->cpu * part + c->rules_kept++ % (part ?: 1);
	volatile struct rule_pair *p = bpf_map_lookup_elem(&rule_cache, &at);

	if (!p || !index)
		return;
	p->frame = 0;
	barrier();
	p->rule = rule;
	barrier();
	p->frame = frame;
	*index = at;
	c->next_rule = at + 1;
}

/* A frame that no walk has met: 0 when its rows are not loaded; else its rule is in c->rule. */
__noinline int rule_learn(u32 cpu, u64 frame)
{
	struct cpu_state *c = cpu_state_of(cpu);

	if (!c || !rule_search(c, frame, &c->rule))
		return 0;
	rule_remember(c, frame, c->rule);
	return 1;
}

/* 0 when the rows of this place are not loaded. */
static __always_inline int rule_find(struct cpu_state *c, u64 frame, u64 *ret)
{
	struct rule_pair *p;
	u32 at, slot;
	u64 *index;

	if (c->next_rule) {
		at = c->next_rule & rule_cache_mask;
		p = bpf_map_lookup_elem(&rule_cache, &at);
		if (p && pair_get(p, frame, ret)) {
			c->next_rule = at + 1;
			return 1;
		}
	}
	slot = rule_slot_of(frame);
	index = bpf_map_lookup_elem(&rule_index, &slot);
	if (!index)
		return 0;
	at = *index & rule_cache_mask;
	p = bpf_map_lookup_elem(&rule_cache, &at);
	if (p && pair_get(p, frame, ret)) {
		c->stats[STAT_RULE_HASHED]++;
		c->next_rule = at + 1;
		return 1;
	}
	if (!rule_learn(c->cpu, frame))
		return 0;
	*ret = c->rule;
	return 1;
}

static __always_inline int walk_done(struct cpu_state *c, u32 outcome, u32 reason)
{
	c->result = outcome;
	c->reason = reason;
	return 1;
}

/* The range that holds pc: the same as the last frame's, one met before, or a new one. */
static __always_inline struct range *range_find(struct cpu_state *c, u32 cpu, u64 pc)
{
	struct range *range = &c->ranges[c->current_range & (WALK_RANGES - 1)];
	int found;

	if (pc - range->start < range->size)
		return range;
	for (u32 i = 0; i < WALK_RANGES; i++) {
		if (i >= c->n_ranges)
			break;
		range = &c->ranges[i];
		if (pc - range->start < range->size) {
			c->current_range = i;
			return range;
		}
	}
	found = vma_resolve(cpu, pc);
	if (found < 0)
		return NULL;
	c->current_range = found;
	return &c->ranges[found & (WALK_RANGES - 1)];
}

static __always_inline void push_frame(struct cpu_state *c, u64 frame)
{
	c->n_frames++;
	push_word(c, frame);
}

__noinline int native_rare(u32 cpu, u64 rule)
{
	struct cpu_state *c = cpu_state_of(cpu);

	return c ? walk_apply_rare(c, &c->r, rule) : -REASON_NO_RULE;
}

/* Replaces the registers by the caller's. */
static __always_inline int go_to_caller(struct cpu_state *c, u64 rule, int bad)
{
	int r = walk_rule(c, &c->r, rule);

	if (r == WALK_END)
		return walk_done(c, OUTCOME_COMPLETE, REASON_NONE);
	if (r < 0)
		return walk_done(c, OUTCOME_CUT, bad ? REASON_FILE_BAD : -r);
	return 0;
}

static __always_inline void loop_enter(struct cpu_state *c, const struct range *range, u64 frame,
				       u64 rule)
{
	c->loop.frame = frame;
	c->loop.rule = rule;
	if (walk_frame_end(c, &c->r, rule, &c->loop.end))
		c->loop.end = 0;
	c->loop.load = range->start - FRAME_OFFSET(range->first_frame);
	c->loop.file = range->file;
	c->thread_pointer = arch_thread_pointer();
	c->mode = range->runtime;
}

/* The frame of c->r.pc and its rule. Nonzero: the walk goes on otherwise, or has ended: *ret. */
static __always_inline int native_frame(struct cpu_state *c, u32 cpu, u64 *ret_rule, int *ret_bad,
					int *ret)
{
	struct range *range;
	u64 pc = c->r.pc - !c->r.is_leaf, frame, rows;
	u32 state;

	range = range_find(c, cpu, pc);
	/* In a system call whose code is not mapped: execve() has taken the address space away. */
	if (!range) {
		*ret = walk_done(c, OUTCOME_CUT,
				 c->n_user == 0 && c->in_kernel ? REASON_EXEC : REASON_NO_MAPPING);
		return 1;
	}
	*ret = 0;
	if (range->file == FILE_ID_ANON && c->not_managed != c->r.pc) {
		if (!c->process_runtime && !process_find(cpu) && code_claimed(cpu))
			return 1;
		if (!c->process_runtime) {
			*ret = walk_done(c, OUTCOME_LATE, REASON_NONE);
			return 1;
		}
		c->mode = c->process_runtime - 1;
		c->loop.frame = 0;
		if (c->mode)
			return 1;
	}
	frame = rows = range->first_frame + (pc - range->start);
	state = range->state;
	if (range->file == FILE_ID_ANON && pc - c->code_start < c->code_size) {
		rows = FRAME_OF_FILE(c->code_file, pc - c->code_start);
		state = RANGE_ROWS;
	}
	*ret_bad = range->state == RANGE_BAD;
	*ret_rule = *ret_bad ? RULE_BASE(RULE_INVALID, 0, 0) : RULE_FP_GUESS;
	if (state == RANGE_PENDING || (state == RANGE_ROWS && !rule_find(c, rows, ret_rule))) {
		c->blocked = rows;
		*ret = walk_done(c, OUTCOME_LATE, REASON_NONE);
		return 1;
	}
	if (RULE_KIND(*ret_rule) == RULE_LOOP && range->runtime) {
		loop_enter(c, range, frame, *ret_rule);
		return 1;
	}
	push_frame(c, frame);
	return 0;
}

__noinline int native_step(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u64 rule;
	int bad = 0, r;

	if (!c)
		return 1;
	if (c->loop.leaving) {
		c->loop.leaving = 0;
		rule = c->loop.rule;
		if (keep_loops)
			push_frame(c, c->loop.frame);
	} else if (native_frame(c, cpu, &rule, &bad, &r)) {
		return r;
	}
	return go_to_caller(c, rule, bad);
}
