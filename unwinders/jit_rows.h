/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind rows of code that a process made in memory, out of call frame information that it
 * registered there. They are pages as rows.h has them, of a file that there is not: offsets count
 * from the address `start` of struct jit_rows_info (section TABLE_CODE_ROWS). Code of which nothing
 * is said has the rule of code without a file, RULE_FP_GUESS.
 */
#pragma once

#include "unwinders/eh_frame.h"
#include "unwinders/rows.h"

struct objfile;
struct table;
struct table_writer;

/* What one registration brings: frames that say where functions are, and where these may be. */
struct jit_rows_source {
	struct eh_frame frames;
	uint64_t start, end; /* of the code */
};

struct jit_rows_info {
	uint64_t start, size; /* size: at most what an offset of a frame word can say */
};

/* The sources of an object file in which sections have their addresses in memory: .eh_frame,
 * .debug_frame. How many: 0 to 2. They are valid as long as o. */
size_t jit_rows_sources(struct objfile *o, struct jit_rows_source ret[2]);
/* .eh_frame of this machine alone, as it lies at vaddr. */
struct jit_rows_source jit_rows_source_of(const uint8_t *data, size_t bytes, uint64_t vaddr);
/* From n sources, the newest first: what an older one says of the same code is not believed.
 * -ENODATA: they say nothing; -E2BIG, -ENOMEM. */
int jit_rows_write(const struct jit_rows_source *v, size_t n, struct table_writer *w);

/* Where the rows of a table are for; -ENODATA: it has none, -EBADMSG. */
int jit_rows_get(const struct table *t, struct jit_rows_info *ret);
