/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter of call frame instructions (DWARF 5, section 6.4.2; encodings: 7.24). */
#include "unwinders/cfi_program.h"

#include <errno.h>

enum {
	CFA_ADVANCE_LOC = 0x40, /* the high two bits; the operand is in the low six */
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	/* binutils 2.40, include/dwarf2.def; aadwarf64 2023Q3 */
	CFA_AARCH64_NEGATE_RA_STATE_WITH_PC = 0x2c,
	CFA_AARCH64_NEGATE_RA_STATE = 0x2d, /* DW_CFA_GNU_window_save on other machines */
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

struct state {
	struct cfi_program *p;
	struct cfi_row *row;
	uint64_t at;
	unsigned int depth;
	struct cfi_row remembered[CFI_REMEMBERED_MAX];
};

static uint8_t reg_number(uint64_t reg)
{
	return reg < CFI_REG_OTHER ? (uint8_t)reg : CFI_REG_OTHER;
}

static int32_t clamp(int64_t v)
{
	return (int32_t)MAX(MIN(v, INT32_MAX), INT32_MIN);
}

static int32_t factored(const struct cfi_program *p, int64_t n)
{
	int64_t v;

	/* INT32_MIN fits no rule, so an overflow can not look like a small offset. */
	return __builtin_mul_overflow(n, p->data_align, &v) ? INT32_MIN : clamp(v);
}

static int32_t factored_unsigned(const struct cfi_program *p, uint64_t n)
{
	return n > INT32_MAX ? INT32_MIN : factored(p, (int64_t)n);
}

static void set_loc(struct state *s, uint64_t reg, struct cfi_loc l)
{
	int i = s->p->machine->index_of(reg);

	if (i >= 0)
		s->row->regs[i] = l;
}

static struct cfi_loc read_block(struct cursor *c, enum cfi_where where)
{
	uint64_t n = cursor_uleb128(c);
	struct cfi_loc l = {.where = where};

	if (n > cursor_left(c)) {
		c->bad = true;
		return l;
	}
	l.expr = cursor_bytes(c, n);
	/* Far longer than any expression that is recognised; the length only has to say so. */
	l.expr_bytes = (uint16_t)MIN(n, UINT16_MAX);
	return l;
}

/* Delivers the row that held up to `to` and moves there; false at the end of the function. */
static int advance_to(struct state *s, uint64_t to)
{
	int r;

	if (!s->p->row || to < s->at)
		return -EBADMSG;
	if (to == s->at)
		return 0;
	r = s->p->row(s->at, s->row, s->p->userdata);
	s->at = to;
	return r;
}

static int advance_by(struct state *s, uint64_t n)
{
	uint64_t delta, to;

	if (__builtin_mul_overflow(n, s->p->code_align, &delta) ||
	    __builtin_add_overflow(s->at, delta, &to))
		return -EBADMSG;
	return advance_to(s, to);
}

static int restore_reg(struct state *s, uint64_t reg)
{
	int i = s->p->machine->index_of(reg);

	if (!s->p->initial)
		return -EBADMSG;
	if (i >= 0)
		s->row->regs[i] = s->p->initial->regs[i];
	return 0;
}

static int remember(struct state *s)
{
	if (s->depth == CFI_REMEMBERED_MAX)
		return -EBADMSG;
	s->remembered[s->depth++] = *s->row;
	return 0;
}

static int restore_state(struct state *s)
{
	if (!s->depth)
		return -EBADMSG;
	*s->row = s->remembered[--s->depth];
	return 0;
}

/* The instructions that say where the CFA is. false: not one of them. */
static bool run_cfa(struct state *s, uint8_t op)
{
	struct cfi_loc *cfa = &s->row->cfa;
	struct cursor *c = &s->p->code;
	uint64_t n;

	switch (op) {
	case CFA_DEF_CFA:
	case CFA_DEF_CFA_SF:
		cfa->where = CFI_IN_REG;
		cfa->reg = reg_number(cursor_uleb128(c));
		if (op == CFA_DEF_CFA_SF) {
			cfa->off = factored(s->p, cursor_sleb128(c));
		} else {
			n = cursor_uleb128(c);
			cfa->off = n > INT32_MAX ? INT32_MAX : (int32_t)n;
		}
		return true;
	case CFA_DEF_CFA_REGISTER:
		/* After an expression there is no offset to keep: not valid (DWARF 5, 6.4.2.2). */
		cfa->reg = reg_number(cursor_uleb128(c));
		return true;
	case CFA_DEF_CFA_OFFSET:
		n = cursor_uleb128(c);
		cfa->off = n > INT32_MAX ? INT32_MAX : (int32_t)n;
		return true;
	case CFA_DEF_CFA_OFFSET_SF:
		cfa->off = factored(s->p, cursor_sleb128(c));
		return true;
	case CFA_DEF_CFA_EXPRESSION:
		*cfa = read_block(c, CFI_VAL_EXPR);
		return true;
	default:
		return false;
	}
}

/* The instructions that say where a register is. false: not one of them. */
static bool run_register(struct state *s, uint8_t op)
{
	struct cursor *c = &s->p->code;
	struct cfi_loc l = {0};
	uint64_t reg;

	if ((op < CFA_OFFSET_EXTENDED || op > CFA_REGISTER || op == CFA_RESTORE_EXTENDED) &&
	    op != CFA_EXPRESSION && op != CFA_OFFSET_EXTENDED_SF && op != CFA_VAL_OFFSET &&
	    op != CFA_VAL_OFFSET_SF && op != CFA_VAL_EXPRESSION &&
	    op != CFA_GNU_NEGATIVE_OFFSET_EXTENDED)
		return false;
	reg = cursor_uleb128(c);
	switch (op) {
	case CFA_OFFSET_EXTENDED:
	case CFA_VAL_OFFSET:
		l.where = op == CFA_VAL_OFFSET ? CFI_VAL_CFA : CFI_AT_CFA;
		l.off = factored_unsigned(s->p, cursor_uleb128(c));
		break;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		l.where = CFI_AT_CFA;
		/* clamp: -INT32_MIN is not an int32_t */
		l.off = clamp(-(int64_t)factored_unsigned(s->p, cursor_uleb128(c)));
		break;
	case CFA_OFFSET_EXTENDED_SF:
	case CFA_VAL_OFFSET_SF:
		l.where = op == CFA_VAL_OFFSET_SF ? CFI_VAL_CFA : CFI_AT_CFA;
		l.off = factored(s->p, cursor_sleb128(c));
		break;
	case CFA_UNDEFINED:
		l.where = CFI_UNDEFINED;
		break;
	case CFA_SAME_VALUE:
		l.where = CFI_SAME;
		break;
	case CFA_REGISTER:
		l.where = CFI_IN_REG;
		l.reg = reg_number(cursor_uleb128(c));
		break;
	default: /* the two expressions */
		l = read_block(c, op == CFA_EXPRESSION ? CFI_EXPR : CFI_VAL_EXPR);
		break;
	}
	set_loc(s, reg, l);
	return true;
}

static int run_other(struct state *s, uint8_t op)
{
	struct cursor *c = &s->p->code;

	switch (op) {
	case CFA_NOP:
		return 0;
	case CFA_SET_LOC:
		return s->p->read_address ? advance_to(s, s->p->read_address(c, s->p->userdata))
					  : -EBADMSG;
	case CFA_ADVANCE_LOC1:
		return advance_by(s, cursor_u8(c));
	case CFA_ADVANCE_LOC2:
		return advance_by(s, cursor_u16(c));
	case CFA_ADVANCE_LOC4:
		return advance_by(s, cursor_u32(c));
	case CFA_RESTORE_EXTENDED:
		return restore_reg(s, cursor_uleb128(c));
	case CFA_REMEMBER_STATE:
		return remember(s);
	case CFA_RESTORE_STATE:
		return restore_state(s);
	case CFA_GNU_ARGS_SIZE:
		(void)cursor_uleb128(c);
		return 0;
	case CFA_AARCH64_NEGATE_RA_STATE:
	case CFA_AARCH64_NEGATE_RA_STATE_WITH_PC:
		s->row->ra_signed = !s->row->ra_signed;
		return 0;
	default:
		return -EBADMSG;
	}
}

static int run_one(struct state *s)
{
	uint8_t op = cursor_u8(&s->p->code), low = op & 0x3f;
	struct cfi_loc l = {.where = CFI_AT_CFA};

	switch (op & 0xc0) {
	case CFA_ADVANCE_LOC:
		return advance_by(s, low);
	case CFA_OFFSET:
		l.off = factored_unsigned(s->p, cursor_uleb128(&s->p->code));
		set_loc(s, low, l);
		return 0;
	case CFA_RESTORE:
		return restore_reg(s, low);
	default:
		if (run_cfa(s, op) || run_register(s, op))
			return 0;
		return run_other(s, op);
	}
}

int cfi_program_run(struct cfi_program *p, struct cfi_row *row)
{
	/* Only the used part of `remembered` is ever read; clearing 2 KiB per FDE would show. */
	struct state s;
	int r;

	s.p = p;
	s.row = row;
	s.at = p->start;
	s.depth = 0;
	while (cursor_left(&p->code)) {
		if (!*p->budget)
			return -E2BIG;
		(*p->budget)--;
		r = run_one(&s);
		if (r < 0)
			return r;
		if (p->code.bad)
			return -EBADMSG;
		if (p->row && s.at >= p->end)
			return 0;
	}
	return p->row ? p->row(s.at, row, p->userdata) : 0;
}
