/* SPDX-License-Identifier: Apache-2.0 */
/* Between gopclntab.c, which opens the table, and gopclntab_inline.c, which expands addresses. */
#pragma once

#include "symbolizer/gopclntab.h"

struct gopclntab_range {
	const uint8_t *data; /* borrowed from the file */
	uint64_t bytes;
};

struct gopclntab {
	struct objfile *o; /* borrowed */
	enum gopclntab_version version;
	uint32_t quantum;
	uint64_t text; /* added to the entries of functab; 0 before 1.18 */
	uint64_t vaddr;
	size_t n;
	struct gopclntab_range all, names, cus, files, pcs, funcs;
	const uint8_t *functab; /* n pairs (entry, offset in funcs) and the last end */
	uint8_t *functab_copy;	/* owned: functab, relocated */
	uint32_t field;		/* bytes of each half of a pair */
};

/* What the bytes of [vaddr, vaddr + bytes) will be after relocation by 0, into `to`. */
bool gopclntab_relocated(const struct gopclntab *t, uint64_t vaddr, void *to, size_t bytes);
/* The address of runtime.firstmoduledata (or a plugin's), from 1.18 on. -ENOENT. */
int gopclntab_find_module(const struct gopclntab *t, uint64_t *ret);
/* The last function whose entry is at or before vaddr; -ENOENT when there is none. */
int gopclntab_find(const struct gopclntab *t, uint64_t vaddr, size_t *ret);
/* NULL when it lies outside or does not end. */
const char *gopclntab_string(const struct gopclntab_range *a, uint64_t offset);
