/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of Go's function table. From 1.18 on function entries are relative to runtime.text,
 * whose address is in the table's header only up to 1.25 and there only in programs that need no
 * relocation; else it comes from the linker's runtime.firstmoduledata. Programs with more than
 * one text section (ppc64 and 32-bit arm only) are not handled.
 */
#include "symbolizer/gopclntab.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "symbolizer/gopclntab_internal.h"
#include "symbolizer/objfile.h"

#define NAME_BYTES_MAX 4096

/* internal/abi/symtab.go, Go 1.27: PCLnTabMagic. */
#define MAGIC_1_2  0xfffffffbu
#define MAGIC_1_16 0xfffffffau
#define MAGIC_1_18 0xfffffff0u
#define MAGIC_1_20 0xfffffff1u

/* runtime.moduledata of amd64 and arm64; the same from 1.16 (runtime/symtab.go) to 1.27. */
#define MODULE_FUNCNAMETAB 8
#define MODULE_MINPC	   160
#define MODULE_TEXT	   176
#define MODULE_BYTES	   192

/* ---- relocated pointers ---- */

/* R_X86_64_RELATIVE and R_AARCH64_RELATIVE. Linkers leave 0 in the place itself. */
static bool rela_relative(struct cursor *c, uint16_t machine, uint64_t *ret_at, uint64_t *ret_value)
{
	uint32_t relative = machine == EM_AARCH64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE;

	while (cursor_left(c) >= sizeof(Elf64_Rela)) {
		*ret_at = cursor_u64(c);
		uint64_t info = cursor_u64(c);
		*ret_value = cursor_u64(c);

		if (ELF64_R_TYPE(info) == relative)
			return true;
	}
	return false;
}

static struct cursor relas(const struct objfile *o)
{
	uint64_t vaddr, bytes;
	const uint8_t *p;

	if (objfile_dynamic(o, DT_RELA, &vaddr) < 0 || objfile_dynamic(o, DT_RELASZ, &bytes) < 0)
		return cursor_of(NULL, 0);
	p = objfile_at_vaddr(o, vaddr, bytes);
	return cursor_of(p, p ? bytes : 0);
}

bool gopclntab_relocated(const struct gopclntab *t, uint64_t vaddr, void *to, size_t bytes)
{
	const uint8_t *p = objfile_at_vaddr(t->o, vaddr, bytes);
	struct cursor c = relas(t->o);
	uint64_t at, value;

	if (!p)
		return false;
	memcpy(to, p, bytes);
	while (rela_relative(&c, objfile_machine(t->o), &at, &value)) {
		if (at >= vaddr && at - vaddr < bytes && bytes - (at - vaddr) >= sizeof(value))
			memcpy((uint8_t *)to + (at - vaddr), &value, sizeof(value));
	}
	return true;
}

/* ---- the start of text ---- */

static uint32_t first_entry(const struct gopclntab *t)
{
	uint32_t v;

	memcpy(&v, t->functab, sizeof(v));
	return v;
}

static uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Is this moduledata? Then its first function must begin where the table says. */
static bool is_module(const struct gopclntab *t, uint64_t vaddr)
{
	uint8_t m[MODULE_BYTES];
	uint64_t text, offset;

	if (!gopclntab_relocated(t, vaddr, m, sizeof(m)))
		return false;
	text = u64_at(m + MODULE_TEXT);
	return u64_at(m) == t->vaddr &&
	       u64_at(m + MODULE_FUNCNAMETAB) ==
		       t->vaddr + (uint64_t)(t->names.data - t->all.data) &&
	       u64_at(m + MODULE_MINPC) == text + first_entry(t) &&
	       objfile_vaddr_to_offset(t->o, text, &offset) == 0;
}

/* moduledata begins with the table's address: look for that in data and among relocations. A
 * hostile file may hold it often, so few are tried. */
int gopclntab_find_module(const struct gopclntab *t, uint64_t *ret)
{
	size_t n, tries = 16;
	const struct objfile_segment *s = objfile_segments(t->o, &n);
	struct cursor c = relas(t->o);
	uint64_t at, value;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *p;

		if (s[i].type != PT_LOAD || !(s[i].flags & PF_W))
			continue;
		p = objfile_at_vaddr(t->o, s[i].vaddr, s[i].filesz);
		for (uint64_t off = -s[i].vaddr & 7; p && off + 8 <= s[i].filesz; off += 8) {
			if (u64_at(p + off) != t->vaddr)
				continue;
			*ret = s[i].vaddr + off;
			if (is_module(t, *ret))
				return 0;
			if (!--tries)
				return -ENOENT;
		}
	}
	while (tries && rela_relative(&c, objfile_machine(t->o), &at, &value)) {
		if (value != t->vaddr)
			continue;
		*ret = at;
		if (is_module(t, at))
			return 0;
		tries--;
	}
	return -ENOENT;
}

static bool module_text(const struct gopclntab *t, uint64_t *ret)
{
	uint8_t text[8];
	uint64_t module;

	if (gopclntab_find_module(t, &module) < 0 ||
	    !gopclntab_relocated(t, module + MODULE_TEXT, text, sizeof(text)))
		return false;
	*ret = u64_at(text);
	return true;
}

static int find_text(struct gopclntab *t, uint64_t header_text)
{
	struct objfile_section s;
	uint64_t offset;

	if (t->version < GOPCLNTAB_1_18)
		return 0;
	if (header_text && objfile_vaddr_to_offset(t->o, header_text, &offset) == 0) {
		t->text = header_text;
		return 0;
	}
	if (module_text(t, &t->text))
		return 0;
	/* Without C code in the program, text is all of .text. */
	if (objfile_section_by_name(t->o, ".text", &s) < 0)
		return -EBADMSG;
	t->text = s.addr;
	return 0;
}

/* ---- opening ---- */

static bool header_ok(const uint8_t *p, uint64_t bytes, uint32_t *ret_magic)
{
	if (bytes < 16 || p[4] || p[5] || (p[6] != 1 && p[6] != 2 && p[6] != 4) || p[7] != 8)
		return false;
	memcpy(ret_magic, p, sizeof(*ret_magic));
	return (*ret_magic & 0xffffff00u) == 0xffffff00u;
}

/* Where no section is named after it: the table is in a segment that is not executable, aligned to
 * 8 at least; there may be anything before it. */
static int find_in_segments(struct objfile *o, struct objfile_section *ret)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);

	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = objfile_at_vaddr(o, s[i].vaddr, s[i].filesz);

		if (s[i].type != PT_LOAD || (s[i].flags & PF_X) || !p)
			continue;
		for (uint64_t off = -s[i].vaddr & 7; off + 16 <= s[i].filesz; off += 8) {
			uint32_t magic;

			if (!header_ok(p + off, 16, &magic) ||
			    (magic != MAGIC_1_2 && magic != MAGIC_1_16 && magic != MAGIC_1_18 &&
			     magic != MAGIC_1_20))
				continue;
			*ret = (struct objfile_section){
				.name = "",
				.data = p + off,
				.size = s[i].filesz - off,
				.addr = s[i].vaddr + off,
			};
			return 0;
		}
	}
	return -ENOENT;
}

static int find_table(struct objfile *o, struct objfile_section *ret)
{
	struct objfile_section any;
	int r = objfile_section_by_name(o, ".gopclntab", ret);

	if (r == -ENOENT) /* position-independent programs up to 1.25 */
		r = objfile_section_by_name(o, ".data.rel.ro.gopclntab", ret);
	/* The same linked by a C linker has it somewhere in .data.rel.ro. Do not search files that
	 * are not Go's: they have sections, and none of these. */
	if (r == -ENOENT && (objfile_section_by_name(o, ".go.buildinfo", &any) == 0 ||
			     objfile_section_by_name(o, ".note.go.buildid", &any) == 0 ||
			     objfile_section_at(o, 1, &any) == -ENOENT))
		r = find_in_segments(o, ret);
	if (r == 0 && !ret->data)
		r = -ENOENT;
	return r;
}

static bool range_at(const struct gopclntab *t, uint64_t offset, struct gopclntab_range *ret)
{
	if (offset > t->all.bytes)
		return false;
	*ret = (struct gopclntab_range){t->all.data + offset, t->all.bytes - offset};
	return true;
}

/* Words of 8 bytes from offset 8: nfunc, nfiles, [textStart from 1.18 on], then offsets of
 * funcnametab, cutab, filetab, pctab, pclntab (runtime.pcHeader). */
static int parse_header_1_16(struct gopclntab *t, uint64_t *ret_text)
{
	struct cursor c = cursor_of(t->all.data, t->all.bytes);
	uint64_t offsets[5];
	uint64_t n, text = 0;

	cursor_skip(&c, 8);
	n = cursor_u64(&c);
	cursor_skip(&c, 8);
	if (t->version >= GOPCLNTAB_1_18)
		text = cursor_u64(&c);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		offsets[i] = cursor_u64(&c);
	if (c.bad || !range_at(t, offsets[0], &t->names) || !range_at(t, offsets[1], &t->cus) ||
	    !range_at(t, offsets[2], &t->files) || !range_at(t, offsets[3], &t->pcs) ||
	    !range_at(t, offsets[4], &t->funcs))
		return -EBADMSG;
	t->field = t->version >= GOPCLNTAB_1_18 ? 4 : 8;
	t->functab = t->funcs.data;
	if (!n || n >= t->funcs.bytes / (2 * t->field))
		return -EBADMSG;
	t->n = n;
	*ret_text = text;
	return 0;
}

/* Header, nfunc, functab, then a 4-byte offset of the file table; everything is relative to the
 * start (golang.org/s/go12symtab). */
static int parse_header_1_2(struct gopclntab *t)
{
	struct cursor c = cursor_of(t->all.data, t->all.bytes);
	uint64_t n;
	uint32_t n_files;

	cursor_skip(&c, 8);
	n = cursor_u64(&c);
	if (c.bad || !n || n >= cursor_left(&c) / 16)
		return -EBADMSG;
	t->n = n;
	t->field = 8;
	t->functab = c.p;
	t->names = t->funcs = t->pcs = t->all;
	cursor_skip(&c, n * 16 + 8);
	if (!range_at(t, cursor_u32(&c), &t->files) || c.bad)
		return -EBADMSG;
	/* The first word counts itself and the rest. */
	c = cursor_of(t->files.data, t->files.bytes);
	n_files = cursor_u32(&c);
	t->files.bytes = MIN(t->files.bytes, (uint64_t)n_files * 4);
	return 0;
}

/* Before 1.18 the entries are pointers: in a position-independent program the linker may have left
 * their values in relocations only. */
static int relocate_functab(struct gopclntab *t)
{
	size_t bytes = t->n * 16 + 8;

	if (t->version >= GOPCLNTAB_1_18 || u64_at(t->functab))
		return 0;
	t->functab_copy = malloc(bytes);
	if (!t->functab_copy)
		return -ENOMEM;
	if (!gopclntab_relocated(t, t->vaddr + (uint64_t)(t->functab - t->all.data),
				 t->functab_copy, bytes))
		return -EBADMSG;
	t->functab = t->functab_copy;
	return 0;
}

/* Half `i` of functab: entry of function i / 2 when even, offset when odd. */
static uint64_t functab_at(const struct gopclntab *t, size_t i)
{
	uint32_t v;

	if (t->field == 8)
		return u64_at(t->functab + i * 8);
	memcpy(&v, t->functab + i * 4, sizeof(v));
	return v;
}

/* Ascending entries bound the sum of all functions' ranges by the size of the code. */
static bool functab_ascends(const struct gopclntab *t)
{
	for (size_t i = 0; i < t->n; i++) {
		if (functab_at(t, 2 * i) > functab_at(t, 2 * i + 2))
			return false;
	}
	return true;
}

int gopclntab_open(struct objfile *o, struct gopclntab **ret)
{
	_cleanup_(gopclntab_freep) struct gopclntab *t = NULL;
	struct objfile_section s;
	uint64_t text = 0;
	uint32_t magic;
	int r;

	r = find_table(o, &s);
	if (r < 0)
		return r;
	if (!header_ok(s.data, s.size, &magic))
		return -EBADMSG;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->o = o;
	t->all = (struct gopclntab_range){s.data, s.size};
	t->vaddr = s.addr;
	t->quantum = s.data[6];
	switch (magic) {
	case MAGIC_1_2:
		t->version = GOPCLNTAB_1_2;
		break;
	case MAGIC_1_16:
		t->version = GOPCLNTAB_1_16;
		break;
	case MAGIC_1_18:
		t->version = GOPCLNTAB_1_18;
		break;
	case MAGIC_1_20:
		t->version = GOPCLNTAB_1_20;
		break;
	default:
		return -EOPNOTSUPP;
	}
	r = t->version == GOPCLNTAB_1_2 ? parse_header_1_2(t) : parse_header_1_16(t, &text);
	if (r == 0)
		r = find_text(t, text);
	if (r == 0)
		r = relocate_functab(t);
	if (r < 0)
		return r;
	if (!functab_ascends(t))
		return -EBADMSG;
	*ret = TAKE_PTR(t);
	return 0;
}

struct gopclntab *gopclntab_free(struct gopclntab *t)
{
	if (t)
		free(t->functab_copy);
	free(t);
	return NULL;
}

enum gopclntab_version gopclntab_get_version(const struct gopclntab *t)
{
	return t->version;
}

size_t gopclntab_count(const struct gopclntab *t)
{
	return t->n;
}

/* ---- functions ---- */

const char *gopclntab_string(const struct gopclntab_range *a, uint64_t offset)
{
	struct cursor c;

	if (offset >= a->bytes)
		return NULL;
	c = cursor_of(a->data + offset, a->bytes - offset);
	return cursor_cstr(&c, NAME_BYTES_MAX);
}

/*
 * runtime._func: entry (uintptr, from 1.18 on u32), then u32 words: nameoff, args, deferreturn
 * (frame before 1.5), pcsp, pcfile, pcln, npcdata, [cuOffset from 1.16 on], [startLine from 1.20
 * on], then bytes: funcID (from 1.12 on), flag (from 1.17 on), 0, nfuncdata. Before 1.12 the last
 * word is nfuncdata alone: then the low byte is no funcID and the high byte is 0.
 */
static int func_parse(const struct gopclntab *t, uint64_t offset, struct gopclntab_func *f)
{
	struct cursor c;
	uint32_t name;

	if (offset > t->funcs.bytes)
		return -EBADMSG;
	c = cursor_of(t->funcs.data + offset, t->funcs.bytes - offset);
	cursor_skip(&c, t->field);
	name = cursor_u32(&c);
	f->args = cursor_u32(&c);
	cursor_skip(&c, 4);
	f->pcsp = cursor_u32(&c);
	f->pcfile = cursor_u32(&c);
	f->pcln = cursor_u32(&c);
	f->n_pcdata = cursor_u32(&c);
	if (t->version >= GOPCLNTAB_1_16)
		f->cu_offset = cursor_u32(&c);
	if (t->version >= GOPCLNTAB_1_20)
		f->start_line = cursor_u32(&c);
	f->func_id = cursor_u8(&c);
	f->flag = cursor_u8(&c);
	cursor_skip(&c, 1);
	f->n_funcdata = cursor_u8(&c);
	f->data = (uint64_t)(c.p - t->funcs.data);
	/* 1.2 to 1.15 differ in the last word and no header tells which: 0 is "ordinary". */
	if (t->version == GOPCLNTAB_1_2)
		f->func_id = f->flag = 0;
	f->name = gopclntab_string(&t->names, name);
	return c.bad || !f->name ? -EBADMSG : 0;
}

int gopclntab_func(const struct gopclntab *t, size_t i, struct gopclntab_func *ret)
{
	struct gopclntab_func f = {0};
	uint64_t first, last;
	int r;

	if (i >= t->n)
		return -ENOENT;
	f.entry = t->text + functab_at(t, 2 * i);
	f.end = t->text + functab_at(t, 2 * i + 2);
	if (f.entry >= f.end || objfile_vaddr_to_offset(t->o, f.entry, &first) < 0 ||
	    objfile_vaddr_to_offset(t->o, f.end - 1, &last) < 0 ||
	    last - first != f.end - 1 - f.entry)
		return -EBADMSG;
	r = func_parse(t, functab_at(t, 2 * i + 1), &f);
	if (r < 0)
		return r;
	*ret = f;
	return 0;
}

int gopclntab_find(const struct gopclntab *t, uint64_t vaddr, size_t *ret)
{
	size_t at;

	if (vaddr < t->text)
		return -ENOENT;
	at = PARTITION_POINT(mid, 0, t->n, functab_at(t, 2 * mid) <= vaddr - t->text);
	if (!at)
		return -ENOENT;
	*ret = at - 1;
	return 0;
}

/* ---- pc-value tables ---- */

void gopclntab_pcvalue(const struct gopclntab *t, const struct gopclntab_func *f, uint32_t table,
		       struct gopclntab_iter *ret)
{
	*ret = (struct gopclntab_iter){
		.pc = f->entry,
		.end = f->end,
		.quantum = t->quantum,
		.value = UINT32_MAX, /* -1: tables begin with a difference to it */
		.first = true,
	};
	if (table && table < t->pcs.bytes)
		ret->c = cursor_of(t->pcs.data + table, t->pcs.bytes - table);
}

/* Go's own readvarint keeps 32 bits; so does this. */
static uint32_t uvarint(struct cursor *c)
{
	return (uint32_t)cursor_uleb128(c);
}

bool gopclntab_pcvalue_next(struct gopclntab_iter *it, uint64_t *ret_start, uint64_t *ret_end,
			    int32_t *ret_value)
{
	uint32_t change, length;

	if (it->c.bad || !it->c.p || it->pc >= it->end)
		return false;
	change = uvarint(&it->c);
	if (!change && !it->first)
		it->c.bad = true;
	it->first = false;
	length = uvarint(&it->c);
	/* A range without length would let a hostile table spin. */
	if (it->c.bad || !length)
		return false;
	it->value += (change >> 1) ^ -(change & 1); /* zig-zag */
	*ret_start = it->pc;
	it->pc += MIN((uint64_t)length * it->quantum, it->end - it->pc);
	*ret_end = it->pc;
	*ret_value = (int32_t)it->value;
	return true;
}

const char *gopclntab_file(const struct gopclntab *t, const struct gopclntab_func *f, int32_t file)
{
	uint64_t index;
	uint32_t offset;
	const struct gopclntab_range *strings = &t->files, *indices = &t->cus;

	if (t->version == GOPCLNTAB_1_2) {
		strings = &t->all;
		indices = &t->files;
	}
	/* File 0 exists from 1.16 on only. */
	if (file < (t->version == GOPCLNTAB_1_2 ? 1 : 0) || f->cu_offset == UINT32_MAX)
		return NULL;
	index = (uint64_t)f->cu_offset + (uint32_t)file;
	if (index >= indices->bytes / 4)
		return NULL;
	memcpy(&offset, indices->data + index * 4, sizeof(offset));
	return offset == UINT32_MAX ? NULL : gopclntab_string(strings, offset);
}
