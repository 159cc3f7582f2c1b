/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct x86_insn: the length of one x86-64 instruction and, of those that matter for the height of
 * the stack, what it does. It is no disassembler: everything else is X86_OTHER. Opcode maps: Intel
 * SDM volume 2, appendix A.
 */
#pragma once

#include "agent/base/macro.h"

enum x86_op {
	X86_OTHER,
	X86_PUSH,	  /* 8 bytes; reg, or X86_NO_REG */
	X86_POP,	  /* 8 bytes; reg, or X86_NO_REG */
	X86_ADD_RSP,	  /* rsp += value */
	X86_RSP_FROM_REG, /* rsp = reg + value */
	X86_RSP_LOST,	  /* rsp becomes anything else */
	X86_REG_FROM_RSP, /* reg = rsp + value */
	X86_STORE_RSP,	  /* 8 bytes of reg to rsp + value */
	X86_LEAVE,
	X86_RET,
	X86_CALL, /* to value, relative to the instruction's start */
	X86_CALL_INDIRECT,
	X86_JMP,	  /* likewise */
	X86_JCC,	  /* likewise */
	X86_JMP_INDIRECT, /* value: address of the table in jmp *value(,reg,8), else 0 */
	X86_TRAP,	  /* ud2, hlt, int3: nothing runs after it */
	X86_ZERO_RBP,	  /* xor of ebp or rbp with itself */
	X86_LEA_CODE,	  /* reg = value, relative to the instruction's start */
	X86_MOV_IMM32,	  /* reg = value, zero-extended */
	X86_CMP_IMM,	  /* of anything with value */
};

/* Registers in the order of their encoding. */
enum x86_reg { X86_RBX = 3, X86_RSP = 4, X86_RBP = 5 };
#define X86_NO_REG 255

struct x86_insn {
	enum x86_op op;
	uint8_t bytes;
	uint8_t reg;
	uint8_t writes; /* general register that it changes otherwise, where that is easy to tell */
	int64_t value;
};

/* false: not a known instruction, or it does not end before n bytes. */
bool x86_insn_decode(const uint8_t *p, size_t n, struct x86_insn *ret);

/* Does a run of bytes between two functions hold nothing but padding (nop, int3, zero)? */
bool x86_is_padding(const uint8_t *p, size_t n);
/* The DWARF number of a register (System V psABI, figure 3.36). */
unsigned int x86_dwarf_reg(unsigned int reg);
