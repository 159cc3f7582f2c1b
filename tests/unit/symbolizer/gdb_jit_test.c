/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object files as compilers make them, in the forms of DWARF that JITs have, with the addresses of
 * their sections written into them as a JIT does.
 */
#include "symbolizer/gdb_jit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "symbolizer/code_map.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

#define BASE 0x7f1200000000ull

static const char *objects; /* the directory */

/* The file with code at `base`; *ret_code how much. */
static uint8_t *load(const char *name, uint64_t base, size_t *ret_bytes, uint64_t *ret_code)
{
	char path[4096];
	uint8_t *image;
	Elf64_Ehdr *head;
	Elf64_Shdr *s;

	(void)snprintf(path, sizeof(path), "%s/%s", objects, name);
	image = fixture_read(path, ret_bytes);
	head = (Elf64_Ehdr *)image;
	s = (Elf64_Shdr *)(image + head->e_shoff);
	assert_int_equal(head->e_type, ET_REL);
	for (int i = 0; i < head->e_shnum; i++) {
		if (!(s[i].sh_flags & SHF_ALLOC))
			continue;
		if (s[i].sh_flags & SHF_EXECINSTR && s[i].sh_size) {
			s[i].sh_addr = base;
			*ret_code = s[i].sh_size;
		} else {
			s[i].sh_addr = base + 0x100000 * (uint64_t)(i + 1);
		}
	}
	return image;
}

static void append(struct buf *b, const uint8_t *image, size_t bytes)
{
	static const uint8_t zeros[8];
	const struct gdb_jit_file head = {GDB_JIT_MAGIC, bytes};

	buf_add(b, &head, sizeof(head));
	buf_add(b, image, bytes);
	buf_add(b, zeros, -bytes & 7);
}

static struct table *table_of(struct buf *b, int *ret_r)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct gdb_jit_files f = {0};
	struct table_writer w;
	struct table *t = NULL;

	table_writer_init(&w, 1u << 24);
	*ret_r = gdb_jit_open(b->data, b->len, &f);
	if (*ret_r == 0)
		*ret_r = gdb_jit_write(&f, &w);
	gdb_jit_files_done(&f);
	if (*ret_r == 0) {
		assert_int_equal(table_write(&w, fd), 0);
		assert_int_equal(table_open(fd, true, &t), 0);
	}
	table_writer_done(&w);
	return t;
}

/* Addresses of a function, and how many of them have one of its lines in hot.c. */
static size_t count(const struct table *t, uint64_t base, uint64_t bytes, const char *name,
		    uint32_t from, uint32_t to, size_t *ret_lines)
{
	size_t n = 0;

	*ret_lines = 0;
	for (uint64_t i = 0; i < bytes; i++) {
		struct code_map_hit hit;

		if (code_map_lookup(t, base + i, &hit) < 0 || strcmp(hit.name, name))
			continue;
		n++;
		if (hit.line >= from && hit.line <= to) {
			assert_non_null(strstr(hit.file, "registered.c"));
			(*ret_lines)++;
		}
	}
	return n;
}

static void names_and_lines_of_every_form(void **state)
{
	static const char *const forms[] = {"gcc2.o",	"gcc4.o",   "gcc5.o",
					    "clang4.o", "clang5.o", "zlib.o"};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(1u << 24);
		_cleanup_(table_freep) struct table *t = NULL;
		_cleanup_free_ uint8_t *image = NULL;
		size_t bytes, n, lines;
		uint64_t code;
		int r;

		image = load(forms[i], BASE, &bytes, &code);
		append(&b, image, bytes);
		t = table_of(&b, &r);
		assert_int_equal(r, 0);
		n = count(t, BASE, code, "first", 10, 14, &lines);
		assert_true(n > 8);
		/* What is unpacked is not in the image, and so not relocated: names only. */
		if (strcmp(forms[i], "zlib.o"))
			assert_true(lines > n / 2);
		n = count(t, BASE, code, "second", 16, 23, &lines);
		assert_true(n > 8);
		/* The lines of what was inlined are those of the call; clang leaves some out. */
		if (strcmp(forms[i], "zlib.o"))
			assert_true(lines > n / 2);
	}
}

static void the_newest_is_what_is_there(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 24);
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_free_ uint8_t *image = NULL, *noise = malloc(100);
	struct code_map_hit hit;
	size_t bytes;
	uint64_t code;
	int r;

	assert_non_null(noise);
	memset(noise, 7, 100);
	append(&b, noise, 100);
	image = load("renamed.o", BASE, &bytes, &code);
	append(&b, image, bytes);
	free(image);
	image = load("gcc5.o", BASE, &bytes, &code);
	append(&b, image, bytes);
	t = table_of(&b, &r);
	assert_int_equal(r, 0);
	assert_int_equal(code_map_lookup(t, BASE, &hit), 0);
	assert_string_equal(hit.name, "newer");
}

static void what_is_cut_is_refused_or_passed_over(void **state)
{
	_cleanup_free_ uint8_t *image = NULL;
	size_t bytes;
	uint64_t code;

	image = load("gcc5.o", BASE, &bytes, &code);
	for (size_t n = 0; n < bytes; n += 13) {
		_cleanup_buf_ struct buf b = BUF_INIT(1u << 24);
		_cleanup_(table_freep) struct table *t = NULL;
		int r;

		append(&b, image, n);
		t = table_of(&b, &r);
		assert_true(r == 0 || r == -ENODATA);
		/* The length promises more than there is. */
		((struct gdb_jit_file *)b.data)->bytes = UINT64_MAX - n;
		table_free(TAKE_PTR(t));
		t = table_of(&b, &r);
		assert_int_equal(r, -EBADMSG);
	}
}

/* This program has the symbol, not exported. */
struct {
	uint32_t version, action;
	void *relevant, *first;
} __jit_debug_descriptor = {1, 0, NULL, NULL};

static void finds_where_the_list_begins(void **state)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC), self = -1;
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct objfile *files[3] = {NULL, NULL, NULL};
	struct table_writer w;
	uint64_t offset;
	uint32_t version = 0;

	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(objfile_open(self, &o), 0);
	files[2] = o;
	table_writer_init(&w, 1u << 20);
	assert_int_equal(gdb_jit_find(files, 2, &w), -ENODATA);
	assert_int_equal(gdb_jit_find(files, 3, &w), 0);
	assert_int_equal(table_write(&w, fd), 0);
	assert_int_equal(table_open(fd, true, &t), 0);
	table_writer_done(&w);
	assert_int_equal(gdb_jit_place(t, 1, GDB_JIT_LIST, &offset), -ENOENT);
	assert_int_equal(gdb_jit_place(t, 2, GDB_JIT_LIST, &offset), 0);
	assert_int_equal(pread(self, &version, sizeof(version), (off_t)offset), sizeof(version));
	assert_int_equal(version, __jit_debug_descriptor.version);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_lines_of_every_form),
		cmocka_unit_test(the_newest_is_what_is_there),
		cmocka_unit_test(what_is_cut_is_refused_or_passed_over),
		cmocka_unit_test(finds_where_the_list_begins),
	};

	objects = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
