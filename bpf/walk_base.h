/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the steps of all machines share: the memory that a walk reads and the registers whose values
 * are fetched only when a rule asks for them. Included through bpf/walk.h, which says what the
 * including file provides.
 */
#pragma once

#include "bpf/types.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifdef __bpf__
#define WALK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WALK_UNROLL
#endif

#ifndef WALK_ENV
/* Nobody walks: the header is looked at by itself. */
#define WALK_ENV struct walk_env
WALK_ENV;
int walk_read8(WALK_ENV *e, __u64 addr, __u64 *v);
int walk_read16(WALK_ENV *e, __u64 addr, __u64 v[2]);
int walk_read(WALK_ENV *e, __u64 addr, void *to, __u32 bytes); /* of runtimes only */
#endif

/* The includer may keep the rules that are seldom met out of the way of the others. */
#ifndef WALK_APPLY_RARE
#define WALK_APPLY_RARE(e, r, rule) walk_apply_rare(e, r, rule)
#endif

/* The includer may read more than the return address when it is asked for that. */
#ifndef WALK_READ_RETURN
#define WALK_READ_RETURN walk_read8
#endif

/* Results besides these are -(enum reason). */
#define WALK_NEXT 0 /* the registers are the caller's now */
#define WALK_END  1 /* there is no caller: the stack is complete */

static __always_inline int walk_get_slot(WALK_ENV *e, struct walk_regs *r, __u32 slot, __u64 *ret)
{
	__u64 at = r->saved[slot];

	if (at == SAVED_LOST)
		return -REASON_UNTRACKED_REGISTER;
	if (at != SAVED_NOWHERE) {
		__u64 v;

		if (walk_read8(e, at, &v))
			return -REASON_STACK_UNREADABLE;
		r->regs[slot] = v;
		r->saved[slot] = SAVED_NOWHERE;
	}
	*ret = r->regs[slot];
	return 0;
}

static __always_inline int walk_return(struct walk_regs *r, __u64 ra, __u64 cfa)
{
	/* A zero return address is how thread and process entries mark the end of the stack. */
	if (ra == 0)
		return WALK_END;
	r->pc = ra;
	r->sp = cfa;
	r->is_leaf = 0;
	return WALK_NEXT;
}
