/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The step of a stack walk on aarch64: rules as bpf/types.h describes them. The return address is
 * in x30 until a function saves it, usually in a frame record, a pair of x29 and x30 anywhere in
 * the frame (AAPCS64, 6.4.6). In every frame but an interrupted one x30 is lost: the call that the
 * frame is in has overwritten it.
 *
 * Return addresses may be signed (pointer authentication): the code is in bits that no address of
 * user space uses, and those are cleared, signed or not - the kernel does the same (arch/arm64/
 * include/asm/pointer_auth.h, ptrauth_strip_user_insn_pac(); arch/arm64/kernel/stacktrace.c).
 */
#pragma once

#include "bpf/walk_base.h"

/* A slot of RULE_CFA as RULE_CFA_FAR has it. */
static __always_inline __u32 walk_near_slot(__u64 rule, __u32 i)
{
	__u32 slot = RULE_SLOT(rule, i);

	return slot == RULE_SLOT_LOST ? RULE_FAR_LOST : slot;
}

static __always_inline int walk_return_to(struct walk_regs *r, __u64 ra, __u64 cfa)
{
	r->saved[SLOT_X30] = SAVED_LOST;
	r->sp_is_bound = 0;
	return walk_return(r, ra & ~r->pac_mask, cfa);
}

/* x29, x30: the slots, in units of -8 from the CFA; 0: not saved; RULE_FAR_LOST. */
static __always_inline int walk_find_cfa(WALK_ENV *e, struct walk_regs *r, __u64 rule, __u32 x29,
					 __u32 x30, __u64 *ret)
{
	__u64 base;
	int err;

	if (RULE_REG(rule) == RULE_ARM_SP && !r->sp_is_bound) {
		*ret = r->sp + RULE_OFF(rule) * 8;
		return 0;
	}
	/* Code that was called by way of a frame record has x29 at its own, when it makes one. */
	if (RULE_REG(rule) == RULE_ARM_SP && (x29 != x30 + 1 || x30 == 0 || x29 == RULE_FAR_LOST))
		return -REASON_UNTRACKED_REGISTER;
	err = walk_get_slot(e, r, SLOT_X29, &base);
	if (err)
		return err;
	*ret = base + (RULE_REG(rule) == RULE_ARM_SP ? 8 * (__u64)x29 : RULE_OFF(rule) * 8);
	return 0;
}

/* Where the native frame ends, by a RULE_LOOP. */
static __always_inline int walk_frame_end(WALK_ENV *e, struct walk_regs *r, __u64 rule, __u64 *ret)
{
	return walk_find_cfa(e, r, rule, walk_near_slot(rule, SLOT_X29),
			     walk_near_slot(rule, SLOT_X30), ret);
}

static __always_inline int walk_frame(WALK_ENV *e, struct walk_regs *r, __u64 rule, __u32 x29,
				      __u32 x30)
{
	__u64 cfa, pair[2];
	int err = walk_find_cfa(e, r, rule, x29, x30, &cfa);

	if (err)
		return err;
	/* Only what has no frame yet leaves sp where it is, and that does not call. */
	if (cfa < r->sp || (cfa == r->sp && !r->is_leaf))
		return -REASON_STACK_LOOP;
	if (x30 == RULE_FAR_LOST)
		return -REASON_UNTRACKED_REGISTER;
	if (x30 && x29 == x30 + 1) {
		/* A frame record: one read for both. */
		if (walk_read16(e, cfa - 8 * (__u64)x29, pair))
			return -REASON_STACK_UNREADABLE;
		r->regs[SLOT_X29] = pair[0];
		r->saved[SLOT_X29] = SAVED_NOWHERE;
		return walk_return_to(r, pair[1], cfa);
	}
	if (x30 == 0)
		err = walk_get_slot(e, r, SLOT_X30, &pair[1]);
	else if (walk_read8(e, cfa - 8 * (__u64)x30, &pair[1]))
		err = -REASON_STACK_UNREADABLE;
	if (err)
		return err;
	if (x29)
		r->saved[SLOT_X29] = x29 == RULE_FAR_LOST ? SAVED_LOST : cfa - 8 * (__u64)x29;
	return walk_return_to(r, pair[1], cfa);
}

/*
 * The frame record may be at the low or at the high end of its frame, so that the caller's sp is
 * somewhere above it. An interrupted function that has made no record, or not yet, is left to its
 * caller's caller, as on x86-64: nothing in the registers tells.
 */
static __always_inline int walk_fp(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u64 x29, pair[2];
	int err = walk_get_slot(e, r, SLOT_X29, &x29), end;

	if (err)
		return err;
	if (x29 == 0)
		return WALK_END;
	if ((x29 & 7) || (rule == RULE_FP_GUESS && x29 < r->sp))
		return -REASON_BAD_FRAME_POINTER;
	if (walk_read16(e, x29, pair))
		return -REASON_BAD_FRAME_POINTER;
	r->regs[SLOT_X29] = pair[0];
	end = walk_return_to(r, pair[1], x29 + 16);
	r->sp_is_bound = 1;
	return end;
}

/*
 * struct rt_sigframe (arch/arm64/kernel/signal.c): siginfo, 128 bytes, then struct ucontext (uapi/
 * asm/ucontext.h), whose uc_mcontext begins 176 bytes into it; struct sigcontext (uapi/asm/
 * sigcontext.h): fault_address, x0..x30, sp, pc.
 */
#define SIGFRAME_CONTEXT 304
#define SIGFRAME_X29	 (SIGFRAME_CONTEXT + 8 + 8 * 29)
#define SIGFRAME_SP	 (SIGFRAME_CONTEXT + 8 + 8 * 31)

static __always_inline int walk_signal(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u64 at = r->sp + RULE_OFF(rule) * 8, saved[2], place[2];

	if (r->sp_is_bound)
		return -REASON_UNTRACKED_REGISTER;
	if (walk_read16(e, at + SIGFRAME_X29, saved) || walk_read16(e, at + SIGFRAME_SP, place))
		return -REASON_STACK_UNREADABLE;
	r->regs[SLOT_X29] = saved[0];
	r->regs[SLOT_X30] = saved[1];
	r->saved[SLOT_X29] = SAVED_NOWHERE;
	r->saved[SLOT_X30] = SAVED_NOWHERE;
	r->sp = place[0];
	r->pc = place[1];
	r->is_leaf = 1;
	return WALK_NEXT;
}

static __always_inline int walk_apply_rare(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 kind = RULE_KIND(rule);

	if (kind == RULE_CFA_FAR)
		return walk_frame(e, r, rule, RULE_FAR_RBP(rule), RULE_FAR_RBX(rule));
	if (kind == RULE_SIGNAL)
		return walk_signal(e, r, rule);
	return -REASON_NO_RULE;
}

/* WALK_NEXT: r holds the caller's registers. WALK_END. Else -(enum reason), r is undefined. */
static __always_inline int walk_apply(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 kind = RULE_KIND(rule);

	if (kind == RULE_CFA || kind == RULE_LOOP)
		return walk_frame(e, r, rule, walk_near_slot(rule, SLOT_X29),
				  walk_near_slot(rule, SLOT_X30));
	if (kind == RULE_FP)
		return walk_fp(e, r, rule);
	if (kind == RULE_END)
		return WALK_END;
	return WALK_APPLY_RARE(e, r, rule);
}
