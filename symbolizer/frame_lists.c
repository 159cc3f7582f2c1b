/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/frame_lists.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "symbolizer/frame_tree.h"
#include "symbolizer/objfile.h"

#define FUNCTION_BYTES_MAX 4096
#define USES_MAX	   64
#define INSN_BYTES	   7 /* REX.W, opcode, ModRM, 4 bytes of displacement */

/* An access of 8 bytes by an address relative to rip: mov to and from, lea (Intel SDM volume 2). */
enum use { USE_LOAD = 0x8b, USE_STORE = 0x89, USE_ADDRESS = 0x8d };

struct uses {
	struct {
		uint64_t vaddr;
		uint8_t opcode;
	} v[USES_MAX];
	size_t n;
};

static bool in_table(struct objfile *o, uint32_t type, const char *name, Elf64_Sym *ret)
{
	struct objfile_section s, names;
	size_t bytes = strlen(name) + 1;

	if (objfile_section_by_type(o, type, &s) < 0 || !s.data ||
	    objfile_section_at(o, s.link, &names) < 0 || !names.data)
		return false;
	for (uint64_t i = 0; i < s.size / sizeof(Elf64_Sym); i++) {
		memcpy(ret, s.data + i * sizeof(*ret), sizeof(*ret));
		if (ELF64_ST_TYPE(ret->st_info) == STT_FUNC && ret->st_shndx != SHN_UNDEF &&
		    ret->st_name < names.size && names.size - ret->st_name >= bytes &&
		    !memcmp(names.data + ret->st_name, name, bytes))
			return true;
	}
	return false;
}

/* Is this one of our variables' addresses: in data, which is zero at the start? */
static bool offset_of(const struct objfile *o, uint64_t vaddr, uint64_t *ret)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);

	for (size_t i = 0; i < n && !(vaddr & 7); i++) {
		if (s[i].type != PT_LOAD || !(s[i].flags & PF_W) || vaddr < s[i].vaddr ||
		    vaddr - s[i].vaddr >= s[i].memsz)
			continue;
		*ret = s[i].offset + (vaddr - s[i].vaddr);
		return true;
	}
	return false;
}

/* What looks like an access is one when it leads to data: nothing is disassembled. */
static int read_uses(struct objfile *o, const char *function, struct uses *ret)
{
	const uint8_t *code;
	uint64_t offset;
	Elf64_Sym sym;

	ret->n = 0;
	if (!in_table(o, SHT_DYNSYM, function, &sym) && !in_table(o, SHT_SYMTAB, function, &sym))
		return -ENOENT;
	sym.st_size = MIN(sym.st_size, (uint64_t)FUNCTION_BYTES_MAX);
	code = objfile_at_vaddr(o, sym.st_value, sym.st_size);
	for (uint64_t i = 0; code && i + INSN_BYTES <= sym.st_size && ret->n < USES_MAX; i++) {
		const uint8_t *p = code + i;
		int32_t displacement;
		uint64_t vaddr;

		if ((p[0] & 0xfb) != 0x48 || (p[2] & 0xc7) != 0x05 ||
		    (p[1] != USE_LOAD && p[1] != USE_STORE && p[1] != USE_ADDRESS))
			continue;
		memcpy(&displacement, p + 3, sizeof(displacement));
		vaddr = sym.st_value + i + INSN_BYTES + (uint64_t)(int64_t)displacement;
		if (!offset_of(o, vaddr, &offset))
			continue;
		ret->v[ret->n].vaddr = vaddr;
		ret->v[ret->n++].opcode = p[1];
	}
	return 0;
}

static bool has_use(const struct uses *u, uint64_t vaddr, enum use use)
{
	for (size_t i = 0; i < u->n; i++) {
		if (u->v[i].vaddr == vaddr && u->v[i].opcode == use)
			return true;
	}
	return false;
}

/* The first address that is used in both ways. */
static bool find_both(const struct uses *u, enum use one, enum use other, uint64_t except,
		      uint64_t *ret)
{
	for (size_t i = 0; i < u->n; i++) {
		if (u->v[i].vaddr == except || u->v[i].opcode != one ||
		    !has_use(u, u->v[i].vaddr, other))
			continue;
		*ret = u->v[i].vaddr;
		return true;
	}
	return false;
}

/*
 * Registering is "ob->next = unseen_objects; unseen_objects = ob"; taking back goes through both
 * lists with a pointer to what points to the object, first to the variable itself.
 */
static bool find_lists(const struct objfile *o, const struct uses *put, const struct uses *take,
		       uint64_t ret[FRAME_LIST_MAX])
{
	uint64_t unseen, seen;

	return find_both(put, USE_STORE, USE_LOAD, 0, &unseen) &&
	       has_use(take, unseen, USE_ADDRESS) &&
	       find_both(take, USE_ADDRESS, USE_LOAD, unseen, &seen) &&
	       offset_of(o, unseen, &ret[FRAME_LIST_UNSEEN]) &&
	       offset_of(o, seen, &ret[FRAME_LIST_SEEN]);
}

/*
 * Looking something up reads the root and, before and after, the version of the root's lock. From
 * 13.3 on there is a second tree, by the frames' own addresses, in which nothing is looked up; what
 * puts in and takes out is told which, by one of the two functions at least. Before, that is
 * compiled into taking out, for the only tree, and locks it.
 */
static bool find_tree(const struct objfile *o, const struct uses *put, const struct uses *take,
		      const struct uses *look, uint64_t ret[FRAME_LIST_MAX])
{
	for (size_t i = 0; i < look->n; i++) {
		uint64_t tree = look->v[i].vaddr, lock = tree + offsetof(struct frame_tree, lock);

		if (look->v[i].opcode == USE_LOAD && has_use(look, lock, USE_LOAD) &&
		    (has_use(put, tree, USE_ADDRESS) || has_use(take, tree, USE_ADDRESS) ||
		     has_use(take, lock, USE_ADDRESS)))
			return offset_of(o, tree, &ret[FRAME_LIST_TREE]);
	}
	return false;
}

int frame_lists_find(struct objfile *o, uint64_t ret_offsets[FRAME_LIST_MAX])
{
	struct uses put, take, look;
	uint64_t found[FRAME_LIST_MAX] = {0};

	if (objfile_machine(o) != EM_X86_64 ||
	    read_uses(o, "__register_frame_info_bases", &put) < 0 ||
	    read_uses(o, "__deregister_frame_info_bases", &take) < 0)
		return -ENOENT;
	if (!find_lists(o, &put, &take, found)) {
		memset(found, 0, sizeof(found));
		if (read_uses(o, "_Unwind_Find_FDE", &look) < 0 ||
		    !find_tree(o, &put, &take, &look, found))
			return -ENOENT;
	}
	memcpy(ret_offsets, found, sizeof(found));
	return 0;
}
