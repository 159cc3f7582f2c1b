/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the symbol writer: symtab_collect.c and symtab_plt.c fill struct symtab_set
 * from a file, symtab_write.c orders and packs it, symtab_lines.c packs lines.
 */
#pragma once

#include <elf.h>

#include "agent/base/macro.h"

struct gopclntab;
struct objfile;
struct table_writer;

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
	const char *name;     /* borrowed from the file, name_bytes long */
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

/* A table of symbols in the file. */
struct symtab_source {
	const uint8_t *data; /* n of Elf64_Sym, maybe misaligned */
	size_t n;
	const char *names;
	size_t names_bytes;
};

bool symtab_source_at(const struct symtab_source *s, size_t i, Elf64_Sym *ret);
/* The name up to a version ("memcpy@@GLIBC_2.14"), cut at the limit. NULL when there is none. */
const char *symtab_source_name(const struct symtab_source *s, const Elf64_Sym *sym,
			       uint32_t *ret_bytes);

void symtab_set_add(struct symtab_set *set, const struct symtab_entry *e);
/* Adds the stubs that can be named with the symbols of dynsym. */
int symtab_collect_plt(struct objfile *o, const struct symtab_source *dynsym,
		       struct symtab_set *set);
/* Adds every function of o; mini (symbols more for o, see minidebug.h) and g may be NULL.
 * *ret_symtab: there was a .symtab, or mini. */
int symtab_collect(struct objfile *o, struct objfile *mini, const struct gopclntab *g,
		   struct symtab_set *set, bool *ret_symtab);
void symtab_set_done(struct symtab_set *set);

/* TABLE_LINES for the ordered and final set, from g. */
int symtab_write_lines(struct table_writer *w, const struct symtab_set *s,
		       const struct gopclntab *g);
