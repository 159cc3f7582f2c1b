/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind rows of x86-64 code that call frame information does not describe: PLT stubs, signal
 * restorers, the entry point and, through prologue.h, everything else that is small enough. Each
 * function looks only at what the list does not cover yet, adds its blocks and seals the list.
 */
#pragma once

#include "unwinders/row_list.h"

struct objfile;
struct rows_stats;

/* 0, or -ENOMEM/-E2BIG. The statistics count the blocks that were added. add_analysed() returns 1
 * when there is too much code for it. */
int code_rows_add_plt(struct objfile *o, struct row_list *list, struct rows_stats *stats);
int code_rows_add_restorers(struct objfile *o, struct row_list *list, struct rows_stats *stats);
int code_rows_add_analysed(struct objfile *o, struct row_list *list, struct rows_stats *stats);

/*
 * The code of a file: its executable sections or, without section headers, its executable segments.
 * Start with a zeroed code_ranges; false: no more.
 */
struct code_range {
	const uint8_t *data; /* borrowed from the objfile */
	uint64_t vaddr, offset, bytes;
};
struct code_ranges {
	bool started, sections;
	uint32_t position;
};
bool code_next_range(struct objfile *o, struct code_ranges *c, struct code_range *ret);
