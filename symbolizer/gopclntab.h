/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct gopclntab: the function table that the Go linker puts into every program (Go 1.2 to
 * 1.27, little-endian, 64-bit): functions with names, frame sizes, files, lines and inlined
 * functions. It is there in stripped programs too. Layouts: Go's src/runtime/symtab.go and
 * src/debug/gosym/pclntab.go of the releases named below; every offset is checked before it is
 * followed.
 */
#pragma once

#include "agent/base/cursor.h"

struct objfile;
struct gopclntab;

/* Which of the four layouts; each name is the first release that has it. */
enum gopclntab_version {
	GOPCLNTAB_1_2,
	GOPCLNTAB_1_16,
	GOPCLNTAB_1_18,
	GOPCLNTAB_1_20,
};

struct gopclntab_func {
	uint64_t entry, end;	     /* virtual addresses in the file; entry < end */
	const char *name;	     /* borrowed from the file, at most 4096 bytes; never NULL */
	uint32_t args;		     /* bytes of arguments on the stack; 0x80000000: unknown */
	uint32_t pcsp, pcfile, pcln; /* for gopclntab_pcvalue(); 0: no table */
	uint32_t n_pcdata;
	uint32_t cu_offset;  /* from 1.16 on, else 0 */
	uint32_t start_line; /* of the func keyword; 0: not known (before 1.20) */
	uint8_t func_id;     /* abi.FuncID; the numbers differ between releases. 0: ordinary */
	uint8_t flag;	     /* abi.FuncFlag, from 1.17 on: 1 TOPFRAME, 2 SPWRITE, 4 ASM */
	uint8_t n_funcdata;  /* from 1.12 on, else 0 */
	uint64_t data; /* where n_pcdata words and the funcdata follow, in the table's functions */
};

/* One pc-value table of one function, see gopclntab_pcvalue(). */
struct gopclntab_iter {
	struct cursor c;
	uint64_t pc, end;
	uint32_t quantum;
	uint32_t value; /* int32_t, unsigned so that hostile sums may wrap */
	bool first;
};

/* The table borrows from o, which must outlive it. -ENOENT: not a Go program, -EBADMSG: it has a
 * table that can not be used, -EOPNOTSUPP: of an unknown version. */
int gopclntab_open(struct objfile *o, struct gopclntab **ret);
struct gopclntab *gopclntab_free(struct gopclntab *t);
DEFINE_CLEANUP(struct gopclntab *, gopclntab_free)

enum gopclntab_version gopclntab_get_version(const struct gopclntab *t);
size_t gopclntab_count(const struct gopclntab *t);
/* Functions ascend by entry. -ENOENT past the end, -EBADMSG for one that is malformed (others may
 * be good). */
int gopclntab_func(const struct gopclntab *t, size_t i, struct gopclntab_func *ret);

/* Starts over the values of a table (f->pcsp, pcfile, pcln) of f. Values of pcsp are the bytes
 * that the stack pointer is below its value at entry (where it points to the return address). */
void gopclntab_pcvalue(const struct gopclntab *t, const struct gopclntab_func *f, uint32_t table,
		       struct gopclntab_iter *ret);
/* The next range [start, end) of equal value, never past the function's end; false when done. */
bool gopclntab_pcvalue_next(struct gopclntab_iter *it, uint64_t *ret_start, uint64_t *ret_end,
			    int32_t *ret_value);

/* One function of those whose code is at an address. Strings are borrowed from the file. */
struct gopclntab_frame {
	const char *name;
	const char *file;    /* NULL: not known */
	uint32_t line;	     /* of the address, or of the call of the frame before; 0: not known */
	uint32_t start_line; /* of the func keyword; 0: not known (before 1.20) */
};
#define GOPCLNTAB_FRAMES_MAX 128 /* more are cut at the outer end */

/*
 * Looks up n virtual addresses, in ascending order, with the functions that were inlined there (Go
 * 1.12 to 1.27; not in position-independent programs before 1.18, and not where the trees can not
 * be found: then the function and its line alone). fn is called for those that lie in a function,
 * in order: frames[0] is the innermost one. 0 or -ENOMEM.
 */
typedef void (*gopclntab_fn)(void *data, size_t index, const struct gopclntab_frame *frames,
			     size_t n);
int gopclntab_expand(const struct gopclntab *t, const uint64_t *vaddrs, size_t n, gopclntab_fn fn,
		     void *data);

/* The path for a value of the pcfile table; NULL when there is none. Borrowed from the file. */
const char *gopclntab_file(const struct gopclntab *t, const struct gopclntab_func *f, int32_t file);
