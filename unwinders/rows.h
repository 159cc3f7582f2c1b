/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections TABLE_ROWS and TABLE_ROWS_INDEX: unwind rules by file offset. The child writes them
 * from an ELF file with rows_write(), the agent finds the page of an offset with rows_page_get()
 * and hands it to the kernel as it is (struct rows_page, bpf/types.h).
 *
 * TABLE_ROWS is one struct rows_page after the other. TABLE_ROWS_INDEX is an array of struct
 * rows_index in ascending order of `page`. A page of the file that is not in the index has no
 * unwind information (or no code).
 */
#pragma once

#include "symbolizer/table.h"
#include "bpf/types.h"
#include "unwinders/cfi.h"

struct objfile;

struct rows_index {
	uint32_t page;	 /* file offset >> ROWS_PAGE_SHIFT */
	uint32_t offset; /* of its struct rows_page in TABLE_ROWS, in units of 8 bytes */
};

/* For tests and statistics lines. */
struct rows_stats {
	uint32_t functions; /* in the call frame information */
	uint32_t bad;	    /* of them unreadable, at least in part */
	uint32_t go_functions, plt_stubs, restorers, analysed; /* blocks of the other sources */
	uint32_t reasons[CFI_REASON_MAX];		       /* rows by enum cfi_reason */
	uint32_t pages, rows, rules; /* written; rules: different ones in the whole file */
	uint32_t kinds[16];	     /* rows by enum rule_kind */
	uint64_t code_bytes;	     /* in executable sections, or segments */
	uint64_t covered_bytes;	     /* of them under a rule that is not RULE_INVALID */
};

/*
 * Collects the rows of an x86-64 (or aarch64, see cfi.h) file from Go's tables, .eh_frame,
 * .debug_frame, the layout of PLT stubs, signal restorers and the entry point, and last from the
 * code itself (prologue.h). ORs TABLE_HAS_ROWS into *ret_flags when there is any; a file without
 * unwind information gets no page at all and is walked by frame pointers. 0, -E2BIG when a limit
 * is hit, -ENOMEM; -EOPNOTSUPP for another machine.
 */
int rows_write(struct objfile *o, struct table_writer *w, uint32_t *ret_flags);

/* Virtual addresses. */
struct rows_range {
	uint64_t start, end;
};

/* What rows_write() can do besides. */
struct rows_options {
	/* The code of an interpreter's loop: RULE_CFA becomes RULE_LOOP there. Borrowed. */
	const struct rows_range *loops;
	size_t n_loops;
	struct rows_stats *stats; /* filled; NULL */
};
int rows_write_with(struct objfile *o, struct table_writer *w, const struct rows_options *options,
		    uint32_t *ret_flags);

/*
 * The page of a file, borrowed from t and completely validated: whoever reads it according to
 * bpf/types.h stays inside its *ret_bytes bytes. NULL: there are no rows for it, or they are
 * malformed; see rows_empty_page().
 */
const struct rows_page *rows_page_get(const struct table *t, uint64_t page, size_t *ret_bytes);

/* The same without the validation, which reads all of it: for a page of this table (which does not
 * change) that rows_page_get() has given out before. */
const struct rows_page *rows_page_get_again(const struct table *t, uint64_t page);

/* The rule at an offset of a valid page. */
uint64_t rows_lookup(const struct rows_page *p, uint16_t offset);

/* A page with one row, for files and pages without rows. */
#define ROWS_EMPTY_PAGE_BYTES 24
void rows_empty_page(void *ret_page, uint64_t rule);
