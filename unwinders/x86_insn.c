/* SPDX-License-Identifier: Apache-2.0 */
/* A table-driven length decoder with a small classifier behind it. */
#include "unwinders/x86_insn.h"

#include <string.h>

#include "agent/base/cursor.h"

/*
 * One letter an opcode: . no operand bytes, m ModRM, b imm8, w imm16, z imm16/32, d imm32, v imm up
 * to 64, q 64-bit address, e imm16 + imm8, M ModRM + imm8, Z ModRM + imm16/32, g and G the test
 * forms of group 3, p prefix, x invalid or an escape that is handled apart.
 */
static const char one_byte[] = "mmmmbzxxmmmmbzxx"  /* 00 */
			       "mmmmbzxxmmmmbzxx"  /* 10 */
			       "mmmmbzpxmmmmbzpx"  /* 20 */
			       "mmmmbzpxmmmmbzpx"  /* 30 */
			       "pppppppppppppppp"  /* 40: REX */
			       "................"  /* 50 */
			       "xxxmppppzZbM...."  /* 60 */
			       "bbbbbbbbbbbbbbbb"  /* 70 */
			       "MZxMmmmmmmmmmmmm"  /* 80 */
			       "..........x....."  /* 90 */
			       "qqqq....bz......"  /* a0 */
			       "bbbbbbbbvvvvvvvv"  /* b0 */
			       "MMw.xxMZe.w..bx."  /* c0 */
			       "mmmmxxx.mmmmmmmm"  /* d0 */
			       "bbbbbbbbddxb...."  /* e0 */
			       "p.pp..gG......mm"; /* f0 */
static const char two_byte[] = "mmmmx.....x.xm.M"  /* 0f 00 */
			       "mmmmmmmmmmmmmmmm"  /* 10 */
			       "mmmmxxxxmmmmmmmm"  /* 20 */
			       "......xxxxxxxxxx"  /* 30 */
			       "mmmmmmmmmmmmmmmm"  /* 40 */
			       "mmmmmmmmmmmmmmmm"  /* 50 */
			       "mmmmmmmmmmmmmmmm"  /* 60 */
			       "MMMMmmm.mmmmmmmm"  /* 70 */
			       "dddddddddddddddd"  /* 80 */
			       "mmmmmmmmmmmmmmmm"  /* 90 */
			       "...mMmxx...mMmmm"  /* a0 */
			       "mmmmmmmmmmMmmmmm"  /* b0 */
			       "mmMmMMMm........"  /* c0 */
			       "mmmmmmmmmmmmmmmm"  /* d0 */
			       "mmmmmmmmmmmmmmmm"  /* e0 */
			       "mmmmmmmmmmmmmmmm"; /* f0 */

struct decode {
	struct cursor c;
	uint8_t rex;
	bool operand16;
	bool vector;	  /* VEX or EVEX: no general register is written, as far as we care */
	unsigned int map; /* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a, others: EVEX maps */
	uint8_t opcode;
	bool has_modrm;
	uint8_t mod, reg, rm; /* with the REX bits, rm only where it is a register or base */
	bool rip_relative, has_sib, absolute; /* has_sib: with an index; absolute: no base */
	int32_t disp;
	int64_t imm;
};

static void read_prefixes(struct decode *d)
{
	uint8_t b = cursor_u8(&d->c);

	while (!d->c.bad && one_byte[b] == 'p') {
		/* Only a REX directly before the opcode counts. */
		d->rex = (b & 0xf0) == 0x40 ? b : 0;
		d->operand16 |= b == 0x66;
		b = cursor_u8(&d->c);
	}
	d->opcode = b;
}

/* Opcode bytes after the prefixes; the VEX and EVEX forms name their map. */
static void read_opcode(struct decode *d)
{
	uint8_t b = d->opcode;

	if (b == 0x0f) {
		d->map = 1;
		d->opcode = cursor_u8(&d->c);
		if (d->opcode == 0x38 || d->opcode == 0x3a) {
			d->map = d->opcode == 0x38 ? 2 : 3;
			d->opcode = cursor_u8(&d->c);
		}
		return;
	}
	if (b != 0xc5 && b != 0xc4 && b != 0x62)
		return;
	d->vector = true;
	d->map = 1;
	if (b == 0xc4)
		d->map = cursor_u8(&d->c) & 0x1f;
	else if (b == 0x62)
		d->map = cursor_u8(&d->c) & 7;
	cursor_skip(&d->c, b == 0x62 ? 2 : 1);
	d->opcode = cursor_u8(&d->c);
}

static void read_modrm(struct decode *d)
{
	uint8_t b = cursor_u8(&d->c), base;

	d->has_modrm = true;
	d->mod = b >> 6;
	d->reg = (uint8_t)((b >> 3 & 7) | (d->rex & 4) << 1);
	base = b & 7;
	if (d->mod != 3 && base == 4) {
		uint8_t sib = cursor_u8(&d->c);

		/* Index 4 without REX.X is no index; with one, the base alone says nothing. */
		d->has_sib = (sib >> 3 & 7) != 4 || (d->rex & 2);
		base = sib & 7;
		if (d->mod == 0 && base == 5) {
			d->has_sib = d->absolute = true;
			d->disp = (int32_t)cursor_u32(&d->c);
		}
	} else if (d->mod == 0 && base == 5) {
		d->rip_relative = true;
		d->disp = (int32_t)cursor_u32(&d->c);
	}
	d->rm = (uint8_t)(base | (d->rex & 1) << 3);
	if (d->mod == 1)
		d->disp = (int8_t)cursor_u8(&d->c);
	else if (d->mod == 2)
		d->disp = (int32_t)cursor_u32(&d->c);
}

static void read_imm(struct decode *d, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		d->imm = (int8_t)cursor_u8(&d->c);
		break;
	case 2:
		d->imm = (int16_t)cursor_u16(&d->c);
		break;
	case 4:
		d->imm = (int32_t)cursor_u32(&d->c);
		break;
	default:
		d->imm = (int64_t)cursor_u64(&d->c);
		break;
	}
}

static bool read_operands(struct decode *d)
{
	unsigned int z = d->operand16 && !(d->rex & 8) ? 2 : 4;
	char form = d->map == 0	  ? one_byte[d->opcode]
		    : d->map == 1 ? two_byte[d->opcode]
		    : d->map == 3 ? 'M'
				  : 'm';

	if (form == 'x' || form == 'p' || d->map > 7 || (d->vector && !d->map))
		return false;
	if (strchr("mMZgG", form))
		read_modrm(d);
	if (form == 'b' || form == 'M' || (form == 'g' && (d->reg & 7) < 2))
		read_imm(d, 1);
	else if (form == 'w')
		read_imm(d, 2);
	else if (form == 'd')
		read_imm(d, 4);
	else if (form == 'z' || form == 'Z' || (form == 'G' && (d->reg & 7) < 2))
		read_imm(d, z);
	else if (form == 'q')
		read_imm(d, 8);
	else if (form == 'v')
		read_imm(d, d->rex & 8 ? 8 : z);
	else if (form == 'e')
		cursor_skip(&d->c, 3);
	return !d->c.bad;
}

/* Which general register an instruction of map 0 changes, where its form says so. */
static uint8_t written_reg(const struct decode *d)
{
	uint8_t o = d->opcode, group = d->reg & 7;

	if (d->map == 1)
		return !d->vector && ((o >= 0x40 && o < 0x50) || o == 0xaf ||
				      (o >= 0xb6 && o < 0xc0 && o != 0xba))
			       ? d->reg
			       : X86_NO_REG;
	if (d->map)
		return X86_NO_REG;
	if (o < 0x40 && (o & 7) < 6)
		return (o & 0x38) == 0x38	     ? X86_NO_REG
		       : (o & 7) == 3		     ? d->reg
		       : (o & 7) == 1 && d->mod == 3 ? d->rm
						     : X86_NO_REG;
	if (o >= 0xb8 && o < 0xc0)
		return (uint8_t)((o & 7) | (d->rex & 1) << 3);
	if (o >= 0x90 && o < 0x98)
		return o == 0x90 ? X86_NO_REG : (uint8_t)((o & 7) | (d->rex & 1) << 3);
	if (o == 0x8b || o == 0x8d || o == 0x63 || o == 0x69 || o == 0x6b)
		return d->reg;
	if (d->mod != 3 || !d->has_modrm)
		return X86_NO_REG;
	if (o == 0x89 || o == 0x87 || o == 0xc7 || o == 0xc1 || o == 0xd1 || o == 0xd3 ||
	    (o == 0xf7 && (group == 2 || group == 3)) || (o == 0xff && group < 2) ||
	    ((o == 0x81 || o == 0x83) && group != 7))
		return d->rm;
	return X86_NO_REG;
}

static bool is_memory_at(const struct decode *d, unsigned int reg)
{
	return d->mod != 3 && !d->rip_relative && !d->has_sib && d->rm == reg;
}

/* mov, lea and arithmetic with rsp or rbp. */
static void classify_moves(const struct decode *d, struct x86_insn *i)
{
	uint8_t o = d->opcode, group = d->reg & 7;
	bool wide = d->rex & 8;

	if ((o == 0x81 || o == 0x83) && d->mod == 3 && d->rm == X86_RSP && wide &&
	    (group == 0 || group == 5)) {
		i->op = X86_ADD_RSP;
		i->value = group == 5 ? -d->imm : d->imm;
	} else if (o == 0x8d && d->reg == X86_RSP && wide && is_memory_at(d, d->rm)) {
		i->op = d->rm == X86_RSP ? X86_ADD_RSP : X86_RSP_FROM_REG;
		i->reg = d->rm;
		i->value = d->disp;
	} else if (o == 0x8d && d->rip_relative) {
		i->op = X86_LEA_CODE;
		i->reg = d->reg;
		i->value = d->disp;
	} else if (o == 0x8d && wide && is_memory_at(d, X86_RSP)) {
		i->op = X86_REG_FROM_RSP;
		i->reg = d->reg;
		i->value = d->disp;
	} else if ((o == 0x89 || o == 0x8b) && d->mod == 3 && wide) {
		uint8_t to = o == 0x89 ? d->rm : d->reg, from = o == 0x89 ? d->reg : d->rm;

		i->reg = to == X86_RSP ? from : to;
		i->op = to == X86_RSP	  ? X86_RSP_FROM_REG
			: from == X86_RSP ? X86_REG_FROM_RSP
					  : X86_OTHER;
	} else if (o == 0x89 && wide && is_memory_at(d, X86_RSP)) {
		i->op = X86_STORE_RSP;
		i->reg = d->reg;
		i->value = d->disp;
	} else if ((o == 0x31 || o == 0x33) && d->mod == 3 && d->reg == X86_RBP &&
		   d->rm == X86_RBP) {
		i->op = X86_ZERO_RBP;
	} else if ((o >= 0xb8 && o < 0xc0 && !wide && !d->operand16)) {
		i->op = X86_MOV_IMM32;
		i->reg = i->writes;
		i->value = (uint32_t)d->imm;
	}
	if (i->op == X86_OTHER && i->writes == X86_RSP)
		i->op = X86_RSP_LOST;
}

static void classify(const struct decode *d, struct x86_insn *i)
{
	uint8_t o = d->opcode, low = (uint8_t)((o & 7) | (d->rex & 1) << 3), group = d->reg & 7;

	i->value = d->imm;
	if (d->map == 1 && !d->vector) {
		if (o >= 0x80 && o < 0x90)
			i->op = X86_JCC;
		else if (o == 0x0b)
			i->op = X86_TRAP;
		else if (o == 0xa0 || o == 0xa8)
			i->op = X86_PUSH;
		else if (o == 0xa1 || o == 0xa9)
			i->op = X86_POP;
	}
	if (d->map)
		return;
	if (o >= 0x50 && o < 0x60) {
		i->op = o < 0x58 ? X86_PUSH : X86_POP;
		i->reg = low;
	} else if (o == 0x68 || o == 0x6a || o == 0x9c || (o == 0xff && group == 6)) {
		i->op = X86_PUSH;
	} else if (o == 0x9d || o == 0x8f) {
		i->op = X86_POP;
	} else if ((o >= 0x70 && o < 0x80) || (o >= 0xe0 && o < 0xe4)) {
		i->op = X86_JCC;
	} else if (o == 0xe8) {
		i->op = X86_CALL;
	} else if (o == 0xe9 || o == 0xeb) {
		i->op = X86_JMP;
	} else if (o == 0xc2 || o == 0xc3) {
		i->op = X86_RET;
	} else if (o == 0xc9) {
		i->op = X86_LEAVE;
	} else if (o == 0xc8) {
		i->op = X86_RSP_LOST;
	} else if (o == 0xcc || o == 0xf4) {
		i->op = X86_TRAP;
	} else if (o == 0xff && (group == 2 || group == 4)) {
		i->op = group == 2 ? X86_CALL_INDIRECT : X86_JMP_INDIRECT;
		i->value = d->has_sib && d->absolute ? d->disp : 0;
	} else if (((o == 0x81 || o == 0x83 || o == 0x80) && group == 7) || o == 0x3c ||
		   o == 0x3d) {
		i->op = X86_CMP_IMM;
	} else {
		classify_moves(d, i);
	}
}

bool x86_insn_decode(const uint8_t *p, size_t n, struct x86_insn *ret)
{
	/* Longer than 15 bytes is no instruction (SDM volume 2, 2.3.11). */
	struct decode d = {.c = cursor_of(p, MIN(n, 15))};
	struct x86_insn i = {.reg = X86_NO_REG, .writes = X86_NO_REG};

	read_prefixes(&d);
	read_opcode(&d);
	if (d.c.bad || !read_operands(&d))
		return false;
	i.bytes = (uint8_t)(d.c.p - p);
	i.writes = written_reg(&d);
	classify(&d, &i);
	if (i.op == X86_CALL || i.op == X86_JMP || i.op == X86_JCC || i.op == X86_LEA_CODE)
		i.value += i.bytes;
	*ret = i;
	return true;
}

bool x86_is_padding(const uint8_t *p, size_t n)
{
	struct x86_insn i;

	while (n) {
		/* nop, int3, zero, or a long nop: 0f 1f behind any number of prefixes */
		size_t k = 0;

		if (*p == 0x90 || *p == 0xcc || *p == 0) {
			p++;
			n--;
			continue;
		}
		while (k < n && (p[k] == 0x66 || p[k] == 0x2e || p[k] == 0x48))
			k++;
		if (k < n && p[k] == 0x90) {
			p += k + 1;
			n -= k + 1;
			continue;
		}
		if (n < k + 2 || p[k] != 0x0f || p[k + 1] != 0x1f || !x86_insn_decode(p, n, &i))
			return false;
		p += i.bytes;
		n -= i.bytes;
	}
	return true;
}

unsigned int x86_dwarf_reg(unsigned int reg)
{
	static const uint8_t numbers[] = {0, 2, 1, 3, 7, 6, 4, 5};

	return reg < ARRAY_SIZE(numbers) ? numbers[reg] : reg;
}
