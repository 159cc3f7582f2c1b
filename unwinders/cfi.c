/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a row of call frame information to a rule. Expressions are recognised by shape only, they
 * are never evaluated: toolchains and hand-written assembly use a handful of them.
 */
#include "unwinders/cfi.h"

#include <elf.h>

#include "agent/base/cursor.h"

/* DWARF 5, section 7.7.1. */
enum {
	OP_DEREF = 0x06,
	OP_AND = 0x1a,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_GE = 0x2a,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
};

#define EXPR_OPS   9  /* of the longest expression that is known */
#define EXPR_BYTES 32 /* and its bytes, with room for padded LEB128 */

struct expr_op {
	uint8_t op;
	int64_t arg;
};

static int64_t uleb128_clamped(struct cursor *c)
{
	uint64_t v = cursor_uleb128(c);

	return v > INT32_MAX ? INT32_MAX : (int64_t)v;
}

/* The number of operations, or 0 when there are unknown or too many of them. */
static unsigned int expr_split(const struct cfi_loc *l, struct expr_op *ops)
{
	struct cursor c = cursor_of(l->expr, l->expr_bytes);
	unsigned int n = 0;

	if (!l->expr || l->expr_bytes > EXPR_BYTES)
		return 0;
	for (; cursor_left(&c); n++) {
		struct expr_op o = {.op = cursor_u8(&c)};

		if (n == EXPR_OPS)
			return 0;
		if (o.op >= OP_BREG0 && o.op <= OP_BREG31)
			o.arg = cursor_sleb128(&c);
		else if (o.op == OP_PLUS_UCONST)
			o.arg = uleb128_clamped(&c);
		else if (o.op >= OP_LIT0 && o.op <= OP_LIT31)
			o.arg = o.op - OP_LIT0;
		else if (o.op != OP_DEREF && o.op != OP_AND && o.op != OP_PLUS && o.op != OP_SHL &&
			 o.op != OP_GE)
			return 0;
		ops[n] = o;
	}
	return c.bad ? 0 : n;
}

static bool is_breg(const struct expr_op *o)
{
	return o->op >= OP_BREG0 && o->op <= OP_BREG31 && o->arg > INT32_MIN && o->arg < INT32_MAX;
}

/* breg N off [lit, plus | plus_uconst]: the register and what is added to it. */
static bool expr_is_address(const struct expr_op *ops, unsigned int n, unsigned int *ret_reg,
			    int64_t *ret_off)
{
	if (!n || !is_breg(&ops[0]))
		return false;
	if (n == 2 && ops[1].op == OP_PLUS_UCONST)
		*ret_off = ops[0].arg + ops[1].arg;
	else if (n == 1)
		*ret_off = ops[0].arg;
	else
		return false;
	*ret_reg = ops[0].op - OP_BREG0;
	return true;
}

/*
 * The lazy binding stubs: CFA = rsp + 8 + ((rip & 15) >= N) * 8, N being the offset after the
 * stub's push (binutils 2.40, bfd/elfxx-x86.h: elf_x86_lazy_plt_layout.eh_frame_plt; N is 11, or 9
 * and 10 with IBT and BND).
 */
static bool expr_is_plt(const struct expr_op *ops, unsigned int n, unsigned int *ret_pushed)
{
	static const uint8_t shape[] = {OP_BREG0 + 7, OP_BREG0 + 16, OP_LIT0 + 15, OP_AND, OP_LIT0,
					OP_GE,	      OP_LIT0 + 3,   OP_SHL,	   OP_PLUS};

	if (n != ARRAY_SIZE(shape) || ops[0].arg != 8 || ops[1].arg)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (i != 4 && ops[i].op != shape[i])
			return false;
	if (ops[4].op < OP_LIT0 || ops[4].op > OP_LIT0 + 15)
		return false;
	*ret_pushed = ops[4].op - OP_LIT0;
	return true;
}

/* breg N off, deref [, plus_uconst M | , lit M, plus]. */
static bool expr_is_deref(const struct expr_op *ops, unsigned int n, unsigned int *ret_reg,
			  int64_t *ret_off, int64_t *ret_add)
{
	if (n < 2 || !is_breg(&ops[0]) || ops[1].op != OP_DEREF)
		return false;
	*ret_add = 0;
	if (n == 3 && ops[2].op == OP_PLUS_UCONST)
		*ret_add = ops[2].arg;
	else if (n == 4 && ops[2].op >= OP_LIT0 && ops[2].op <= OP_LIT31 && ops[3].op == OP_PLUS)
		*ret_add = ops[2].arg;
	else if (n != 2)
		return false;
	*ret_reg = ops[0].op - OP_BREG0;
	*ret_off = ops[0].arg;
	return true;
}

/* A loc "saved at reg + n" becomes "saved at CFA + n'" when the CFA is reg + m. */
static struct cfi_loc loc_from_cfa(const struct cfi_loc *l, unsigned int cfa_reg, int64_t cfa_off)
{
	struct expr_op ops[EXPR_OPS];
	struct cfi_loc out = *l;
	unsigned int reg;
	int64_t off;

	if (l->where != CFI_EXPR || !expr_is_address(ops, expr_split(l, ops), &reg, &off) ||
	    reg != cfa_reg)
		return out;
	out.where = CFI_AT_CFA;
	out.off = (int32_t)MAX(MIN(off - cfa_off, INT32_MAX), INT32_MIN);
	return out;
}

/* The slot in units of -8 from the CFA; `lost` when it is no such thing or over `max`. */
static uint64_t slot_of(const struct cfi_loc *l, uint32_t max, uint32_t lost)
{
	if (l->where == CFI_SAME)
		return 0;
	if (l->where != CFI_AT_CFA || l->off >= 0 || l->off % 8)
		return lost;
	/* off may be INT32_MIN */
	return -(int64_t)l->off / 8 <= max ? (uint64_t)(-(int64_t)l->off / 8) : lost;
}

static bool slot_is_far(const struct cfi_loc *l)
{
	return slot_of(l, RULE_SLOT_LOST - 1, RULE_SLOT_LOST) == RULE_SLOT_LOST &&
	       slot_of(l, RULE_FAR_LOST - 1, RULE_FAR_LOST) != RULE_FAR_LOST;
}

static bool sp_is_cfa(const struct cfi_row *row)
{
	const struct cfi_loc *sp = &row->regs[CFI_SP];

	return sp->where == CFI_SAME || (sp->where == CFI_VAL_CFA && !sp->off);
}

/* longjmp: the CFA is the jmp_buf, rsp and rip are in registers already. */
static uint64_t x86_rule_jump(const struct cfi_row *row, unsigned int *ret_reason)
{
	const struct cfi_loc *sp = &row->regs[CFI_SP], *ra = &row->regs[CFI_RA];
	bool same = row->regs[SLOT_RBP].where == CFI_SAME;

	if (sp->where != CFI_IN_REG || sp->reg >= DWARF_X86_REGS || ra->where != CFI_IN_REG ||
	    ra->reg >= DWARF_X86_REGS) {
		*ret_reason = CFI_STACK_POINTER;
		return RULE_INVALID;
	}
	return RULE_WITH_SLOT(RULE_BASE(RULE_RA_REG, sp->reg, 0) | (uint64_t)ra->reg << 60,
			      SLOT_RBP, same ? 0 : RULE_SLOT_LOST);
}

/* CFA = reg + off, the return address below it or in a register. */
static uint64_t x86_rule_reg(const struct cfi_row *row, unsigned int reg, int64_t off,
			     unsigned int *ret_reason)
{
	struct cfi_loc l[CFI_REGS];
	uint64_t rule;

	*ret_reason = reg >= DWARF_X86_REGS				  ? CFI_CFA_REGISTER
		      : off % 8						  ? CFI_CFA_UNALIGNED
		      : off / 8 > RULE_OFF_MAX || off / 8 < -RULE_OFF_MAX ? CFI_CFA_FAR
									  : CFI_OK;
	if (*ret_reason != CFI_OK)
		return RULE_INVALID;
	for (int i = 0; i < CFI_REGS; i++)
		l[i] = loc_from_cfa(&row->regs[i], reg, off);
	if (l[CFI_RA].where == CFI_IN_REG && l[CFI_RA].reg < DWARF_X86_REGS) {
		rule = RULE_BASE(RULE_RA_REG, reg, off / 8) | (uint64_t)l[CFI_RA].reg << 60;
		return RULE_WITH_SLOT(rule, SLOT_RBP,
				      slot_of(&l[SLOT_RBP], RULE_SLOT_LOST - 1, RULE_SLOT_LOST));
	}
	if (l[CFI_RA].where != CFI_AT_CFA || l[CFI_RA].off != -8) {
		*ret_reason = CFI_RETURN_ADDRESS;
		return RULE_INVALID;
	}
	if (slot_is_far(&l[SLOT_RBP]) || slot_is_far(&l[SLOT_RBX]))
		return RULE_BASE(RULE_CFA_FAR, reg, off / 8) |
		       slot_of(&l[SLOT_RBP], RULE_FAR_LOST - 1, RULE_FAR_LOST) << 28 |
		       slot_of(&l[SLOT_RBX], RULE_FAR_LOST - 1, RULE_FAR_LOST) << 46;
	rule = RULE_BASE(RULE_CFA, reg, off / 8);
	for (int i = 0; i < SLOT_MAX; i++)
		rule = RULE_WITH_SLOT(rule, i, slot_of(&l[i], RULE_SLOT_LOST - 1, RULE_SLOT_LOST));
	return rule;
}

/*
 * CFA = *(reg + off) + add. GCC's stack realignment keeps the caller's rsp at rbp - n and saves
 * rbp at rbp itself (gcc 12, config/i386/i386.cc, DRAP): RULE_DEREF_AT_BASE.
 */
static uint64_t x86_rule_deref(const struct cfi_row *row, unsigned int reg, int64_t off,
			       int64_t add, unsigned int *ret_reason)
{
	const struct cfi_loc *rbp = &row->regs[SLOT_RBP], *ra = &row->regs[CFI_RA];
	struct expr_op ops[EXPR_OPS];
	unsigned int base;
	uint64_t slot;
	int64_t at;

	*ret_reason = reg >= DWARF_X86_REGS ? CFI_CFA_REGISTER
		      : off % 8		    ? CFI_CFA_UNALIGNED
		      : off / 8 > RULE_OFF_MAX || off / 8 < -RULE_OFF_MAX || add >= 1 << 29
			      ? CFI_CFA_FAR
			      : CFI_OK;
	if (*ret_reason == CFI_OK && (ra->where != CFI_AT_CFA || ra->off != -8))
		*ret_reason = CFI_RETURN_ADDRESS;
	if (*ret_reason != CFI_OK)
		return RULE_INVALID;
	slot = slot_of(rbp, RULE_DEREF_AT_BASE - 1, RULE_SLOT_LOST);
	if (rbp->where == CFI_EXPR && expr_is_address(ops, expr_split(rbp, ops), &base, &at) &&
	    base == reg && at == 0)
		slot = RULE_DEREF_AT_BASE;
	return RULE_WITH_SLOT(RULE_BASE(RULE_DEREF, reg, off / 8), SLOT_RBP, slot) | (uint64_t)add
											     << 34;
}

static uint64_t x86_rule_expr(const struct cfi_row *row, unsigned int *ret_reason)
{
	struct expr_op ops[EXPR_OPS];
	unsigned int n = expr_split(&row->cfa, ops), reg, pushed;
	int64_t off, add;

	if (expr_is_plt(ops, n, &pushed))
		return RULE_BASE(RULE_PLT, DWARF_RSP, pushed);
	if (expr_is_deref(ops, n, &reg, &off, &add))
		return x86_rule_deref(row, reg, off, add, ret_reason);
	if (expr_is_address(ops, n, &reg, &off))
		return x86_rule_reg(row, reg, off, ret_reason);
	*ret_reason = CFI_CFA_EXPRESSION;
	return RULE_INVALID;
}

/*
 * A frame that the kernel made for a signal. glibc 2.36 describes its __restore_rt by CFA =
 * *(rsp + 160): 160 is the offset of rsp in struct ucontext (sysdeps/unix/sysv/linux/x86_64/
 * libc_sigaction.c, arch/x86/include/uapi/asm/sigcontext.h), so the ucontext is at rsp + off - 160.
 */
#define UCONTEXT_RSP 160

static uint64_t x86_rule_signal(const struct cfi_row *row, unsigned int *ret_reason)
{
	struct expr_op ops[EXPR_OPS];
	unsigned int reg;
	int64_t off, add;

	if (row->cfa.where != CFI_VAL_EXPR ||
	    !expr_is_deref(ops, expr_split(&row->cfa, ops), &reg, &off, &add) || add ||
	    reg != DWARF_RSP || off < UCONTEXT_RSP || off % 8 || off / 8 > RULE_OFF_MAX) {
		*ret_reason = CFI_CFA_EXPRESSION;
		return RULE_INVALID;
	}
	return RULE_BASE(RULE_SIGNAL, DWARF_RSP, (off - UCONTEXT_RSP) / 8);
}

static uint64_t x86_rule(const struct cfi_row *row, unsigned int *ret_reason)
{
	if (row->regs[CFI_RA].where == CFI_UNDEFINED)
		return RULE_END;
	/* Hand-written code also marks plain functions with 'S'; those have a plain CFA. */
	if (row->signal && row->cfa.where == CFI_VAL_EXPR)
		return x86_rule_signal(row, ret_reason);
	if (!sp_is_cfa(row))
		return x86_rule_jump(row, ret_reason);
	if (row->cfa.where == CFI_IN_REG)
		return x86_rule_reg(row, row->cfa.reg, row->cfa.off, ret_reason);
	if (row->cfa.where == CFI_VAL_EXPR)
		return x86_rule_expr(row, ret_reason);
	*ret_reason = CFI_NO_CFA;
	return RULE_INVALID;
}

static int x86_index_of(uint64_t reg)
{
	/* clang-format off */
	static const int8_t index[] = {
		-1, -1, -1, SLOT_RBX, -1, -1, SLOT_RBP, CFI_SP, -1, -1, -1, -1,
		SLOT_R12, SLOT_R13, SLOT_R14, SLOT_R15, CFI_RA,
	};
	/* clang-format on */

	return reg < ARRAY_SIZE(index) ? index[reg] : -1;
}

static int arm_index_of(uint64_t reg)
{
	return reg == DWARF_ARM_X29 ? SLOT_X29 : reg == DWARF_ARM_X30 ? CFI_RA : -1;
}

/* x29 and x30 in near slots if both fit, else in far ones. */
static uint64_t arm_rule_slots(const struct cfi_row *row, int64_t off)
{
	const struct cfi_loc *x29 = &row->regs[SLOT_X29], *x30 = &row->regs[CFI_RA];
	unsigned int base = row->cfa.reg == DWARF_ARM_X29 ? RULE_ARM_X29 : RULE_ARM_SP;
	uint64_t rule;

	if (slot_is_far(x29) || slot_is_far(x30))
		return RULE_BASE(RULE_CFA_FAR, base, off / 8) |
		       slot_of(x29, RULE_FAR_LOST - 1, RULE_FAR_LOST) << 28 |
		       slot_of(x30, RULE_FAR_LOST - 1, RULE_FAR_LOST) << 46;
	rule = RULE_BASE(RULE_CFA, base, off / 8);
	rule = RULE_WITH_SLOT(rule, SLOT_X29, slot_of(x29, RULE_SLOT_LOST - 1, RULE_SLOT_LOST));
	rule = RULE_WITH_SLOT(rule, SLOT_X30, slot_of(x30, RULE_SLOT_LOST - 1, RULE_SLOT_LOST));
	return row->ra_signed ? rule | RULE_ARM_SIGNED : rule;
}

static uint64_t arm_rule(const struct cfi_row *row, unsigned int *ret_reason)
{
	const struct cfi_loc *ra = &row->regs[CFI_RA];
	int64_t off = row->cfa.off;

	if (ra->where == CFI_UNDEFINED)
		return RULE_END;
	*ret_reason = row->cfa.where != CFI_IN_REG ? CFI_CFA_EXPRESSION
		      : row->cfa.reg != DWARF_ARM_X29 && row->cfa.reg != DWARF_ARM_SP
			      ? CFI_CFA_REGISTER
		      : off % 8						  ? CFI_CFA_UNALIGNED
		      : off / 8 > RULE_OFF_MAX || off / 8 < -RULE_OFF_MAX ? CFI_CFA_FAR
									  : CFI_OK;
	if (*ret_reason == CFI_OK && slot_of(ra, RULE_FAR_LOST - 1, RULE_FAR_LOST) == RULE_FAR_LOST)
		*ret_reason = CFI_RETURN_ADDRESS;
	return *ret_reason == CFI_OK ? arm_rule_slots(row, off) : RULE_INVALID;
}

static const struct cfi_machine machines[] = {
	{.elf_machine = EM_X86_64,
	 .ra_column = DWARF_X86_RA,
	 .index_of = x86_index_of,
	 .rule = x86_rule},
	{.elf_machine = EM_AARCH64,
	 .ra_column = DWARF_ARM_X30,
	 .index_of = arm_index_of,
	 .rule = arm_rule},
};

const struct cfi_machine *cfi_machine(uint16_t elf_machine)
{
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
		if (machines[i].elf_machine == elf_machine)
			return &machines[i];
	return NULL;
}

const char *cfi_reason_name(enum cfi_reason reason)
{
	static const char *const names[] = {
		[CFI_OK] = "ok",
		[CFI_NO_CFA] = "no CFA rule",
		[CFI_CFA_EXPRESSION] = "unknown CFA expression",
		[CFI_CFA_REGISTER] = "CFA register",
		[CFI_CFA_UNALIGNED] = "CFA offset unaligned",
		[CFI_CFA_FAR] = "CFA offset too far",
		[CFI_RETURN_ADDRESS] = "return address place",
		[CFI_STACK_POINTER] = "stack pointer place",
	};
	_Static_assert(ARRAY_SIZE(names) == CFI_REASON_MAX, "names");

	return names[reason];
}

uint64_t cfi_rule(const struct cfi_machine *m, const struct cfi_row *row,
		  enum cfi_reason *ret_reason)
{
	unsigned int reason = CFI_OK;
	uint64_t rule = m->rule(row, &reason);

	*ret_reason = reason;
	return rule;
}
