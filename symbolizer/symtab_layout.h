/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of TABLE_SYMBOLS and TABLE_LINES. A function costs its name and about 3.5 bytes: names
 * follow each other in TABLE_STRINGS in the order of addresses, coded (name_codes.h), starts are 16
 * bits within a page of 64 KiB, sizes are told by the gap to the next function where that is small.
 *
 * TABLE_SYMBOLS:
 *   struct symtab_header
 *   u32 pages[n_pages + 1]	first function of each 64 KiB from base on; the last is n
 *   u32 names[(n + 15) / 16]	offset in TABLE_STRINGS of the names of functions 16 * i and later,
 *				each ending in a 0
 *   struct symtab_wide wide[n_wide], ascending by index
 *   u16 starts[n]		offset in the page
 *   u8 gaps[n]			next start - end; SYMTAB_WIDE: see wide[]
 *   u64 words[n_codes], u8 lengths[n_codes]	struct name_codes_view; 0: names are plain
 *
 * TABLE_LINES (absent without lines):
 *   struct symtab_lines_header
 *   u32 files[n_files]		offsets in TABLE_STRINGS; 0 is "", not known
 *   u32 offsets[n]		in this section, of the function's lines; 0: none
 *   lines: uleb start line, then runs until a 0:
 *     uleb bytes << 1 | new file, [uleb index of the file], sleb line - line of the run before
 */
#pragma once

#include <stdint.h>

#define SYMTAB_PAGE_SHIFT   16
#define SYMTAB_NAMES_STRIDE 16
#define SYMTAB_WIDE	    255

struct symtab_header {
	uint64_t base; /* virtual address of the first function */
	uint32_t n, n_pages, n_wide, n_codes;
};
_Static_assert(sizeof(struct symtab_header) == 24, "symtab_header");

/* A function whose end the gap can not tell, or one inside another function. */
struct symtab_wide {
	uint32_t index, size;
	uint32_t parent; /* 1 + index of the function that continues behind this one; 0: none */
};
_Static_assert(sizeof(struct symtab_wide) == 12, "symtab_wide");

struct symtab_lines_header {
	uint32_t n, n_files; /* n: as in struct symtab_header */
};
_Static_assert(sizeof(struct symtab_lines_header) == 8, "symtab_lines_header");
