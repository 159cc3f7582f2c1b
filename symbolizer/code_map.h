/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct code_map: functions that a runtime made in memory, by absolute address. The child collects
 * them, newest first, and writes TABLE_CODE; the agent looks addresses up. Runtimes use memory
 * again: where functions overlap the newer one is there, the older one keeps the rest.
 *
 * TABLE_CODE:
 *   struct code_map_header
 *   struct code_map_piece[n_pieces]	ascending, not overlapping
 *   struct code_map_function[n_functions + 1]
 *   struct code_map_line[n_lines]	of a function: ascending, from its first_line to the next's
 * Names are in TABLE_STRINGS.
 */
#pragma once

#include "agent/base/intern.h"

struct table;
struct table_writer;

#define CODE_MAP_NAME_MAX  4096	       /* longer names are cut */
#define CODE_MAP_BYTES_MAX (48u << 20) /* of a table; what is older is left out */
#define CODE_MAP_MAX	   (1u << 20)  /* functions */

struct code_map_header {
	uint32_t n_pieces, n_functions, n_lines, reserved;
};

struct code_map_piece {
	uint64_t start;
	uint32_t size, function;
};

struct code_map_function {
	uint64_t start;
	uint32_t name, first_line;
};

struct code_map_line {
	uint32_t offset; /* from the start of the function */
	uint32_t file, line;
};
_Static_assert(sizeof(struct code_map_header) == 16, "code_map_header");
_Static_assert(sizeof(struct code_map_piece) == 16, "code_map_piece");
_Static_assert(sizeof(struct code_map_function) == 16, "code_map_function");
_Static_assert(sizeof(struct code_map_line) == 12, "code_map_line");

/* ---- writing ---- */

struct code_map_entry {
	uint64_t start, size; /* size 0 is ignored; more than 4 GiB is cut */
	const char *name;     /* borrowed until code_map_write(); no NUL needed */
	uint32_t name_bytes;
	uint32_t first_line, n_lines; /* of code_map.lines */
};

struct code_map {
	struct code_map_entry *v;
	size_t n, cap;
	struct code_map_line *lines; /* file: id in files */
	size_t n_lines, cap_lines;
	struct intern files;
	size_t bytes; /* that the table will have at most */
};

void code_map_done(struct code_map *m);
/* Newest first. -E2BIG: it and what is older has no room. -ENOMEM. */
int code_map_add(struct code_map *m, const struct code_map_entry *e);
/* A line for an entry that comes later: its lines must follow each other and ascend. -E2BIG,
 * -ENOMEM; the lines are lost then. */
int code_map_add_line(struct code_map *m, uint32_t offset, const char *file, size_t file_bytes,
		      uint32_t line);
/* -ENODATA when there is no function, -E2BIG, -ENOMEM. Reorders the entries. */
int code_map_write(struct code_map *m, struct table_writer *w);

/* ---- reading ---- */

struct code_map_hit {
	const char *name; /* borrowed from the table */
	const char *file; /* borrowed; "" unknown */
	uint32_t line;	  /* 0: unknown */
};

/* -ENOENT: no function there; -EBADMSG: the table is not sound. Safe on any table. */
int code_map_lookup(const struct table *t, uint64_t address, struct code_map_hit *ret);
/* Functions of the table. */
uint32_t code_map_count(const struct table *t);
