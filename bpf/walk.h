/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One step of a native stack walk: applies an unwind rule to the registers. The same code runs in
 * the kernel on live memory and in user space on recorded memory (late unwinding, unit tests). What
 * depends on the machine is in walk_x86.h and walk_arm64.h, one walk_apply() each.
 *
 * The file that includes it defines before:
 *   WALK_ENV                 a type that stands for the memory
 *   static int walk_read8(WALK_ENV *e, __u64 addr, __u64 *v)    0, or nonzero: unreadable
 *   static int walk_read16(WALK_ENV *e, __u64 addr, __u64 v[2])  addr and addr + 8
 */
#pragma once

#include "bpf/arch.h"
#include "bpf/walk_base.h"

#ifdef ARCH_ARM64
#include "bpf/walk_arm64.h"
#else
#include "bpf/walk_x86.h"
#endif

/*
 * walk_apply() with the fallback: code that no unwind information covers is left by the frame
 * pointer if that leads upwards to somewhere; what it leads to must still prove to be code.
 */
static __always_inline int walk_rule(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	int guessed = RULE_KIND(rule) == RULE_INVALID, ret;

	ret = walk_apply(e, r, guessed ? RULE_FP_GUESS : rule);
	return guessed && ret != WALK_NEXT ? -REASON_NO_RULE : ret;
}
