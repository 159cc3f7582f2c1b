/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct rows_pager: cuts ascending (file offset, rule) pairs into self-contained pages of 64 KiB
 * and appends them to the sections of a table. Pages without any valid rule are left out.
 */
#pragma once

#include "agent/base/buf.h"
#include "unwinders/row_list.h"
#include "unwinders/rows.h"

struct rows_pager {
	struct buf *pages, *index; /* borrowed: TABLE_ROWS, TABLE_ROWS_INDEX */
	struct rows_stats *stats;  /* borrowed */
	const uint64_t *rules;	   /* borrowed: all rules of the file; 0 is that of no code */
	struct {
		uint32_t page; /* in which `local` is valid, plus 1 */
		uint32_t local;
	} * seen;      /* owned; by rule index */
	uint64_t page; /* that is being filled */
	uint32_t rule; /* that holds at its end so far */
	uint32_t n_rows, n_rules;
	uint16_t starts[ROWS_MAX], indices[ROWS_MAX];
	uint64_t page_rules[ROWS_MAX];
};

/* The pager is large: on the heap. NULL: no memory. */
struct rows_pager *rows_pager_new(struct table_writer *w, const uint64_t *rules, size_t n_rules,
				  struct rows_stats *stats);
struct rows_pager *rows_pager_free(struct rows_pager *p);
DEFINE_CLEANUP(struct rows_pager *, rows_pager_free)

/* From this file offset on the rule with this index holds. Offsets strictly ascend; the last call
 * ends the code with rule 0. */
void rows_pager_add(struct rows_pager *p, uint64_t offset, uint32_t rule);
/* The rows of a sealed block; what comes behind it is the caller's. */
void rows_pager_add_block(struct rows_pager *p, const struct row_list *l,
			  const struct row_block *block);
/* Writes the last page. 0, or what failed in the sections' buffers. */
int rows_pager_finish(struct rows_pager *p);
