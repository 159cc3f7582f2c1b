/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the two halves of the symbol writer: symtab_collect.c fills struct symtab_set from a
 * file, symtab_write.c orders and packs it.
 */
#pragma once

#include "agent/base/macro.h"

struct gopclntab;
struct objfile;

/* What kind of evidence a name is, better first. */
enum symtab_rank {
	SYMTAB_RANK_GO,
	SYMTAB_RANK_FUNC, /* global and weak: the table that links against it */
	SYMTAB_RANK_FUNC_LOCAL,
	SYMTAB_RANK_PLT,
	SYMTAB_RANK_LABEL, /* no type: assembly that did not say .type */
	SYMTAB_RANK_LABEL_LOCAL,
};

struct symtab_entry {
	uint64_t start, size; /* size 0: to the next function or the end of its section */
	uint64_t limit;	      /* the end of its section */
	const char *name;     /* borrowed from the objfile, name_bytes long */
	uint32_t name_bytes;
	uint64_t resolver; /* of a stub without a symbol: named like the function there; else 0 */
	uint32_t go;	   /* 1 + index in the gopclntab; 0: not from there */
	uint8_t rank;	   /* enum symtab_rank */
	bool weak;
};

struct symtab_set {
	struct symtab_entry *v;
	size_t n, cap;
	int failed; /* -ENOMEM; too many entries are dropped instead */
};

/* Adds every function of o; g may be NULL. *ret_symtab: there was a .symtab. */
int symtab_collect(struct objfile *o, const struct gopclntab *g, struct symtab_set *set,
		   bool *ret_symtab);
void symtab_set_done(struct symtab_set *set);
