/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file: all sections, all segments, its symbols and Go functions; what is written must be a
 * table whose symbols can be looked up. */
#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "symbolizer/gopclntab.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum; /* keeps the reads */

static void read_all(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; p && i < n; i += 61)
		sum += p[i];
	if (p && n)
		sum += p[n - 1];
}

static void read_sections(struct objfile *o)
{
	struct objfile_section s;

	for (uint32_t i = 0; i < objfile_section_count(o) && i < 64; i++) {
		if (objfile_section_at(o, i, &s) < 0)
			continue;
		read_all(s.data, s.size);
		sum += strlen(s.name);
	}
	(void)objfile_section_by_name(o, ".text", &s);
	(void)objfile_section_by_type(o, SHT_SYMTAB, &s);
}

static void read_segments(struct objfile *o)
{
	size_t n, id_bytes;
	const struct objfile_segment *s = objfile_segments(o, &n);
	uint64_t value;
	const uint8_t *id;

	for (size_t i = 0; i < n; i++) {
		read_all(objfile_at_vaddr(o, s[i].vaddr, s[i].filesz), s[i].filesz);
		(void)objfile_offset_to_vaddr(o, s[i].offset, &value);
		(void)objfile_vaddr_to_offset(o, s[i].vaddr, &value);
	}
	for (int64_t tag = 0; tag < 30; tag++)
		(void)objfile_dynamic(o, tag, &value);
	if (objfile_build_id(o, &id, &id_bytes) == 0)
		read_all(id, id_bytes);
}

static void see_frames(void *data, size_t index, const struct gopclntab_frame *frames, size_t n)
{
	if (!n || n > GOPCLNTAB_FRAMES_MAX)
		__builtin_trap();
	for (size_t i = 0; i < n; i++)
		sum += strlen(frames[i].name) + (frames[i].file ? strlen(frames[i].file) : 0);
}

static void read_go(struct objfile *o)
{
	struct gopclntab *g = NULL;
	struct gopclntab_func f;
	struct gopclntab_iter it;
	uint64_t start, end, vaddrs[256];
	int32_t value;

	if (gopclntab_open(o, &g) < 0)
		return;
	for (size_t i = 0; i < gopclntab_count(g); i++) {
		if (gopclntab_func(g, i, &f) < 0)
			continue;
		gopclntab_pcvalue(g, &f, f.pcsp, &it);
		while (gopclntab_pcvalue_next(&it, &start, &end, &value))
			sum += start + (uint64_t)value;
	}
	for (size_t i = 0; i < ARRAY_SIZE(vaddrs); i++)
		vaddrs[i] = (gopclntab_func(g, 0, &f) < 0 ? 0x400000 : f.entry) + 3 * i;
	(void)gopclntab_expand(g, vaddrs, ARRAY_SIZE(vaddrs), see_frames, NULL);
	gopclntab_free(g);
}

static void write_symbols(struct objfile *o)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(table_writer_done) struct table_writer w;
	_cleanup_(table_freep) struct table *t = NULL;
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);
	int r;

	table_writer_init(&w, 8u << 20);
	r = symtab_write(o, objfile_section_count(o) & 1, &w);
	if (objfile_write_info(o, r < 0 ? 0 : (uint32_t)r, &w) < 0 || table_write(&w, fd) < 0)
		return;
	if (table_open(fd, true, &t) < 0)
		__builtin_trap();
	for (size_t i = 0; i < n; i++) {
		for (uint64_t off = 0; off < s[i].memsz && off < 4096; off += 13) {
			struct symtab_hit hit;

			if (symtab_lookup_line(t, s[i].vaddr + off, &hit) == 0)
				sum += strlen(hit.name) + (hit.file ? strlen(hit.file) : 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct objfile *o = NULL;

	if (objfile_open_memory(data, size, &o) < 0)
		return 0;
	read_sections(o);
	read_segments(o);
	read_go(o);
	write_symbols(o);
	objfile_free(o);
	return 0;
}
