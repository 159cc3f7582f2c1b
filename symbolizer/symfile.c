/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/symfile.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"

struct relocation {
	uint8_t *image;
	size_t bytes;
	struct objfile *o;
	struct objfile_section target, symbols;
};

struct kind {
	uint16_t machine;
	uint32_t type;
	uint8_t width;
	bool relative; /* to where it is written */
};

static const struct kind kinds[] = {
	{EM_X86_64, R_X86_64_64, 8, false},	 {EM_X86_64, R_X86_64_32, 4, false},
	{EM_X86_64, R_X86_64_32S, 4, false},	 {EM_X86_64, R_X86_64_PC32, 4, true},
	{EM_X86_64, R_X86_64_PC64, 8, true},	 {EM_AARCH64, R_AARCH64_ABS64, 8, false},
	{EM_AARCH64, R_AARCH64_ABS32, 4, false}, {EM_AARCH64, R_AARCH64_PREL32, 4, true},
	{EM_AARCH64, R_AARCH64_PREL64, 8, true},
};

/* NULL: not one of an address. */
static const struct kind *kind_of(uint16_t machine, uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].machine == machine && kinds[i].type == type)
			return &kinds[i];
	}
	return NULL;
}

/* A symbol's address: in a relocatable file it is relative to its section. */
static bool symbol_address(const struct relocation *r, uint32_t index, uint64_t *ret)
{
	struct objfile_section s;
	Elf64_Sym sym;

	if (index >= r->symbols.size / sizeof(sym))
		return false;
	memcpy(&sym, r->symbols.data + (size_t)index * sizeof(sym), sizeof(sym));
	if (objfile_section_header(r->o, sym.st_shndx, &s) < 0)
		return false;
	*ret = s.addr + sym.st_value;
	return true;
}

static void apply(const struct relocation *r, const Elf64_Rela *rela)
{
	const struct kind *kind = kind_of(objfile_machine(r->o), ELF64_R_TYPE(rela->r_info));
	uint64_t value;
	uint8_t *at;

	if (!kind || rela->r_offset > r->target.size ||
	    r->target.size - rela->r_offset < kind->width ||
	    !symbol_address(r, (uint32_t)ELF64_R_SYM(rela->r_info), &value))
		return;
	value += (uint64_t)rela->r_addend;
	if (kind->relative)
		value -= r->target.addr + rela->r_offset;
	at = r->image + (r->target.data - r->image) + rela->r_offset;
	memcpy(at, &value, kind->width);
}

/* ".rela.debug_info" is for ".debug_info". What was unpacked is not in the image. Of what the
 * process has in memory, too, the frames are read here. */
static bool find_target(struct relocation *r, const struct objfile_section *relas)
{
	static const char prefix[] = ".rela";
	const struct objfile_section *t = &r->target;

	return !strncmp(relas->name, prefix, strlen(prefix)) && relas->data &&
	       objfile_section_by_name(r->o, relas->name + strlen(prefix), &r->target) == 0 &&
	       (!(t->flags & SHF_ALLOC) || !strcmp(t->name, ".eh_frame")) && t->data >= r->image &&
	       t->data < r->image + r->bytes &&
	       objfile_section_at(r->o, relas->link, &r->symbols) == 0 && r->symbols.data;
}

int symfile_relocate(uint8_t *image, size_t bytes)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct relocation r = {.image = image, .bytes = bytes};
	int e = objfile_open_memory(image, bytes, &o);

	if (e < 0)
		return e;
	r.o = o;
	for (uint32_t i = 0; objfile_type(o) == ET_REL && i < objfile_section_count(o); i++) {
		struct objfile_section relas;

		if (objfile_section_at(o, i, &relas) < 0 || relas.type != SHT_RELA ||
		    !find_target(&r, &relas))
			continue;
		for (uint64_t k = 0; k < relas.size / sizeof(Elf64_Rela); k++) {
			Elf64_Rela rela;

			/* A hostile file's relocations may lie in what they change. */
			memcpy(&rela, relas.data + k * sizeof(rela), sizeof(rela));
			apply(&r, &rela);
		}
	}
	return 0;
}
