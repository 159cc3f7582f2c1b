/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symtab: the functions of one file, from its symbol tables, MiniDebugInfo, its PLT and Go's
 * function table, as TABLE_SYMBOLS, TABLE_LINES and TABLE_STRINGS. The child writes them, the agent
 * looks addresses up. Names stay as they are in the file (mangled, any bytes but NUL). The layout
 * is in symtab_layout.h. Inlined functions and DWARF are not here.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;
struct table;
struct table_writer;

#define SYMTAB_NAME_BYTES_MAX 4096 /* longer names are cut */

/* Big because names are not in the table as they are: do not clear it. */
struct symtab_hit {
	uint64_t start, size; /* virtual addresses: start <= vaddr < start + size */
	/* of symtab_lookup_line() alone */
	const char *file;		       /* borrowed from the table; NULL when not known */
	uint32_t line;			       /* of vaddr; 0 when not known */
	uint32_t start_line;		       /* of the function; 0 when not known */
	char name[SYMTAB_NAME_BYTES_MAX + 16]; /* with "@plt" and the decoder's slack */
};

/*
 * Writes the three sections; code_names: names are made small (name_codes.h), which takes a third
 * of the time more. Returns which of TABLE_IS_GO, TABLE_HAS_SYMTAB and TABLE_HAS_LINES hold (for
 * objfile_write_info()), -ENODATA when the file names no function, -E2BIG or -ENOMEM. On error the
 * three sections are empty and usable, the others are as they were.
 */
int symtab_write(struct objfile *o, bool code_names, struct table_writer *w);

/*
 * The innermost function that covers a virtual address of the file. -ENOENT when there is none,
 * -EBADMSG when the table is not sound; ret is not defined then. Safe on any table that
 * table_open() accepted.
 */
int symtab_lookup(const struct table *t, uint64_t vaddr, struct symtab_hit *ret);
/* With file and line. It reads the function's lines up to vaddr: microseconds in a long one. */
int symtab_lookup_line(const struct table *t, uint64_t vaddr, struct symtab_hit *ret);
/* How many functions the table names. */
uint32_t symtab_count(const struct table *t);
