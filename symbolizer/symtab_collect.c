/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where names of functions come from: .symtab, MiniDebugInfo, .dynsym (also found through
 * PT_DYNAMIC in files without section headers), Go's function table, and stubs of the PLT
 * (symtab_plt.c). What is no code, and what assemblers leave behind for themselves, is not taken.
 */
#include "symbolizer/symtab_internal.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/gopclntab.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"

#define ENTRIES_MAX (1u << 22)
#define CODE_MAX    4096

struct range {
	uint64_t start, end;
};

struct collector {
	struct objfile *o;
	struct symtab_set *set;
	struct range code[CODE_MAX]; /* executable sections (else segments), ascending */
	size_t n_code;
	struct symtab_source dynsym;
};

void symtab_set_done(struct symtab_set *set)
{
	free(set->v);
	*set = (struct symtab_set){0};
}

void symtab_set_add(struct symtab_set *set, const struct symtab_entry *e)
{
	if (set->n == set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 256;
		struct symtab_entry *v;

		if (set->failed || cap > ENTRIES_MAX)
			return;
		v = realloc(set->v, cap * sizeof(*v));
		if (!v) {
			set->failed = -ENOMEM;
			return;
		}
		set->v = v;
		set->cap = cap;
	}
	set->v[set->n++] = *e;
}

/* ---- where code is ---- */

static int range_compare(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void code_add(struct collector *c, uint64_t start, uint64_t bytes)
{
	if (bytes && bytes <= UINT64_MAX - start && c->n_code < CODE_MAX)
		c->code[c->n_code++] = (struct range){start, start + bytes};
}

static void code_init(struct collector *c)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(c->o, &n);

	for (uint32_t i = 0; i < objfile_section_count(c->o); i++) {
		struct objfile_section h;

		if (objfile_section_header(c->o, i, &h) == 0 && (h.flags & SHF_ALLOC) &&
		    (h.flags & SHF_EXECINSTR))
			code_add(c, h.addr, h.size);
	}
	for (size_t i = 0; i < n && !objfile_section_count(c->o); i++) {
		if (s[i].type == PT_LOAD && (s[i].flags & PF_X))
			code_add(c, s[i].vaddr, s[i].filesz);
	}
	qsort(c->code, c->n_code, sizeof(c->code[0]), range_compare);
}

/* The code range that vaddr lies in, or NULL. */
static const struct range *code_at(const struct collector *c, uint64_t vaddr)
{
	size_t at = PARTITION_POINT(mid, 0, c->n_code, c->code[mid].start <= vaddr);

	return at && vaddr < c->code[at - 1].end ? &c->code[at - 1] : NULL;
}

/* ---- symbol tables ---- */

bool symtab_source_at(const struct symtab_source *s, size_t i, Elf64_Sym *ret)
{
	if (i >= s->n)
		return false;
	memcpy(ret, s->data + i * sizeof(*ret), sizeof(*ret));
	return true;
}

const char *symtab_source_name(const struct symtab_source *s, const Elf64_Sym *sym,
			       uint32_t *ret_bytes)
{
	const char *name, *at;
	size_t max, n;

	if (sym->st_name >= s->names_bytes)
		return NULL;
	name = s->names + sym->st_name;
	max = MIN(s->names_bytes - sym->st_name, (size_t)SYMTAB_NAME_BYTES_MAX);
	n = strnlen(name, max);
	at = n > 1 ? memchr(name + 1, '@', n - 1) : NULL;
	if (at)
		n = (size_t)(at - name);
	if (!n)
		return NULL;
	*ret_bytes = (uint32_t)n;
	return name;
}

/* Labels that assemblers and compilers make for themselves: mapping symbols ($x, $d.12: ELF for
 * the Arm 64-bit Architecture, 5.5.5), .L labels, and what annobin and old GCC mark files with. */
static bool is_local_label(const char *name, uint32_t bytes)
{
	static const char *const marks[] = {".L", ".annobin_", "gcc2_compiled."};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (bytes >= strlen(marks[i]) && !memcmp(name, marks[i], strlen(marks[i])))
			return true;
	}
	return bytes >= 2 && name[0] == '$' && memchr("xdat", name[1], 4) &&
	       (bytes == 2 || name[2] == '.');
}

/* In a relocatable file values are relative to their section. */
static uint64_t section_base(struct objfile *o, uint16_t section)
{
	struct objfile_section s;

	return objfile_type(o) == ET_REL && objfile_section_header(o, section, &s) == 0 ? s.addr
											: 0;
}

static void add_symbol(struct collector *c, const struct symtab_source *s, const Elf64_Sym *sym)
{
	unsigned int type = ELF64_ST_TYPE(sym->st_info), bind = ELF64_ST_BIND(sym->st_info);
	struct symtab_entry e = {.start = sym->st_value, .weak = bind == STB_WEAK};
	const struct range *code;

	if ((type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
	    sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS || sym->st_shndx == SHN_COMMON)
		return;
	e.start += section_base(c->o, sym->st_shndx);
	code = code_at(c, e.start);
	e.name = code ? symtab_source_name(s, sym, &e.name_bytes) : NULL;
	if (!e.name || is_local_label(e.name, e.name_bytes))
		return;
	if (type == STT_NOTYPE)
		e.rank = bind == STB_LOCAL ? SYMTAB_RANK_LABEL_LOCAL : SYMTAB_RANK_LABEL;
	else
		e.rank = bind == STB_LOCAL ? SYMTAB_RANK_FUNC_LOCAL : SYMTAB_RANK_FUNC;
	e.limit = code->end;
	e.size = MIN(sym->st_size, code->end - e.start);
	symtab_set_add(c->set, &e);
}

static void add_symbols(struct collector *c, const struct symtab_source *s)
{
	Elf64_Sym sym;

	for (size_t i = 0; symtab_source_at(s, i, &sym); i++)
		add_symbol(c, s, &sym);
}

static bool symbols_from_section(struct objfile *o, uint32_t type, struct symtab_source *ret)
{
	struct objfile_section s, names;

	if (objfile_section_by_type(o, type, &s) < 0 || !s.data || s.entsize != sizeof(Elf64_Sym) ||
	    objfile_section_at(o, s.link, &names) < 0 || !names.data)
		return false;
	*ret = (struct symtab_source){
		.data = s.data,
		.n = s.size / sizeof(Elf64_Sym),
		.names = (const char *)names.data,
		.names_bytes = names.size,
	};
	return true;
}

/* DT_GNU_HASH ends with the chain of the highest bucket: its last entry has bit 0 set. Layout:
 * glibc 2.36 elf/dl-lookup.c, sysdeps/generic/ldsodefs.h. */
static uint64_t gnu_hash_count(const struct objfile *o, uint64_t vaddr)
{
	const uint8_t *p = objfile_at_vaddr(o, vaddr, 16);
	uint32_t head[4], last = 0;
	uint64_t buckets, chain;

	if (!p)
		return 0;
	memcpy(head, p, sizeof(head)); /* buckets, first symbol, bloom words, bloom shift */
	buckets = vaddr + 16 + (uint64_t)head[2] * 8;
	p = objfile_at_vaddr(o, buckets, (uint64_t)head[0] * 4);
	for (uint32_t i = 0; p && i < head[0]; i++) {
		uint32_t b;

		memcpy(&b, p + (size_t)i * 4, sizeof(b));
		last = MAX(last, b);
	}
	if (last < head[1])
		return head[1];
	chain = buckets + (uint64_t)head[0] * 4;
	for (uint64_t i = last;; i++) {
		p = objfile_at_vaddr(o, chain + (i - head[1]) * 4, 4);
		if (!p || (*p & 1))
			return p ? i + 1 : 0;
	}
}

static bool symbols_from_dynamic(const struct objfile *o, struct symtab_source *ret)
{
	uint64_t symtab, strtab, strsz, hash, n = 0;
	const uint8_t *p;

	if (objfile_dynamic(o, DT_SYMTAB, &symtab) < 0 || objfile_dynamic(o, DT_STRTAB, &strtab) ||
	    objfile_dynamic(o, DT_STRSZ, &strsz) < 0)
		return false;
	if (objfile_dynamic(o, DT_HASH, &hash) == 0 && (p = objfile_at_vaddr(o, hash, 8))) {
		uint32_t chains; /* one a symbol (gABI, hash table) */

		memcpy(&chains, p + 4, sizeof(chains));
		n = chains;
	} else if (objfile_dynamic(o, DT_GNU_HASH, &hash) == 0) {
		n = gnu_hash_count(o, hash);
	}
	if (!n || n > UINT32_MAX)
		return false;
	*ret = (struct symtab_source){
		.data = objfile_at_vaddr(o, symtab, n * sizeof(Elf64_Sym)),
		.n = n,
		.names = (const char *)objfile_at_vaddr(o, strtab, strsz),
		.names_bytes = strsz,
	};
	return ret->data && ret->names;
}

/* ---- Go ---- */

static void add_go(struct symtab_set *set, const struct gopclntab *g)
{
	struct gopclntab_func f;

	for (size_t i = 0; i < gopclntab_count(g); i++) {
		if (gopclntab_func(g, i, &f) < 0 || !f.name[0])
			continue;
		symtab_set_add(set, &(struct symtab_entry){
					    .start = f.entry,
					    .size = f.end - f.entry,
					    .limit = f.end,
					    .name = f.name,
					    .name_bytes = (uint32_t)strlen(f.name),
					    .go = (uint32_t)i + 1,
					    .rank = SYMTAB_RANK_GO,
				    });
	}
}

int symtab_collect(struct objfile *o, struct objfile *mini, const struct gopclntab *g,
		   struct symtab_set *set, bool *ret_symtab)
{
	_cleanup_free_ struct collector *c = calloc(1, sizeof(*c));
	struct symtab_source symtab;
	bool has_symtab;
	int r;

	if (!c)
		return -ENOMEM;
	c->o = o;
	c->set = set;
	code_init(c);
	has_symtab = symbols_from_section(o, SHT_SYMTAB, &symtab);
	if (has_symtab)
		add_symbols(c, &symtab);
	if (mini && symbols_from_section(mini, SHT_SYMTAB, &symtab)) {
		add_symbols(c, &symtab);
		has_symtab = true;
	}
	if (!symbols_from_section(o, SHT_DYNSYM, &c->dynsym) &&
	    !symbols_from_dynamic(o, &c->dynsym))
		c->dynsym = (struct symtab_source){0};
	add_symbols(c, &c->dynsym);
	if (g)
		add_go(set, g);
	r = symtab_collect_plt(o, &c->dynsym, set);
	if (r < 0)
		return r;
	*ret_symtab = has_symtab;
	return set->failed;
}
