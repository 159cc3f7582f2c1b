/* SPDX-License-Identifier: Apache-2.0 */
/* The libgcc that this program runs with: what is registered stands in the variables found. */
#include "symbolizer/frame_lists.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbolizer/objfile.h"

/* libgcc's: unwind-dw2-fde.h. */
extern void __register_frame_info(const void *begin, void *object);
extern void *__deregister_frame_info(const void *begin);
extern const void *_Unwind_Find_FDE(void *pc, void *bases);

static uint8_t code[64];

/* A CIE and an FDE for `code`, with absolute addresses. */
static struct {
	uint32_t cie_bytes, cie_id;
	uint8_t version, augmentation, code_align, data_align, ra, nops[7];
	uint32_t fde_bytes, cie_pointer;
	uint64_t start, size;
	uint32_t end, rest;
} __attribute__((packed)) frames = {
	.cie_bytes = 16,
	.version = 1,
	.code_align = 1,
	.data_align = 0x78,
	.ra = 16,
	.fde_bytes = 20,
	.cie_pointer = 24,
	.size = sizeof(code),
};

static uint64_t address_of(const struct objfile *o, uint64_t base, uint64_t offset)
{
	size_t n;
	const struct objfile_segment *s = objfile_segments(o, &n);

	for (size_t i = 0; i < n; i++) {
		if (s[i].type == PT_LOAD && s[i].flags & PF_W && offset - s[i].offset < s[i].memsz)
			return base + s[i].vaddr + (offset - s[i].offset);
	}
	fail();
	return 0;
}

static void what_is_registered_is_in_the_lists(void **state)
{
	static uint64_t object[8];
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t offsets[FRAME_LIST_MAX], bases[3];
	const struct frame_object *const *unseen, *const *seen;
	Dl_info info;

	assert_true(dladdr((void *)(uintptr_t)__register_frame_info, &info) != 0);
	fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_int_equal(objfile_open(fd, &o), 0);
	/* A tree, from GCC 13 on. */
	if (frame_lists_find(o, offsets) == -ENOENT)
		skip();
	unseen = (const void *)address_of(o, (uintptr_t)info.dli_fbase, offsets[FRAME_LIST_UNSEEN]);
	seen = (const void *)address_of(o, (uintptr_t)info.dli_fbase, offsets[FRAME_LIST_SEEN]);
	frames.start = (uintptr_t)code;
	__register_frame_info(&frames, object);
	assert_ptr_equal(*unseen, object);
	assert_int_equal((*unseen)->frames, (uintptr_t)&frames);
	assert_false((*unseen)->bits & (FRAME_OBJECT_SORTED | FRAME_OBJECT_ARRAY));
	assert_non_null(_Unwind_Find_FDE(code + 1, bases));
	assert_null(*unseen);
	assert_ptr_equal(*seen, object);
	if ((*seen)->bits & FRAME_OBJECT_SORTED)
		assert_int_equal(*(const uint64_t *)(uintptr_t)(*seen)->frames, (uintptr_t)&frames);
	assert_ptr_equal(__deregister_frame_info(&frames), object);
	assert_null(*seen);
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
		cmocka_unit_test(what_is_registered_is_in_the_lists),
		cmocka_unit_test(other_files_have_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
