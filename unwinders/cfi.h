/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct cfi_row: where the caller's registers are at one instruction, as DWARF call frame
 * information says it (DWARF 5, section 6.4), and its translation into the 64-bit rule of
 * bpf/types.h. It owns the choice of a rule kind and the recognition of DWARF expressions; the
 * interpreter that makes rows is cfi_program.h, the sections are read by eh_frame.h.
 *
 * Machines: x86-64 is complete. aarch64 rows are interpreted (x29, x30, the PAC state) and become
 * the rules of bpf/walk_arm64.h; a CFA by an expression (SVE) or another register is RULE_INVALID.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/types.h"

enum cfi_where {
	CFI_SAME,      /* not saved: the register still holds it */
	CFI_UNDEFINED, /* can not be recovered */
	CFI_AT_CFA,    /* saved at CFA + off */
	CFI_VAL_CFA,   /* is CFA + off */
	CFI_IN_REG,    /* in register `reg`; as the CFA's own place: reg + off */
	CFI_EXPR,      /* saved at the address that an expression yields */
	CFI_VAL_EXPR,  /* is what an expression yields */
};

struct cfi_loc {
	uint8_t where; /* enum cfi_where */
	uint8_t reg;   /* DWARF number, CFI_REG_OTHER when above 254 */
	uint16_t expr_bytes;
	int32_t off;
	const uint8_t *expr; /* inside the section */
};
#define CFI_REG_OTHER 255

/* The registers that are followed. x86-64: rbp, rbx, r12..r15 (in the order of enum rule_slot), rip
 * and rsp; aarch64: x29 in slot 0 and x30. */
#define CFI_RA	 SLOT_MAX
#define CFI_SP	 (SLOT_MAX + 1) /* rsp where it is not the CFA, as in longjmp */
#define CFI_REGS (SLOT_MAX + 2)

struct cfi_row {
	struct cfi_loc cfa; /* CFI_IN_REG, CFI_VAL_EXPR or CFI_UNDEFINED */
	struct cfi_loc regs[CFI_REGS];
	bool signal;	/* augmentation 'S' */
	bool ra_signed; /* aarch64: DW_CFA_AARCH64_negate_ra_state */
};

struct cfi_machine {
	uint16_t elf_machine; /* EM_* */
	uint8_t ra_column;
	/* Index in cfi_row.regs of a DWARF register, or -1. */
	int (*index_of)(uint64_t dwarf_reg);
	uint64_t (*rule)(const struct cfi_row *row, unsigned int *ret_reason);
};

/* NULL for a machine that is not supported. */
const struct cfi_machine *cfi_machine(uint16_t elf_machine);

/* Why a row became RULE_INVALID, or lost a register. */
enum cfi_reason {
	CFI_OK,
	CFI_NO_CFA,	    /* no rule for the CFA */
	CFI_CFA_EXPRESSION, /* an expression that is not one of the known ones */
	CFI_CFA_REGISTER,   /* a base register that has no number in a rule */
	CFI_CFA_UNALIGNED,  /* offset not a multiple of 8 */
	CFI_CFA_FAR,	    /* offset over 4 MiB */
	CFI_RETURN_ADDRESS, /* the return address is not at CFA - 8 and in no register */
	CFI_STACK_POINTER,  /* the caller's rsp is not the CFA */
	CFI_REASON_MAX,
};
/* Static text for a statistics line. */
const char *cfi_reason_name(enum cfi_reason reason);

/* The rule of a row; RULE_INVALID with *ret_reason set when it can not be expressed. */
uint64_t cfi_rule(const struct cfi_machine *m, const struct cfi_row *row,
		  enum cfi_reason *ret_reason);
