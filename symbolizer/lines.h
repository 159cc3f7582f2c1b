/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions and lines of single addresses, as they travel from the child, which has the debug
 * information, to the agent: a query with addresses goes in, TABLE_FRAMES and TABLE_STRINGS come
 * out. The reader trusts neither.
 *
 * TABLE_FRAMES:
 *   struct lines_header
 *   u32 first[n + 1]		index of the first frame of each address of the query
 *   struct lines_entry[first[n]]	innermost first
 *   struct lines_missing_entry[n_missing]
 */
#pragma once

#include "symbolizer/dwarf.h"

struct gopclntab;
struct table;
struct table_writer;

#define LINES_QUERY_MAX	  65536 /* addresses at once */
#define LINES_MISSING_MAX 1024

struct lines_query {
	bool has_alt; /* the file behind the debug file is the one of .gnu_debugaltlink */
	size_t n;
	uint64_t *vaddrs; /* owned; ascending */
};

/* A memfd with the query, to be read with lines_query_read(). A descriptor or a negative errno. */
int lines_query_write(const struct lines_query *q);
/* -EBADMSG, -E2BIG, -ENOMEM or the read error. */
int lines_query_read(int fd, size_t max_bytes, struct lines_query *ret);
void lines_query_done(struct lines_query *q);

/*
 * Looks all addresses up and writes both sections: in Go's table first (go; NULL: it is no Go
 * program), which every Go program has and which is complete, and what is not there in the debug
 * information. *d is that of f, or NULL: then it is opened when it is needed, and is the caller's
 * in any case. -ENODATA: there is neither; -E2BIG, -ENOMEM.
 */
int lines_write(const struct gopclntab *go, const struct dwarf_files *f, struct dwarf **d,
		const struct lines_query *q, struct table_writer *w);

struct lines_frame {
	const char *name; /* borrowed from the table; "" unknown */
	bool is_linkage_name;
	const char *path;	   /* borrowed; "" unknown */
	uint32_t line, start_line; /* 0: unknown */
};

/*
 * The frames of address i of the query, innermost first, at most max. Their number, 0 when
 * nothing is known, or -EBADMSG.
 */
int lines_get(const struct table *t, size_t i, struct lines_frame *ret, size_t max);
/* Split files that were missing: -ENOENT past the last one, or -EBADMSG. Strings are never NULL. */
int lines_get_missing(const struct table *t, size_t i, struct dwarf_missing *ret);
