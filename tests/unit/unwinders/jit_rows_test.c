/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object files with the addresses of their sections written into them, as a JIT registers them; the
 * truth is what rows.c says of the same code when it is linked.
 */
#include "unwinders/jit_rows.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "symbolizer/objfile.h"
#include "symbolizer/symfile.h"
#include "symbolizer/table.h"

#define BASE 0x7f1200000000ull

static const char *objects; /* the directory */

/* ---- files ---- */

struct file {
	uint8_t *image;
	size_t bytes;
	struct objfile *o;
};

static void read_file(const char *name, struct file *ret)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", objects, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*ret = (struct file){.bytes = (size_t)st.st_size, .image = malloc((size_t)st.st_size)};
	assert_non_null(ret->image);
	assert_int_equal(read(fd, ret->image, ret->bytes), st.st_size);
}

static void file_done(struct file *f)
{
	objfile_free(f->o);
	free(f->image);
}

#define _cleanup_file_ _cleanup_(file_done)

/* The file with its code at `base`, relocated. */
static void load(const char *name, uint64_t base, struct file *ret)
{
	Elf64_Ehdr *head;
	Elf64_Shdr *s;

	read_file(name, ret);
	head = (Elf64_Ehdr *)ret->image;
	s = (Elf64_Shdr *)(ret->image + head->e_shoff);
	for (int i = 0; i < head->e_shnum; i++) {
		if (s[i].sh_flags & SHF_ALLOC)
			s[i].sh_addr = s[i].sh_flags & SHF_EXECINSTR && s[i].sh_size
					       ? base
					       : base + 0x100000 * (uint64_t)(i + 1);
	}
	assert_int_equal(symfile_relocate(ret->image, ret->bytes), 0);
	assert_int_equal(objfile_open_memory(ret->image, ret->bytes, &ret->o), 0);
}

/* Where a function begins: in its section, or in the linked file. */
static uint64_t find(struct objfile *o, const char *name, uint64_t *ret_size)
{
	struct objfile_section s, names;

	assert_int_equal(objfile_section_by_type(o, SHT_SYMTAB, &s), 0);
	assert_int_equal(objfile_section_at(o, s.link, &names), 0);
	for (uint64_t i = 0; i < s.size / sizeof(Elf64_Sym); i++) {
		Elf64_Sym sym;

		memcpy(&sym, s.data + i * sizeof(sym), sizeof(sym));
		if (strcmp((const char *)names.data + sym.st_name, name))
			continue;
		*ret_size = sym.st_size;
		return sym.st_value;
	}
	fail_msg("no %s", name);
	return 0;
}

/* ---- tables ---- */

static struct table *finish(struct table_writer *w, int r)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct table *t = NULL;

	if (r == 0) {
		assert_int_equal(table_write(w, fd), 0);
		assert_int_equal(table_open(fd, true, &t), 0);
	}
	table_writer_done(w);
	return t;
}

static struct table *table_of(const struct file *files, size_t n, int *ret_r)
{
	struct jit_rows_source sources[16];
	struct table_writer w;
	size_t n_sources = 0;

	for (size_t i = 0; i < n; i++)
		n_sources += jit_rows_sources(files[i].o, &sources[n_sources]);
	table_writer_init(&w, 1u << 24);
	*ret_r = jit_rows_write(sources, n_sources, &w);
	return finish(&w, *ret_r);
}

static struct table *linked_table(struct objfile *o)
{
	struct table_writer w;
	uint32_t flags = 0;
	int r;

	table_writer_init(&w, 1u << 24);
	r = rows_write(o, &w, &flags);
	assert_true(flags & TABLE_HAS_ROWS);
	return finish(&w, r);
}

static uint64_t rule_in(const struct table *t, uint64_t offset)
{
	size_t bytes;
	const struct rows_page *page = rows_page_get(t, offset >> ROWS_PAGE_SHIFT, &bytes);

	return page ? rows_lookup(page, (uint16_t)offset) : RULE_INVALID;
}

static uint64_t rule_at(const struct table *t, uint64_t address)
{
	struct jit_rows_info info;

	assert_int_equal(jit_rows_get(t, &info), 0);
	return address - info.start < info.size ? rule_in(t, address - info.start) : RULE_INVALID;
}

/* The file offset of an address in the code of a linked file. */
static uint64_t offset_of(const struct objfile *o, uint64_t vaddr)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);

	for (size_t i = 0; i < n; i++) {
		if (s[i].type == PT_LOAD && vaddr - s[i].vaddr < s[i].filesz)
			return vaddr - s[i].vaddr + s[i].offset;
	}
	fail();
	return 0;
}

/* The rules of the code at `base` against those of the linked file; how many different ones. */
static size_t compare(const struct table *t, const struct file *object, const char *linked,
		      uint64_t base)
{
	static const char *const functions[] = {"leaf", "saves"};
	_cleanup_(table_freep) struct table *truth = NULL;
	_cleanup_file_ struct file so = {0};
	size_t changes = 0;

	read_file(linked, &so);
	assert_int_equal(objfile_open_memory(so.image, so.bytes, &so.o), 0);
	truth = linked_table(so.o);
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		uint64_t size, at = find(object->o, functions[i], &size), last = 0;
		uint64_t there = offset_of(so.o, find(so.o, functions[i], &size));

		for (uint64_t k = 0; k < size; k++) {
			uint64_t rule = rule_at(t, base + at + k);

			assert_int_equal(RULE_KIND(rule), RULE_CFA);
			assert_int_equal(rule, rule_in(truth, there + k));
			changes += rule != last;
			last = rule;
		}
	}
	return changes;
}

/* ---- tests ---- */

static void rules_are_those_of_the_linked_code(void **state)
{
	static const char *const forms[] = {"eh", "eh_large", "debug", "other"};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_(table_freep) struct table *t = NULL;
		_cleanup_file_ struct file f = {0};
		char object[64], linked[64];
		int r;

		(void)snprintf(object, sizeof(object), "%s.o", forms[i]);
		(void)snprintf(linked, sizeof(linked), "%s.so", forms[i]);
		load(object, BASE + 0x1230, &f);
		t = table_of(&f, 1, &r);
		assert_int_equal(r, 0);
		assert_true(compare(t, &f, linked, BASE + 0x1230) > 6);
		/* Code that nobody spoke of is like all code without a file. */
		assert_int_equal(rule_at(t, BASE + 0x10), RULE_FP_GUESS);
	}
}

static void the_newest_is_what_is_there(void **state)
{
	_cleanup_(table_freep) struct table *t = NULL;
	struct file f[2] = {0};
	int r;

	load("eh.o", BASE, &f[0]);
	load("other.o", BASE, &f[1]);
	t = table_of(f, 2, &r);
	assert_int_equal(r, 0);
	assert_true(compare(t, &f[0], "eh.so", BASE) > 6);
	file_done(&f[0]);
	file_done(&f[1]);
}

static void code_in_several_places_has_rows(void **state)
{
	static const uint64_t places[] = {BASE, BASE - 0x40000000, BASE + 0x1fff0,
					  BASE + 0x10000000};
	_cleanup_(table_freep) struct table *t = NULL;
	struct file f[ARRAY_SIZE(places)] = {0};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		load(i & 1 ? "other.o" : "eh.o", places[i], &f[i]);
	t = table_of(f, ARRAY_SIZE(places), &r);
	assert_int_equal(r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_true(compare(t, &f[i], i & 1 ? "other.so" : "eh.so", places[i]) > 6);
		file_done(&f[i]);
	}
}

/* A frame word has no room for offsets of more than 64 GiB: what was made last decides. */
static void what_lies_too_far_away_is_left_out(void **state)
{
	static const uint64_t places[] = {BASE, 0x10000, BASE + (1ull << 40)};
	_cleanup_(table_freep) struct table *t = NULL;
	struct file f[ARRAY_SIZE(places)] = {0};
	struct jit_rows_info info;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		load("eh.o", places[i], &f[i]);
	t = table_of(f, ARRAY_SIZE(places), &r);
	assert_int_equal(r, 0);
	assert_int_equal(jit_rows_get(t, &info), 0);
	assert_true(info.start == BASE && info.size < 0x10000);
	assert_true(compare(t, &f[0], "eh.so", BASE) > 6);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		file_done(&f[i]);
}

static void code_without_frames_has_no_rows(void **state)
{
	_cleanup_file_ struct file f = {0};
	int r;

	load("none.o", BASE, &f);
	assert_null(table_of(&f, 1, &r));
	assert_int_equal(r, -ENODATA);
}

static void what_is_damaged_has_sound_rows_or_none(void **state)
{
	uint32_t seed = 1;

	for (int i = 0; i < 3000; i++) {
		_cleanup_(table_freep) struct table *t = NULL;
		_cleanup_file_ struct file f = {0};
		struct jit_rows_info info;
		int r;

		load("eh.o", BASE, &f);
		f.o = objfile_free(f.o);
		for (int k = 0; k < 8; k++) {
			seed = seed * 1664525 + 1013904223;
			f.image[seed % f.bytes] ^= (uint8_t)(seed >> 16);
		}
		(void)symfile_relocate(f.image, f.bytes);
		if (objfile_open_memory(f.image, f.bytes, &f.o) < 0)
			continue;
		t = table_of(&f, 1, &r);
		if (r < 0)
			continue;
		assert_int_equal(jit_rows_get(t, &info), 0);
		assert_true(info.size && info.size <= FILE_OFFSET_MASK);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_those_of_the_linked_code),
		cmocka_unit_test(the_newest_is_what_is_there),
		cmocka_unit_test(code_in_several_places_has_rows),
		cmocka_unit_test(what_lies_too_far_away_is_left_out),
		cmocka_unit_test(code_without_frames_has_no_rows),
		cmocka_unit_test(what_is_damaged_has_sound_rows_or_none),
	};

	objects = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
