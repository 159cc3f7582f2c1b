/* SPDX-License-Identifier: Apache-2.0 */
/* The libgcc of this machine and those of others: what is registered with them stands where it is
 * looked for. */
#include "symbolizer/frame_lists.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbolizer/frame_tree.h"
#include "symbolizer/objfile.h"

#define OBJECTS_MAX 600
#define CODE_BYTES  64

/* libgcc's: unwind-dw2-fde.h. */
struct libgcc {
	void (*put)(const void *begin, void *object, void *tbase, void *dbase);
	void *(*take)(const void *begin);
	const void *(*look)(void *pc, void *bases);
	struct objfile *file;
	uint64_t base;
};

static uint8_t code[OBJECTS_MAX][CODE_BYTES];
static uint64_t objects[OBJECTS_MAX][8];

/* A CIE and an FDE for code[i], with absolute addresses. */
static struct frames {
	uint32_t cie_bytes, cie_id;
	uint8_t version, augmentation, code_align, data_align, ra, nops[7];
	uint32_t fde_bytes, cie_pointer;
	uint64_t start, size;
	uint32_t end, rest;
} __attribute__((packed)) frames[OBJECTS_MAX];

static void make_frames(void)
{
	for (size_t i = 0; i < OBJECTS_MAX; i++)
		frames[i] = (struct frames){.cie_bytes = 16,
					    .version = 1,
					    .code_align = 1,
					    .data_align = 0x78,
					    .ra = 16,
					    .fde_bytes = 20,
					    .cie_pointer = 24,
					    .start = (uintptr_t)code[i],
					    .size = CODE_BYTES};
}

static uint64_t address_of(const struct libgcc *l, uint64_t offset)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(l->file, &n);

	for (size_t i = 0; i < n; i++) {
		if (s[i].type == PT_LOAD && s[i].flags & PF_W && offset - s[i].offset < s[i].memsz)
			return l->base + s[i].vaddr + (offset - s[i].offset);
	}
	fail();
	return 0;
}

static void put(const struct libgcc *l, size_t i)
{
	l->put(&frames[i], objects[i], NULL, NULL);
}

static void take(const struct libgcc *l, size_t i)
{
	assert_ptr_equal(l->take(&frames[i]), objects[i]);
}

static void check_object(const void *at, bool looked_up)
{
	const struct frame_object *o = at;
	uint64_t start = o->frames;

	assert_false(o->bits & FRAME_OBJECT_ARRAY);
	assert_true(looked_up || !(o->bits & FRAME_OBJECT_SORTED));
	if (o->bits & FRAME_OBJECT_SORTED)
		start = *(const uint64_t *)(uintptr_t)start;
	assert_int_equal(start, (uintptr_t)&frames[0]);
}

static void check_lists(const struct libgcc *l, uint64_t unseen_at, uint64_t seen_at)
{
	const struct frame_object *const *unseen = (const void *)(uintptr_t)unseen_at;
	const struct frame_object *const *seen = (const void *)(uintptr_t)seen_at;
	uint64_t bases[3];

	put(l, 0);
	assert_ptr_equal(*unseen, objects[0]);
	check_object(*unseen, false);
	assert_non_null(l->look(code[0] + 1, bases));
	assert_null(*unseen);
	assert_ptr_equal(*seen, objects[0]);
	check_object(*seen, true);
	take(l, 0);
	assert_null(*seen);
}

static bool own_memory(void *data, uint64_t address, void *to, size_t n)
{
	memcpy(to, (const void *)(uintptr_t)address, n);
	return true;
}

static void check_tree_has(uint64_t tree, const bool there[OBJECTS_MAX])
{
	uint64_t found[OBJECTS_MAX];
	struct frame_tree_found f = {.objects = found, .max = OBJECTS_MAX};
	size_t wanted = 0;

	assert_int_equal(frame_tree_read(own_memory, NULL, tree, &f), 0);
	assert_false(f.cut);
	assert_false(f.changed);
	for (size_t i = 0; i < OBJECTS_MAX; i++)
		wanted += there[i];
	assert_int_equal(f.n, wanted);
	for (size_t i = 0; i < f.n; i++) {
		uint64_t index = (found[i] - (uintptr_t)objects) / sizeof(objects[0]);

		assert_in_range(found[i], (uintptr_t)objects,
				(uintptr_t)(objects + OBJECTS_MAX) - 1);
		assert_true(there[index]);
		/* By address, and each but once. */
		assert_true(i == 0 || found[i] > found[i - 1]);
	}
}

static void check_tree(const struct libgcc *l, uint64_t tree)
{
	bool there[OBJECTS_MAX] = {0};
	uint64_t bases[3];

	check_tree_has(tree, there);
	put(l, 0);
	check_object(objects[0], false);
	assert_non_null(l->look(code[0] + 1, bases));
	check_object(objects[0], true);
	take(l, 0);
	/* In an order that splits nodes everywhere, and merges them: 7 is prime to the number. */
	for (size_t i = 0; i < OBJECTS_MAX; i++) {
		size_t k = i * 7 % OBJECTS_MAX;

		put(l, k);
		there[k] = true;
		if (i % 20 == 0)
			check_tree_has(tree, there);
	}
	for (size_t i = 0; i < OBJECTS_MAX; i++) {
		size_t k = i * 11 % OBJECTS_MAX;

		if (i % 20 == 0)
			check_tree_has(tree, there);
		take(l, k);
		there[k] = false;
	}
	check_tree_has(tree, there);
}

/* Not `_info`: that calls another function by name, which may be another libgcc's. */
static void check_libgcc(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t offsets[FRAME_LIST_MAX];
	struct libgcc l;
	Dl_info info;

	/* It may need a newer libc than this program has. */
	if (!handle) {
		print_message("%s\n", dlerror());
		return;
	}
	*(void **)&l.put = dlsym(handle, "__register_frame_info_bases");
	*(void **)&l.take = dlsym(handle, "__deregister_frame_info_bases");
	*(void **)&l.look = dlsym(handle, "_Unwind_Find_FDE");
	assert_true(dladdr(*(void **)&l.put, &info) != 0);
	fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_int_equal(objfile_open(fd, &o), 0);
	l.file = o;
	l.base = (uintptr_t)info.dli_fbase;
	if (frame_lists_find(o, offsets) < 0)
		fail_msg("nothing was found in %s", path);
	print_message("%s: %s\n", path, offsets[FRAME_LIST_TREE] ? "tree" : "lists");
	if (offsets[FRAME_LIST_TREE])
		check_tree(&l, address_of(&l, offsets[FRAME_LIST_TREE]));
	else
		check_lists(&l, address_of(&l, offsets[FRAME_LIST_UNSEEN]),
			    address_of(&l, offsets[FRAME_LIST_SEEN]));
	dlclose(handle);
}

static void what_is_registered_is_found(void **state)
{
	check_libgcc("libgcc_s.so.1");
}

/* Those that the live tests unpacked (tests/live/runtimes.py): GCC 10, 12, 14 and later. */
static void what_is_registered_is_found_in_other_versions(void **state)
{
	const char *cache = getenv("TEPHRA_TEST_CACHE"), *home = getenv("XDG_CACHE_HOME");
	char pattern[512];
	glob_t g;

	if (cache)
		(void)snprintf(pattern, sizeof(pattern), "%s", cache);
	else
		(void)snprintf(pattern, sizeof(pattern), "%s/tephra-tests",
			       home ? home : "/var/cache");
	(void)snprintf(pattern + strlen(pattern), sizeof(pattern) - strlen(pattern),
		       "/runtimes/*/usr/lib/x86_64-linux-gnu/libgcc_s.so.1");
	if (glob(pattern, 0, NULL, &g) != 0)
		skip();
	for (size_t i = 0; i < g.gl_pathc; i++)
		check_libgcc(g.gl_pathv[i]);
	globfree(&g);
}

static void other_files_have_none(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t offsets[FRAME_LIST_MAX];

	assert_int_equal(objfile_open(fd, &o), 0);
	assert_int_equal(frame_lists_find(o, offsets), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_registered_is_found),
		cmocka_unit_test(what_is_registered_is_found_in_other_versions),
		cmocka_unit_test(other_files_have_none),
	};

	make_frames();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
