/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct cfi_program: the instructions of one CIE or FDE, run over a struct cfi_row. Every change
 * of the location hands the finished row to a callback. It reads hostile bytes: operands are
 * checked, the stack of remembered states is bounded, and a budget that the caller shares among
 * all programs of a file bounds the work.
 */
#pragma once

#include "agent/base/cursor.h"
#include "unwinders/cfi.h"

#define CFI_REMEMBERED_MAX 16

struct cfi_program {
	const struct cfi_machine *machine;
	struct cursor code;
	uint64_t code_align;
	int64_t data_align;
	uint64_t start, end;	       /* vaddr of the function; both 0 for a CIE */
	const struct cfi_row *initial; /* the CIE's row, for DW_CFA_restore; NULL in a CIE */
	uint64_t *budget;	       /* instructions left for the whole file */
	/* DW_CFA_set_loc: reads an address in the encoding of the CIE. */
	uint64_t (*read_address)(struct cursor *c, void *userdata);
	/* `row` holds from `at` until the next call, or the end. Negative: stop with this error. */
	int (*row)(uint64_t at, const struct cfi_row *row, void *userdata);
	void *userdata;
};

/*
 * Runs from *row on and leaves the last state there. 0, -EBADMSG when an instruction is malformed
 * or unknown (rows before it have been delivered), -E2BIG when the budget is spent, or what the
 * callback returned.
 */
int cfi_program_run(struct cfi_program *p, struct cfi_row *row);
