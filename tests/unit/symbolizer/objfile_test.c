/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/objfile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

static const char *program; /* tests/unit/symbolizer/code.c, with zlib-compressed debug sections */

static struct objfile *open_path(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct objfile *o = NULL;

	assert_int_equal(objfile_open(fd, &o), 0);
	return o;
}

/* How the dynamic linker sees this very program. */
struct loaded {
	uint64_t bias;
	uint8_t build_id[64];
	size_t build_id_bytes;
};

static int see_self(struct dl_phdr_info *info, size_t size, void *data)
{
	struct loaded *l = data;

	l->bias = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const uint8_t *p = (const uint8_t *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		const ElfW(Nhdr) *note = (const void *)p;

		if (info->dlpi_phdr[i].p_type != PT_NOTE || note->n_type != NT_GNU_BUILD_ID)
			continue;
		l->build_id_bytes = note->n_descsz;
		memcpy(l->build_id, p + sizeof(*note) + 4, note->n_descsz);
	}
	return 1;
}

static void reads_the_build_id_that_is_loaded(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = open_path("/proc/self/exe");
	struct loaded l = {0};
	const uint8_t *id;
	size_t n;

	dl_iterate_phdr(see_self, &l);
	assert_true(l.build_id_bytes > 0);
	assert_int_equal(objfile_build_id(o, &id, &n), 0);
	assert_int_equal(n, l.build_id_bytes);
	assert_memory_equal(id, l.build_id, n);
}

static void finds_the_bytes_of_a_loaded_function(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = open_path("/proc/self/exe");
	struct loaded l = {0};
	uint64_t vaddr, offset, back;
	const uint8_t *p;

	dl_iterate_phdr(see_self, &l);
	vaddr = (uint64_t)(uintptr_t)&finds_the_bytes_of_a_loaded_function - l.bias;
	p = objfile_at_vaddr(o, vaddr, 32);
	assert_non_null(p);
	assert_memory_equal(p, (const void *)&finds_the_bytes_of_a_loaded_function, 32);
	assert_int_equal(objfile_vaddr_to_offset(o, vaddr, &offset), 0);
	assert_int_equal(objfile_offset_to_vaddr(o, offset, &back), 0);
	assert_int_equal(back, vaddr);
	assert_null(objfile_at_vaddr(o, vaddr, UINT64_MAX));
	assert_null(objfile_at_vaddr(o, UINT64_MAX - 8, 16));
	assert_int_equal(objfile_offset_to_vaddr(o, 0, &back), -ENOENT);
}

static void decompresses_zlib_sections(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = open_path(program);
	struct objfile_section s, again;

	assert_int_equal(objfile_section_by_name(o, ".debug_info", &s), 0);
	assert_true(s.flags & SHF_COMPRESSED);
	/* A unit header: length of the rest, version 4 or 5. */
	assert_true(s.data[4] == 4 || s.data[4] == 5);
	assert_int_equal(objfile_section_by_name(o, ".debug_info", &again), 0);
	assert_ptr_equal(s.data, again.data);
	assert_int_equal(objfile_section_by_name(o, ".no_such", &s), -ENOENT);
}

/* A file of one section, compressed, and the names. */
struct tiny {
	Elf64_Ehdr head;
	Elf64_Shdr sections[3];
	char names[16];
	Elf64_Chdr chdr;
	uint8_t bytes[512];
};

static void make_tiny(struct tiny *t, uint32_t type, uint64_t plain, size_t packed)
{
	memcpy(t->head.e_ident, ELFMAG, SELFMAG);
	t->head.e_ident[EI_CLASS] = ELFCLASS64;
	t->head.e_ident[EI_DATA] = ELFDATA2LSB;
	t->head.e_shoff = offsetof(struct tiny, sections);
	t->head.e_shentsize = sizeof(Elf64_Shdr);
	t->head.e_shnum = 3;
	t->head.e_shstrndx = 1;
	memcpy(t->names, "\0.names\0.text", 14);
	t->sections[1] = (Elf64_Shdr){
		.sh_name = 1,
		.sh_type = SHT_STRTAB,
		.sh_offset = offsetof(struct tiny, names),
		.sh_size = sizeof(t->names),
	};
	t->sections[2] = (Elf64_Shdr){
		.sh_name = 8,
		.sh_type = SHT_PROGBITS,
		.sh_flags = SHF_COMPRESSED,
		.sh_offset = offsetof(struct tiny, chdr),
		.sh_size = sizeof(t->chdr) + packed,
	};
	t->chdr = (Elf64_Chdr){.ch_type = type, .ch_size = plain};
}

static int open_tiny(const struct tiny *t, struct objfile_section *ret, struct objfile **ret_o)
{
	assert_int_equal(objfile_open_memory(t, sizeof(*t), ret_o), 0);
	return objfile_section_by_name(*ret_o, ".text", ret);
}

static void decompresses_zstd_sections(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct tiny t = {0};
	struct objfile_section s;
	char plain[5000];
	size_t n;

	memset(plain, 'x', sizeof(plain));
	n = ZSTD_compress(t.bytes, sizeof(t.bytes), plain, sizeof(plain), 1);
	assert_false(ZSTD_isError(n));
	make_tiny(&t, 2, sizeof(plain), n);
	assert_int_equal(open_tiny(&t, &s, &o), 0);
	assert_int_equal(s.size, sizeof(plain));
	assert_memory_equal(s.data, plain, sizeof(plain));
}

static void refuses_to_decompress_without_limit(void **state)
{
	static const uint64_t sizes[] = {UINT64_MAX, (256u << 20) + 1};
	struct objfile_section s;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		struct tiny t = {0};

		make_tiny(&t, ELFCOMPRESS_ZLIB, sizes[i], 100);
		assert_int_equal(open_tiny(&t, &s, &o), -E2BIG);
	}
}

static void treats_garbled_compression_as_no_section(void **state)
{
	for (uint32_t type = 0; type < 4; type++) {
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		struct tiny t = {0};
		struct objfile_section s;

		make_tiny(&t, type, 100, 100);
		memset(t.bytes, 0x5a, sizeof(t.bytes));
		assert_int_equal(open_tiny(&t, &s, &o), -ENOENT);
	}
}

static void works_without_section_headers(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL, *whole = open_path(program);
	_cleanup_free_ uint8_t *p = NULL;
	struct objfile_section s;
	const uint8_t *id, *id2;
	uint64_t strtab;
	size_t n, n2;

	p = fixture_read(program, &n);
	((Elf64_Ehdr *)p)->e_shoff = 0;
	assert_int_equal(objfile_open_memory(p, n, &o), 0);
	assert_int_equal(objfile_section_by_name(o, ".text", &s), -ENOENT);
	assert_int_equal(objfile_build_id(o, &id, &n), 0);
	assert_int_equal(objfile_build_id(whole, &id2, &n2), 0);
	assert_int_equal(n, n2);
	assert_memory_equal(id, id2, n);
	assert_int_equal(objfile_dynamic(o, DT_STRTAB, &strtab), 0);
	assert_int_equal(objfile_section_by_name(whole, ".dynstr", &s), 0);
	assert_int_equal(strtab, s.addr);
}

static void says_which_files_it_does_not_read(void **state)
{
	struct objfile *o = NULL;
	uint8_t e[128] = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1};

	assert_int_equal(objfile_open_memory(e, sizeof(e), &o), -EOPNOTSUPP);
	e[EI_CLASS] = ELFCLASS64;
	e[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(objfile_open_memory(e, sizeof(e), &o), -EOPNOTSUPP);
	assert_int_equal(objfile_open_memory("#!/bin/sh -e\nexit 0\n", 20, &o), -EBADMSG);
	assert_int_equal(objfile_open_memory("", 0, &o), -EBADMSG);
	assert_null(o);
}

static void survives_files_that_end_anywhere(void **state)
{
	_cleanup_free_ uint8_t *p = NULL;
	size_t n;

	p = fixture_read(program, &n);
	for (size_t i = 0; i < 300; i++) {
		size_t cut = i < 100 ? i : n * i / 300;
		_cleanup_free_ uint8_t *copy = malloc(cut + 1);
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		_cleanup_(table_freep) struct table *t = NULL;
		int r;

		memcpy(copy, p, cut);
		if (objfile_open_memory(copy, cut, &o) == 0)
			t = fixture_table_of(o, &r);
	}
}

static void tells_in_the_table_where_code_is(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = open_path(program);
	_cleanup_(table_freep) struct table *t = NULL;
	const struct table_info *info;
	uint64_t offset, vaddr;
	const uint8_t *id;
	size_t n;
	int r;

	t = fixture_table_of(o, &r);
	info = table_get_info(t);
	assert_non_null(info);
	assert_int_equal(info->flags, TABLE_HAS_SYMTAB | TABLE_HAS_DEBUG);
	assert_int_equal(info->entry, objfile_entry(o));
	assert_int_equal(objfile_build_id(o, &id, &n), 0);
	assert_int_equal(info->build_id_bytes, n);
	assert_memory_equal(info->build_id, id, n);
	assert_int_equal(objfile_vaddr_to_offset(o, objfile_entry(o), &offset), 0);
	assert_int_equal(table_offset_to_vaddr(t, offset, &vaddr), 0);
	assert_int_equal(vaddr, objfile_entry(o));
	assert_int_equal(table_offset_to_vaddr(t, UINT64_MAX, &vaddr), -ENOENT);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_build_id_that_is_loaded),
		cmocka_unit_test(finds_the_bytes_of_a_loaded_function),
		cmocka_unit_test(decompresses_zlib_sections),
		cmocka_unit_test(decompresses_zstd_sections),
		cmocka_unit_test(refuses_to_decompress_without_limit),
		cmocka_unit_test(treats_garbled_compression_as_no_section),
		cmocka_unit_test(works_without_section_headers),
		cmocka_unit_test(says_which_files_it_does_not_read),
		cmocka_unit_test(survives_files_that_end_anywhere),
		cmocka_unit_test(tells_in_the_table_where_code_is),
	};

	if (argc < 2)
		return 2;
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
