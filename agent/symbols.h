/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of an address of a file: from its table, from the symbols of its separate debug file,
 * and from its debug information, put together the way a person wants to read them.
 */
#pragma once

#include "agent/line_cache.h"
#include "symbolizer/symtab.h"

struct debug_file;
struct table;

struct symbols {
	const struct table *table; /* borrowed, as all here */
	struct debug_file *debug;  /* NULL: none */
	struct line_cache *lines;
};

struct symbols_names {
	uint64_t vaddr;
	/* innermost first; strings are borrowed, the last name from `symbol`: not to be copied */
	struct line_frame frames[LINE_FRAMES_MAX];
	size_t n;
	bool has_place; /* n is 0, but frames[0] has path and line of the code */
	struct symtab_hit symbol;
};

/*
 * The functions at a virtual address, innermost first; the last one is the function that the code
 * belongs to. Their number, 0 when there is no name. -EAGAIN: ret holds what the symbols say, more
 * may be known in a moment and was asked for.
 */
int symbols_get(const struct symbols *s, uint64_t vaddr, struct symbols_names *ret);
/* Asks for what symbols_get() would have to wait for. -EAGAIN: it was not there yet. */
int symbols_want(const struct symbols *s, uint64_t vaddr);
