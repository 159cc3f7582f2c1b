/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the stubs of the PLT of x86-64 files: a stub jumps through a word that a relocation
 * fills, and the relocation has the symbol. That holds for all layouts linkers make (.plt,
 * .plt.sec, .plt.got), so none of them has to be known.
 */
#include "symbolizer/symtab_internal.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"

struct slot {
	uint64_t got;	   /* the word that the stub jumps through */
	uint64_t resolver; /* R_X86_64_IRELATIVE: what chooses the function; there is no symbol */
	uint32_t symbol;
};

struct slots {
	struct slot *v; /* ascending by got */
	size_t n;
	const uint8_t *jmprel; /* n_jmprel of Elf64_Rela: lazy stubs push the index */
	size_t n_jmprel;
};

static int slot_compare(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->got < y->got ? -1 : x->got > y->got;
}

static void slots_read(struct slots *s, size_t max, const uint8_t *relas, size_t n)
{
	for (size_t i = 0; i < n && s->n < max; i++) {
		Elf64_Rela r;
		struct slot slot;

		memcpy(&r, relas + i * sizeof(r), sizeof(r));
		slot = (struct slot){.got = r.r_offset, .symbol = (uint32_t)(r.r_info >> 32)};
		if (ELF64_R_TYPE(r.r_info) == R_X86_64_IRELATIVE)
			slot.resolver = (uint64_t)r.r_addend;
		else if (ELF64_R_TYPE(r.r_info) != R_X86_64_JUMP_SLOT &&
			 ELF64_R_TYPE(r.r_info) != R_X86_64_GLOB_DAT)
			continue;
		s->v[s->n++] = slot;
	}
}

static int slots_init(struct objfile *o, struct slots *s)
{
	struct objfile_section plt = {0}, dyn = {0};
	size_t max;

	if (objfile_section_by_name(o, ".rela.plt", &plt) < 0 || !plt.data)
		plt.size = 0;
	if (objfile_section_by_name(o, ".rela.dyn", &dyn) < 0 || !dyn.data)
		dyn.size = 0;
	s->jmprel = plt.data;
	s->n_jmprel = plt.size / sizeof(Elf64_Rela);
	/* Nobody calls more than this many functions of other files; relative relocations do not
	 * count. */
	max = MIN(s->n_jmprel + dyn.size / sizeof(Elf64_Rela), (size_t)1 << 17);
	if (!max)
		return -ENOENT;
	s->v = malloc(max * sizeof(*s->v));
	if (!s->v)
		return -ENOMEM;
	slots_read(s, max, plt.data, s->n_jmprel);
	slots_read(s, max, dyn.data, dyn.size / sizeof(Elf64_Rela));
	qsort(s->v, s->n, sizeof(*s->v), slot_compare);
	return 0;
}

/*
 * Where a stub goes: [endbr64] [bnd] jmp *disp(%rip), or the lazy half [endbr64] push $index
 * (x86-64 psABI, 5.2 and the CET supplement; binutils 2.40 bfd/elf64-x86-64.c).
 */
static bool stub_slot(const struct slots *s, const uint8_t *p, uint32_t bytes, uint64_t vaddr,
		      struct slot *ret)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	uint32_t i = 0, value;

	if (bytes >= 12 && !memcmp(p, endbr64, sizeof(endbr64)))
		i = 4;
	if (bytes - i >= 7 && p[i] == 0xf2)
		i++;
	if (bytes - i >= 6 && p[i] == 0xff && p[i + 1] == 0x25) {
		struct slot key, *hit;

		memcpy(&value, p + i + 2, sizeof(value));
		key.got = vaddr + i + 6 + (uint64_t)(int64_t)(int32_t)value;
		hit = bsearch(&key, s->v, s->n, sizeof(key), slot_compare);
		if (hit)
			*ret = *hit;
		return hit;
	}
	if (bytes - i >= 5 && p[i] == 0x68) {
		struct slots one = {.v = ret};

		memcpy(&value, p + i + 1, sizeof(value));
		if (value < s->n_jmprel)
			slots_read(&one, 1, s->jmprel + value * sizeof(Elf64_Rela), 1);
		return one.n;
	}
	return false;
}

static void add_stubs(const struct slots *s, const struct objfile_section *plt,
		      const struct symtab_source *dynsym, struct symtab_set *set)
{
	uint32_t stride = plt->entsize == 8 ? 8 : 16;

	for (uint64_t off = 0; off + stride <= plt->size; off += stride) {
		struct symtab_entry e = {
			.start = plt->addr + off,
			.size = stride,
			.limit = plt->addr + off + stride,
			.name = "",
			.rank = SYMTAB_RANK_PLT,
		};
		struct slot slot;
		Elf64_Sym sym;

		if (!stub_slot(s, plt->data + off, stride, e.start, &slot))
			continue;
		if (slot.resolver)
			e.resolver = slot.resolver;
		else if (slot.symbol && symtab_source_at(dynsym, slot.symbol, &sym))
			e.name = symtab_source_name(dynsym, &sym, &e.name_bytes);
		if (e.name && (e.name_bytes || e.resolver))
			symtab_set_add(set, &e);
	}
}

int symtab_collect_plt(struct objfile *o, const struct symtab_source *dynsym,
		       struct symtab_set *set)
{
	static const char *const names[] = {".plt", ".plt.sec", ".plt.got", ".plt.bnd"};
	struct objfile_section plt;
	struct slots s = {0};
	int r;

	if (objfile_machine(o) != EM_X86_64)
		return 0;
	r = slots_init(o, &s);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (objfile_section_by_name(o, names[i], &plt) == 0 && plt.data &&
		    plt.addr <= UINT64_MAX - plt.size)
			add_stubs(&s, &plt, dynsym, set);
	}
	free(s.v);
	return 0;
}
