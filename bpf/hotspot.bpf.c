/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HotSpot, the kernel half: one step through Java code a call. What is known of the process comes
 * from user space (hotspot_procs, see unwinders/hotspot.c for why); which code blob a pc lies in is
 * read from the JVM's segment map, and remembered for as long as its header and the block in front
 * of it say that it is still the same one (bpf/hotspot_memo.bpf.h).
 *
 * Each kind of frame is a function of its own, so that the verifier looks at one at a time.
 */
#include "bpf/hotspot.bpf.h"

static int method_const_get(struct cpu_state *c, struct hotspot_walk *h, u64 method, u64 bcp,
			    u64 bcp2, u64 *ret);
#define HOTSPOT_METHOD_CONST method_const_get
int hotspot_step_thawing(u32 cpu);
#define HOTSPOT_THAWING(c, h, r) hotspot_step_thawing((c)->cpu)

#include "bpf/hotspot_walk.h"
#include "bpf/hotspot_memo.bpf.h"

struct hotspot_files_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64); /* nobody reads it here; the agent keeps files in maps */
	__type(key, u32);
	__type(value, struct hotspot_file);
} hotspot_files SEC(".maps");

struct hotspot_procs_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 3072);
	__type(key, struct process_key);
	__type(value, struct hotspot_proc);
} hotspot_procs SEC(".maps");

struct hotspot_cpus_map hotspot_cpus SEC(".maps");

/* From now on the names of its interpreted methods are others. */
static __noinline int hotspot_unloads(struct hotspot_state *s)
{
	struct hotspot_proc *p = bpf_map_lookup_elem(&hotspot_procs, &s->key);

	s->walk.p.unloaded_seen = s->walk.unloaded;
	s->walk.p.unloaded_ns = bpf_ktime_get_ns();
	if (p) {
		p->unloaded_seen = s->walk.p.unloaded_seen;
		p->unloaded_ns = s->walk.p.unloaded_ns;
	}
	return 0;
}

/* The JVM's counter is a read as any other, but nobody else needs its page: beside an application
 * it takes 1.7 us to come to it. */
__noinline int hotspot_count(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	if (!c || !s)
		return 0;
	hotspot_count_unloaded(c, &s->walk);
	if (s->walk.unloaded != s->walk.p.unloaded_seen)
		hotspot_unloads(s);
	s->counted = c->serial;
	return 0;
}

/* Takes what is known of the process for this sample. 0: nothing any more, user space attaches
 * again. */
__noinline int hotspot_begin(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);
	u64 now = bpf_ktime_get_ns();
	u32 epoch = process_epoch, tick = now >> BELIEVED_SHIFT;
	struct hotspot_proc *p;

	if (!c || !s)
		return 0;
	/* Mostly the same process as in the last sample that came here. */
	if (!s->valid || s->epoch != epoch || s->key.tgid != c->id.tgid || s->key.mm != c->id.mm) {
		s->valid = 0;
		s->epoch = epoch;
		s->key.tgid = c->id.tgid;
		s->key.mm = c->id.mm;
		p = bpf_map_lookup_elem(&hotspot_procs, &s->key);
		if (!p)
			return 0;
		s->walk.p = *p;
		s->valid = 1;
		s->tick = ~tick;
	}
	s->walk.chunk.end = 0;
	s->walk.b.bytes = 0;
	if (s->tick != tick || now - s->walk.p.unloaded_ns < QUIET_NS)
		hotspot_count(cpu);
	s->tick = tick;
	s->stamp = stamp_of(c, s);
	s->serial = c->serial;
	s->first = c->n_kernel + c->n_user;
	runtime_count(c, RUNTIME_HOTSPOT, HOTSPOT_STAT_ATTEMPTS);
	return 1;
}

__noinline int hotspot_search(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	if (!c || !s)
		return HOTSPOT_REASON_BLOB;
	runtime_count(c, RUNTIME_HOTSPOT, HOTSPOT_STAT_BLOBS);
	return hotspot_blob_find(c, &s->walk, c->r.pc - !c->r.is_leaf);
}

/* Reads the Method and remembers it, after hotspot_count(). 0, or it is none. */
__noinline int hotspot_learn_method(u32 cpu, u64 method)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);
	struct hotspot_method_memo *m;
	u16 bytes = 0;

	if (!c || !s)
		return 1;
	m = method_memo(c, s, method);
	m->mm = 0;
	if (hotspot_const_read(c, &s->walk, method, &m->method_const))
		return 1;
	if (s->walk.p.at[HF_CONST_CODE_SIZE] != HOTSPOT_NONE &&
	    walk_read(c, m->method_const + s->walk.p.at[HF_CONST_CODE_SIZE], &bytes, 2))
		return 1;
	m->codes = m->method_const + s->walk.p.bytes[HT_CONST_METHOD];
	m->bytes = bytes;
	m->method = method;
	m->unloaded = s->walk.unloaded;
	m->stays = hotspot_method_stays(c, &s->walk, m->method_const);
	m->mm = c->mm;
	s->learned = 1;
	s->record.method = method;
	s->record.method_const = m->method_const;
	s->record.code_bytes = bytes;
	s->record.cookie = m->stays ? hotspot_staying_cookie(m->method_const)
				    : hotspot_method_cookie(m->method_const, m->unloaded);
	return 0;
}

static __always_inline int method_const_get(struct cpu_state *c, struct hotspot_walk *h, u64 method,
					    u64 bcp, u64 bcp2, u64 *ret)
{
	struct hotspot_state *s = state_of(c->cpu);
	struct hotspot_method_memo *m;
	int fits;

	if (!s)
		return 1;
	m = method_memo(c, s, method);
	fits = method_fits(m, c->mm, method) &&
	       (bcp - m->codes < m->bytes || bcp2 - m->codes < m->bytes);
	if (!(fits && m->stays) && s->counted != (u32)c->serial)
		hotspot_count(c->cpu);
	if (!(fits && (m->stays || m->unloaded == h->unloaded)) &&
	    hotspot_learn_method(c->cpu, method))
		return 1;
	m->seen = c->serial;
	*ret = m->method_const;
	h->stays = m->stays;
	return 0;
}

/* The blob of the pc into walk.b: that of the frame before, remembered, or searched for. 0 or a
 * reason. */
static __always_inline int blob_get(struct cpu_state *c, u32 cpu, struct hotspot_state *s, u64 pc)
{
	struct hotspot_memo *m;
	int r;

	if (pc - s->walk.b.at < s->walk.b.bytes)
		return 0;
	m = memo_of(c, s, pc);
	if (blob_remembered(c, s, m, pc))
		return 0;
	r = hotspot_search(cpu);
	if (r) {
		s->walk.b.bytes = 0; /* it may be half of one */
		return r;
	}
	m->mm = walk_read(c, s->walk.b.at - s->walk.p.bytes[HT_BLOCK], &m->block, 4) ? 0 : c->mm;
	m->seen = c->serial;
	m->blob = s->walk.b;
	m->blob.proof = proof_of(c, s, pc);
	return 0;
}

__noinline int hotspot_step_leaf(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_compiled_leaf(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_step_pushed(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_compiled_pushed(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_step_interpreted_leaf(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_interpreted_leaf(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_step_thawing(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_thawing(c, &s->walk, &c->r) : HOTSPOT_REASON_STUB;
}

__noinline int hotspot_step_stub(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_stub(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_step_stub_leaf(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_stub_leaf(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_step_stub_lost(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_stub_lost(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_step_chunk(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_chunk_step(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

__noinline int hotspot_open_chunk(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	if (!c || !s)
		return HOTSPOT_REASON_BLOB;
	s->walk.chunk.above = (c->n_kernel + c->n_user - s->first) / 2;
	for (u32 i = 0; i < 4; i++)
		s->walk.chunk.top[i] = c->frames[(s->first + i) & (FRAMES_ROOM - 1)];
	return hotspot_chunk_open(c, &s->walk, &c->r);
}

__noinline int hotspot_next_chunk(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);

	return c && s ? hotspot_chunk_next(c, &s->walk, &c->r) : HOTSPOT_REASON_BLOB;
}

/* On the stack. 0 or a reason. */
static __always_inline int step(struct cpu_state *c, u32 cpu, struct hotspot_walk *h)
{
	u32 kind = h->b.kind;
	u64 fp;
	int reason;

	if (kind == HOTSPOT_BLOB_INTERPRETER) {
		if (c->r.is_leaf)
			return hotspot_step_interpreted_leaf(cpu);
		if (hotspot_rbp(c, &c->r, &fp))
			return HOTSPOT_REASON_STACK;
		return hotspot_interpreted(c, h, &c->r, fp, 0);
	}
	if (kind == HOTSPOT_BLOB_NMETHOD || kind == HOTSPOT_BLOB_NATIVE) {
		reason = c->r.is_leaf ? hotspot_step_leaf(cpu) : hotspot_compiled(c, h, &c->r);
		return reason == HOTSPOT_REASON_CHAIN ? hotspot_step_pushed(cpu) : reason;
	}
	if (!c->r.is_leaf)
		return hotspot_step_stub(cpu);
	reason = hotspot_step_stub_leaf(cpu);
	return reason == HOTSPOT_REASON_STUB ? hotspot_step_stub_lost(cpu) : reason;
}

/* The frame of walk.b, wherever it lies. 0 or a reason. */
static __always_inline int step_anywhere(struct cpu_state *c, u32 cpu, struct hotspot_walk *h)
{
	int reason;

	if (h->chunk.end) {
		reason = hotspot_step_chunk(cpu);
	} else {
		h->chunk.ended = 0;
		reason = step(c, cpu, h);
		if (reason == HOTSPOT_REASON_FROZEN)
			reason = hotspot_open_chunk(cpu);
	}
	return !reason && h->chunk.ended ? hotspot_next_chunk(cpu) : reason;
}

static __always_inline void frame_push(struct cpu_state *c, const struct hotspot_walk *h)
{
	push_managed(c, RUNTIME_HOTSPOT, h->value, h->more);
	runtime_count(c, RUNTIME_HOTSPOT, HOTSPOT_STAT_FRAMES);
	c->wake = 1;
	if (HOTSPOT_KIND(h->value) == HOTSPOT_COMPILED)
		c->code_from = h->p.unloaded_ns;
}

/* Callers whose code was met before, which most are: a few in a row, as the time goes into what is
 * around them else. Whatever is the least special is left to the next step. */
#define COMPILED_STEP 8

static __always_inline void step_callers(struct cpu_state *c, struct hotspot_state *s)
{
	struct hotspot_walk *h = &s->walk;

	for (int i = 0; i < COMPILED_STEP; i++) {
		u64 pc = c->r.pc - 1;

		if (stack_is_full(c) ||
		    (pc - h->b.at >= h->b.bytes && !blob_remembered(c, s, memo_of(c, s, pc), pc)) ||
		    h->b.kind != HOTSPOT_BLOB_NMETHOD || hotspot_is_deopt(&h->b, pc + 1) ||
		    hotspot_leave(c, h, &c->r, c->r.sp + h->b.frame))
			break;
		h->value = HOTSPOT_VALUE(HOTSPOT_COMPILED, h->b.at);
		h->more = HOTSPOT_MORE(h->b.cookie, pc + 1 - h->b.at);
		frame_push(c, h);
	}
}

/* One frame of Java code, or out of it. */
__noinline int hotspot_step(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct hotspot_state *s = state_of(cpu);
	u64 pc;
	int reason;

	if (!c || !s)
		return 1;
	if (s->serial != c->serial && !hotspot_begin(cpu)) {
		c->result = OUTCOME_LATE;
		return 1;
	}
	pc = c->r.pc - !c->r.is_leaf;
	if (!hotspot_in_heap(&s->walk, pc)) {
		not_managed(c);
		return 0;
	}
	s->walk.value = 0;
	reason = blob_get(c, cpu, s, pc);
	if (!reason)
		reason = step_anywhere(c, cpu, &s->walk);
	else if (s->walk.chunk.end)
		reason = hotspot_chunk_fail(&s->walk, &c->r);
	if (s->learned) {
		s->learned = 0;
		/* Of what was met before since then, user space has the names. */
		if (hotspot_tell(cpu) && !s->walk.stays)
			c->names_from = s->walk.p.unloaded_ns;
	}
	if (s->walk.value)
		frame_push(c, &s->walk);
	if (!reason) {
		if (!c->r.is_leaf && !s->walk.chunk.end &&
		    HOTSPOT_KIND(s->walk.value) == HOTSPOT_COMPILED)
			step_callers(c, s);
		return 0;
	}
	push_runtime_reason(c, RUNTIME_HOTSPOT, reason);
	runtime_count(c, RUNTIME_HOTSPOT, reason);
	if (reason == HOTSPOT_REASON_FROZEN || reason == HOTSPOT_REASON_THAWING)
		return 0;
	c->result = OUTCOME_COMPLETE; /* the reason is in place: c->gap */
	return 1;
}

/* Nothing can be said of its code before user space has read where it is. */
__noinline int hotspot_claims(u32 cpu)
{
	return 0;
}

/* Java's frames are found on the stack: nothing to take along. */
__noinline int hotspot_capture(u32 cpu)
{
	return 0;
}
