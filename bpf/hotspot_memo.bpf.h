/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a CPU remembers of HotSpot's methods and code heaps and when it believes it: a part of
 * hotspot.bpf.c. */
#pragma once

#include "bpf/hotspot.bpf.h"

static __always_inline int method_fits(const struct hotspot_method_memo *m, u64 mm, u64 method)
{
	return m->method == method && m->mm == mm;
}

/* Where the Method is remembered, or will be. */
static __always_inline struct hotspot_method_memo *method_memo(struct cpu_state *c,
							       struct hotspot_state *s, u64 method)
{
	u64 set = (method ^ c->mm >> 6) * 0x9e3779b97f4a7c15ULL >> 48 & (METHOD_SETS - 1);
	struct hotspot_method_memo *m = &s->methods[set][0], *other = &s->methods[set][1];

	return SECOND_OF_TWO(method_fits(m, c->mm, method), method_fits(other, c->mm, method), m,
			     other, c->serial)
		       ? other
		       : m;
}

/*
 * Is this blob still there? When it was freed, its header may be all that is left as it was: the
 * heap gives away what lies behind it first (CodeHeap::search_freelist()); or what lies before it,
 * which ends in its header. So the block's length and whether it is in use are looked at, too.
 */
static __always_inline int blob_is_there(struct cpu_state *c, struct hotspot_walk *h,
					 const struct hotspot_memo *m)
{
	u32 before = h->p.bytes[HT_BLOCK], check = before + hotspot_blob_check(h, &m->blob);
	u32 used = hotspot_used_at(&h->p);

	if (check > HOTSPOT_HEADER_BYTES - 4 || used >= before ||
	    walk_read(c, m->blob.at - before, h->header, check + 4))
		return 0;
	return h->header[used & (HOTSPOT_HEADER_BYTES - 1)] &&
	       hotspot_header_u32(h, 0) == m->block &&
	       hotspot_header_u32(h, check) == m->blob.cookie;
}

static __always_inline int memo_fits(const struct hotspot_memo *m, u64 mm, u64 pc)
{
	return m->mm == mm && pc - m->blob.at < m->blob.bytes;
}

/* What this CPU remembers of the place; or, of two that do not fit, the one to forget. */
static __always_inline struct hotspot_memo *memo_of(struct cpu_state *c, struct hotspot_state *s,
						    u64 pc)
{
	u64 set = (pc >> MEMO_SHIFT ^ c->mm >> 6) * 0x9e3779b97f4a7c15ULL >> 48 & (MEMO_SETS - 1);
	struct hotspot_memo *m = &s->memos[set][0], *other = &s->memos[set][1];

	return SECOND_OF_TWO(memo_fits(m, c->mm, pc), memo_fits(other, c->mm, pc), m, other,
			     c->serial)
		       ? other
		       : m;
}

/* How long a blob is believed in without a look at it, and the number of classes that are gone, at
 * the most; the latter when none has gone for so long. */
#define BELIEVED_SHIFT 27	    /* 134 ms */
#define QUIET_NS       (1ULL << 34) /* 17 s */

/* Of the thread and the moment: the same in its next samples, for so long. */
static __always_inline u32 stamp_of(const struct cpu_state *c, const struct hotspot_state *s)
{
	/* A JVM that does not count its classes: good for this sample alone. */
	u64 moment = s->walk.p.unloaded ? s->tick : c->serial;
	u64 h = stack_hash(STACK_HASH_SEED, (u32)bpf_get_current_pid_tgid());

	return (u32)stack_hash(stack_hash(h, s->walk.unloaded), moment);
}

/* Of the frame that the walk is at. */
static __always_inline u32 proof_of(const struct cpu_state *c, const struct hotspot_state *s,
				    u64 pc)
{
	return (u32)stack_hash(stack_hash(s->stamp, c->r.sp), pc);
}

/*
 * The blob of the pc into walk.b, if it is remembered and still there.
 *
 * Code that a frame runs stays where it is: what was there once in a sample is there in all of it.
 * And the same thread had this frame at the same place a moment ago, and no class was unloaded
 * since (if any was of late): then it most likely never returned. If it did, its code would have to
 * have been thrown away, and other code compiled to where it was with a call at the same byte,
 * within BELIEVED_SHIFT.
 */
static __always_inline int blob_remembered(struct cpu_state *c, struct hotspot_state *s,
					   struct hotspot_memo *m, u64 pc)
{
	u32 proof = proof_of(c, s, pc);

	if (!memo_fits(m, c->mm, pc) ||
	    (m->seen != (u32)c->serial && m->blob.proof != proof && !blob_is_there(c, &s->walk, m)))
		return 0;
	m->seen = c->serial;
	m->blob.proof = proof;
	s->walk.b = m->blob;
	return 1;
}
