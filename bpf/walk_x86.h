/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The step of a stack walk on x86-64: registers and rules as bpf/types.h numbers them. The return
 * address is on the stack, below the CFA.
 */
#pragma once

#include "bpf/walk_base.h"

static __always_inline int walk_get_reg(WALK_ENV *e, struct walk_regs *r, __u32 reg, __u64 *ret)
{
	if (reg == DWARF_RSP) {
		*ret = r->sp;
		return 0;
	}
	if (r->is_leaf) {
		*ret = r->leaf[reg & 15];
		return 0;
	}
	return walk_get_slot(e, r, SLOT_OF(reg), ret);
}

/* Remembers where the callee-saved registers but rbp lie; `rest` is the rule from bit 34 on. */
static __always_inline void walk_save_rest(struct walk_regs *r, __u64 rest, __u64 cfa)
{
	WALK_UNROLL
	for (int i = SLOT_RBX; i < SLOT_MAX; i++) {
		__u32 slot = rest & 63;

		if (slot)
			r->saved[i] = slot == RULE_SLOT_LOST ? SAVED_LOST : cfa - 8 * slot;
		rest >>= 6;
	}
}

static __always_inline void walk_lose_rest(struct walk_regs *r)
{
	WALK_UNROLL
	for (int i = SLOT_RBX; i < SLOT_MAX; i++)
		r->saved[i] = SAVED_LOST;
}

/* Where the native frame ends, by a RULE_LOOP. */
static __always_inline int walk_frame_end(WALK_ENV *e, struct walk_regs *r, __u64 rule, __u64 *ret)
{
	int err = walk_get_reg(e, r, RULE_REG(rule), ret);

	*ret += RULE_OFF(rule) * 8;
	return err;
}

/* CFA = reg + offset, return address below it: nearly every rule there is. */
static __always_inline int walk_cfa(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 slot = RULE_SLOT(rule, SLOT_RBP);
	__u64 cfa, pair[2];
	int err = walk_get_reg(e, r, RULE_REG(rule), &cfa);

	if (err)
		return err;
	cfa += RULE_OFF(rule) * 8;
	if (cfa <= r->sp)
		return -REASON_STACK_LOOP;
	if (slot == 2) {
		/* A saved rbp right below the return address: one read for both. */
		if (walk_read16(e, cfa - 16, pair))
			return -REASON_STACK_UNREADABLE;
		r->regs[SLOT_RBP] = pair[0];
		r->saved[SLOT_RBP] = SAVED_NOWHERE;
	} else {
		if (WALK_READ_RETURN(e, cfa - 8, &pair[1]))
			return -REASON_STACK_UNREADABLE;
		if (slot)
			r->saved[SLOT_RBP] = slot == RULE_SLOT_LOST ? SAVED_LOST : cfa - 8 * slot;
	}
	if (rule >> 34)
		walk_save_rest(r, rule >> 34, cfa);
	return walk_return(r, pair[1], cfa);
}

static __always_inline int walk_cfa_far(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u64 cfa, ra, rbp = RULE_FAR_RBP(rule), rbx = RULE_FAR_RBX(rule);
	int err = walk_get_reg(e, r, RULE_REG(rule), &cfa);

	if (err)
		return err;
	cfa += RULE_OFF(rule) * 8;
	if (cfa <= r->sp)
		return -REASON_STACK_LOOP;
	if (walk_read8(e, cfa - 8, &ra))
		return -REASON_STACK_UNREADABLE;
	walk_lose_rest(r);
	r->saved[SLOT_RBX] = rbx == RULE_FAR_LOST || !rbx ? SAVED_LOST : cfa - 8 * rbx;
	if (rbp)
		r->saved[SLOT_RBP] = rbp == RULE_FAR_LOST ? SAVED_LOST : cfa - 8 * rbp;
	return walk_return(r, ra, cfa);
}

static __always_inline int walk_deref(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 slot = RULE_SLOT(rule, SLOT_RBP);
	__u64 base, cfa, ra;
	int err = walk_get_reg(e, r, RULE_REG(rule), &base);

	if (err)
		return err;
	if (walk_read8(e, base + RULE_OFF(rule) * 8, &cfa))
		return -REASON_STACK_UNREADABLE;
	cfa += RULE_DEREF_ADD(rule);
	if (cfa <= r->sp)
		return -REASON_STACK_LOOP;
	if (walk_read8(e, cfa - 8, &ra))
		return -REASON_STACK_UNREADABLE;
	if (slot == RULE_DEREF_AT_BASE)
		r->saved[SLOT_RBP] = base;
	else if (slot)
		r->saved[SLOT_RBP] = slot == RULE_SLOT_LOST ? SAVED_LOST : cfa - 8 * slot;
	walk_lose_rest(r);
	return walk_return(r, ra, cfa);
}

static __always_inline int walk_plt(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u64 pushed = (r->pc & 15) >= (__u64)RULE_OFF(rule) ? 8 : 0;
	__u64 cfa = r->sp + 8 + pushed, ra;

	if (walk_read8(e, cfa - 8, &ra))
		return -REASON_STACK_UNREADABLE;
	return walk_return(r, ra, cfa);
}

/*
 * struct rt_sigframe on x86-64 (arch/x86/include/asm/sigframe.h, sigcontext.h): at the return into
 * the restorer rsp points to the ucontext; uc_mcontext begins 40 bytes into it: r8..r15, rdi, rsi,
 * rbp, rbx, rdx, rax, rcx, rsp, rip.
 */
static __always_inline int walk_signal(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	static const __u8 order[] = {
		DWARF_R8,  DWARF_R9,  DWARF_R10, DWARF_R11, DWARF_R12, DWARF_R13,
		DWARF_R14, DWARF_R15, DWARF_RDI, DWARF_RSI, DWARF_RBP, DWARF_RBX,
		DWARF_RDX, DWARF_RAX, DWARF_RCX, DWARF_RSP,
	};
	__u64 at = r->sp + RULE_OFF(rule) * 8 + 40, v;

	WALK_UNROLL
	for (unsigned int i = 0; i < sizeof(order); i++) {
		if (walk_read8(e, at + 8 * i, &v))
			return -REASON_STACK_UNREADABLE;
		r->leaf[order[i]] = v;
	}
	if (walk_read8(e, at + 8 * sizeof(order), &v))
		return -REASON_STACK_UNREADABLE;
	r->pc = v;
	r->sp = r->leaf[DWARF_RSP];
	r->regs[SLOT_RBP] = r->leaf[DWARF_RBP];
	r->regs[SLOT_RBX] = r->leaf[DWARF_RBX];
	r->regs[SLOT_R12] = r->leaf[DWARF_R12];
	r->regs[SLOT_R13] = r->leaf[DWARF_R13];
	r->regs[SLOT_R14] = r->leaf[DWARF_R14];
	r->regs[SLOT_R15] = r->leaf[DWARF_R15];
	WALK_UNROLL
	for (int i = 0; i < SLOT_MAX; i++)
		r->saved[i] = SAVED_NOWHERE;
	r->is_leaf = 1;
	return WALK_NEXT;
}

/* Rules of a file may lead to another stack (Go's systemstack); a guess must lead upwards. */
static __always_inline int walk_fp(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u64 rbp, pair[2];
	int err = walk_get_slot(e, r, SLOT_RBP, &rbp);

	if (err)
		return err;
	if (rbp == 0)
		return WALK_END;
	if ((rbp & 7) || (rule == RULE_FP_GUESS && rbp < r->sp))
		return -REASON_BAD_FRAME_POINTER;
	if (walk_read16(e, rbp, pair))
		return -REASON_BAD_FRAME_POINTER;
	r->regs[SLOT_RBP] = pair[0];
	walk_lose_rest(r);
	return walk_return(r, pair[1], rbp + 16);
}

/* The return address is in a register (vfork's return address waits in rdi during the call). */
static __always_inline int walk_ra_reg(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 slot = RULE_SLOT(rule, SLOT_RBP);
	__u64 cfa, ra;
	int err = walk_get_reg(e, r, RULE_REG(rule), &cfa);

	if (!err)
		err = walk_get_reg(e, r, RULE_RA_REGNO(rule), &ra);
	if (err)
		return err;
	cfa += RULE_OFF(rule) * 8;
	if (cfa < r->sp)
		return -REASON_STACK_LOOP;
	if (slot)
		r->saved[SLOT_RBP] = slot == RULE_SLOT_LOST ? SAVED_LOST : cfa - 8 * slot;
	return walk_return(r, ra, cfa);
}

static __always_inline int walk_apply_rare(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 kind = RULE_KIND(rule);

	if (kind == RULE_CFA_FAR)
		return walk_cfa_far(e, r, rule);
	if (kind == RULE_DEREF)
		return walk_deref(e, r, rule);
	if (kind == RULE_PLT)
		return walk_plt(e, r, rule);
	if (kind == RULE_SIGNAL)
		return walk_signal(e, r, rule);
	if (kind == RULE_RA_REG)
		return walk_ra_reg(e, r, rule);
	return -REASON_NO_RULE;
}

/* WALK_NEXT: r holds the caller's registers. WALK_END. Else -(enum reason), r is undefined. */
static __always_inline int walk_apply(WALK_ENV *e, struct walk_regs *r, __u64 rule)
{
	__u32 kind = RULE_KIND(rule);

	if (kind == RULE_CFA || kind == RULE_LOOP)
		return walk_cfa(e, r, rule);
	if (kind == RULE_FP)
		return walk_fp(e, r, rule);
	if (kind == RULE_END)
		return WALK_END;
	return WALK_APPLY_RARE(e, r, rule);
}
