/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct dwarf: names, inlined functions, files and lines out of debug information, DWARF 2 to 5,
 * with split DWARF (.dwo, .dwp) and dwz's shared file. It is asked for many addresses at once and
 * reads only the units that hold one of them. It runs in the sandboxed child: every offset is
 * checked before it is followed, and a part that is damaged is a part without information.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;
struct dwarf;

#define DWARF_FRAMES_MAX 128 /* functions at one address; more are cut at the outer end */
#define DWARF_SPLIT_MAX	 4096

/* All borrowed, and must outlive the struct dwarf. */
struct dwarf_files {
	struct objfile *debug;	      /* has .debug_info: the program, or its separate debug file */
	struct objfile *alt;	      /* what .gnu_debugaltlink names; NULL: not there */
	struct objfile *const *split; /* .dwo and .dwp files */
	size_t n_split;
};

/* -ENODATA: no debug information; -ENOMEM. */
int dwarf_open(const struct dwarf_files *f, struct dwarf **ret);
struct dwarf *dwarf_free(struct dwarf *d);
DEFINE_CLEANUP(struct dwarf *, dwarf_free)
/* What it holds, without the files. */
size_t dwarf_bytes(const struct dwarf *d);

/* One function at an address. Strings are borrowed from the files. */
struct dwarf_frame {
	const char *name; /* the linkage name, else the name; NULL: not known */
	bool is_linkage_name;
	const char *comp_dir, *dir, *file; /* comp_dir/dir/file, see dwarf_path(); NULL: unknown */
	uint32_t line;			   /* of the address, or of the call of the frame before */
	uint32_t start_line;		   /* where the function is declared; 0: unknown */
};

/*
 * Looks up n virtual addresses, in ascending order. fn is called for those that anything is known
 * of, in any order, once each: frames[0] is the innermost function, the last one is the function
 * that the code belongs to; only that one may be without a name. 0, -ENOMEM, or -E2BIG.
 */
typedef void (*dwarf_fn)(void *data, size_t index, const struct dwarf_frame *frames, size_t n);
int dwarf_expand(struct dwarf *d, const uint64_t *vaddrs, size_t n, dwarf_fn fn, void *data);

/* Calls fn for each row of all line tables. 0, -ENOMEM. */
typedef void (*dwarf_each_row_fn)(void *data, uint64_t start, uint64_t end);
int dwarf_each_row(struct dwarf *d, dwarf_each_row_fn fn, void *data);

/* The path of a frame's file in `to`, the way compilers mean it; cut when it does not fit. "" when
 * not known. */
void dwarf_path(const struct dwarf_frame *f, char *to, size_t size);

/* Split units that the last dwarf_expand() wanted and did not have: file name (relative to
 * comp_dir) and id. -ENOENT past the last one. */
struct dwarf_missing {
	const char *comp_dir, *name;
	uint64_t dwo_id;
};
int dwarf_get_missing(const struct dwarf *d, size_t i, struct dwarf_missing *ret);
