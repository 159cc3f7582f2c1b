/* SPDX-License-Identifier: Apache-2.0 */
#include "unwinders/native.h"

#include <errno.h>
#include <string.h>

#include "bpf/runtimes.h"

#define WALK_ENV const struct native_walk

static int walk_read8(const struct native_walk *w, __u64 addr, __u64 *v)
{
	return native_read(w, addr, v, 8);
}

static int walk_read16(const struct native_walk *w, __u64 addr, __u64 *v)
{
	return walk_read8(w, addr, &v[0]) || walk_read8(w, addr + 8, &v[1]);
}

#include "bpf/walk.h"

static const struct range *find_range(const struct native_walk *w, uint64_t pc)
{
	for (uint32_t i = 0; i < w->n_ranges; i++) {
		if (pc - w->ranges[i].start < w->ranges[i].size)
			return &w->ranges[i];
	}
	return NULL;
}

static int cut(struct native_walk *w, enum reason reason)
{
	w->reason = reason;
	return 0;
}

/* Stacks are not larger than this, mostly: a guess that points further away is none. */
#define STACK_REACH (8u << 20)

/* Memory beyond the copy is not unreadable, it is just not here. */
static int cut_by_walk(struct native_walk *w, int reason)
{
	uint64_t rbp = w->regs.regs[SLOT_RBP], end = w->stack_start + w->stack_bytes;
	bool beyond = reason == REASON_STACK_UNREADABLE;
	/* A copy that is as long as a record takes was cut there. */
	bool small = w->stack_bytes > LATE_SMALL_BYTES - 4096 && w->stack_bytes <= LATE_SMALL_BYTES;
	bool whole = !small && w->stack_bytes <= LATE_STACK_BYTES - 4096;

	if (reason == REASON_BAD_FRAME_POINTER)
		beyond = !(rbp & 7) && rbp + 16 - end < STACK_REACH;
	return cut(w, beyond && !whole ? REASON_COPY_TOO_SHORT : (enum reason)reason);
}

int native_read(const struct native_walk *w, uint64_t addr, void *to, size_t n)
{
	uint64_t off = addr - w->stack_start;

	if (off >= w->stack_bytes || w->stack_bytes - off < n)
		return 1;
	memcpy(to, w->stack + off, n);
	return 0;
}

/* What does not fit ends the walk: nothing behind it is pushed. */
static bool has_room(struct native_walk *w, uint32_t words)
{
	if (w->n_frames + words > w->max_frames)
		w->full = true;
	return !w->full;
}

static void push(struct native_walk *w, uint64_t word)
{
	if (has_room(w, 1))
		w->frames[w->n_frames++] = word;
}

void native_push(struct native_walk *w, uint32_t runtime, uint64_t value, uint64_t more)
{
	w->depth++;
	/* Both words or none. */
	if (!has_room(w, 2))
		return;
	push(w, FRAME_OF_RUNTIME(runtime, value & RUNTIME_VALUE_MASK));
	push(w, FRAME(FRAME_MORE, more));
}

void native_push_code(struct native_walk *w)
{
	uint64_t pc = w->regs.pc - !w->regs.is_leaf;
	const struct range *range = find_range(w, pc);

	w->depth++;
	push(w, range ? range->first_frame + (pc - range->start) : FRAME(FRAME_ANON, pc));
}

void native_push_reason(struct native_walk *w, uint32_t runtime, uint32_t code)
{
	w->gap = true;
	push(w, RUNTIME_REASON(runtime, code));
}

/* Do the captured frames that are next belong to this native frame of a loop? It may have made none
 * yet, or has left the last one; then they are of a frame above. */
static bool is_loop_of(struct native_walk *w, uint64_t rule)
{
	uint64_t at;
	uint32_t i = w->loops_at;
	__u64 end;

	while (i < w->n_loops && FRAME_KIND(w->loops[i]) != FRAME_NONE)
		i++;
	if (i >= w->n_loops || !w->loops[i] || walk_frame_end(w, &w->regs, rule, &end))
		return true;
	at = w->loops[i] & FRAME_PAYLOAD;
	return at - w->regs.sp < end - w->regs.sp;
}

/* The captured frames of one activation of an interpreter's loop. */
static void push_loop(struct native_walk *w, uint32_t runtime, uint64_t rule)
{
	if (!is_loop_of(w, rule))
		return;
	while (w->loops_at < w->n_loops) {
		uint64_t word = w->loops[w->loops_at++];

		if (FRAME_KIND(word) == FRAME_NONE)
			return;
		w->depth += FRAME_KIND(word) == FRAME_MANAGED;
		w->gap |= FRAME_KIND(word) == FRAME_REASON;
		if (FRAME_KIND(word) != FRAME_MANAGED || has_room(w, 2))
			push(w, word);
	}
	/* None were captured, or not all. */
	native_push_reason(w, runtime, RUNTIME_REASON_UNSEEN);
}

/* What step() says when the walk ends: cut() leaves the reason, the others are native_walk()'s. */
#define GO_ON 2

/* Code without a file: a runtime's, or -ENOENT. */
static int code_step(struct native_walk *w, const struct native_ops *ops, void *data,
		     uint64_t frame)
{
	int r = ops->code_step ? ops->code_step(data, w) : -ENOENT;

	if (r == -EIO)
		return cut(w, REASON_NONE);
	if (r == -EAGAIN)
		w->blocked = frame;
	return r == 0 ? GO_ON : r;
}

/* The rule of a frame; *ret_bad: of a file that could not be read. 0 or -EAGAIN. */
static int get_rule(struct native_walk *w, const struct native_ops *ops, void *data, uint64_t frame,
		    uint64_t *ret, bool *ret_bad)
{
	bool anon = FRAME_KIND(frame) == FRAME_ANON;
	int r = anon ? ops->code_rule(data, frame & FRAME_PAYLOAD, ret)
		     : ops->rule(data, frame, ret);

	if (r == -EAGAIN) {
		w->blocked = frame;
		return r;
	}
	*ret_bad = r == -EBADMSG;
	if (r < 0)
		*ret = *ret_bad ? RULE_BASE(RULE_INVALID, 0, 0) : RULE_FP_GUESS;
	return 0;
}

static void push_frame(struct native_walk *w, const struct native_ops *ops, void *data,
		       uint64_t frame, uint64_t rule)
{
	uint32_t runtime = 0;

	if (RULE_KIND(rule) == RULE_LOOP && ops->runtime_of)
		runtime = ops->runtime_of(data, frame);
	if (runtime)
		push_loop(w, runtime, rule);
	if (runtime && !ops->keep_loops)
		return;
	w->depth++;
	push(w, frame);
}

static int step(struct native_walk *w, const struct native_ops *ops, void *data)
{
	uint64_t pc = w->regs.pc - !w->regs.is_leaf, frame, rule = RULE_FP_GUESS;
	const struct range *range = find_range(w, pc);
	bool bad = false;
	int r;

	if (!range) /* a record with all its ranges in use may lack this one */
		return cut(w,
			   w->n_ranges < WALK_RANGES ? REASON_NO_MAPPING : REASON_COPY_TOO_SHORT);
	if (w->depth >= w->limit || w->n_frames >= w->max_frames || w->full)
		return cut(w, REASON_TOO_DEEP);
	frame = range->first_frame + (pc - range->start);
	if (range->file == FILE_ID_ANON) {
		r = code_step(w, ops, data, frame);
		if (r != -ENOENT)
			return r;
	}
	if (range->file == FILE_ID_ANON ? ops->code_rule != NULL : range->state != RANGE_FP) {
		r = get_rule(w, ops, data, frame, &rule, &bad);
		if (r < 0)
			return r;
	}
	push_frame(w, ops, data, frame, rule);
	r = walk_rule(w, &w->regs, rule);
	if (r == WALK_END)
		return 1;
	if (r < 0)
		return bad ? cut(w, REASON_FILE_BAD) : cut_by_walk(w, -r);
	return GO_ON;
}

int native_walk(struct native_walk *w, const struct native_ops *ops, void *data)
{
	int r;

	do {
		r = step(w, ops, data);
	} while (r == GO_ON);
	return r == 1 && w->full ? cut(w, REASON_TOO_DEEP) : r;
}

uint64_t native_pac_mask(void)
{
#ifdef __aarch64__
	/*
	 * The kernel's choice of address bits, told by the instruction that strips a code: all bits
	 * below the one that tells user space from the kernel (55) go in, the address comes out.
	 * xpaclri is a hint; what does not know pointer authentication leaves x30 as it is (Arm
	 * Architecture Reference Manual, C6, XPACD, XPACI, XPACLRI).
	 */
	uint64_t all = (1ULL << 55) - 1, stripped = all;

	__asm__("mov x30, %0\n\thint #7\n\tmov %0, x30" : "+r"(stripped) : : "x30");
	return all & ~stripped;
#else
	return 0;
#endif
}
