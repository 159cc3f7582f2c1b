/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/unit/symbolizer/fixture.h"

struct image {
	struct table_header h;
	uint8_t bytes[256];
	size_t n;
};

/* A table of two sections as it lies in a file. */
static void make_image(struct image *im)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct table_writer w;

	table_writer_init(&w, 1024);
	buf_adds(&w.sections[TABLE_ROWS], "rows!");
	buf_adds(&w.sections[TABLE_STRINGS], "a string of 21 bytes.");
	assert_int_equal(table_write(&w, fd), 0);
	table_writer_done(&w);
	memset(im, 0, sizeof(*im));
	im->n = (size_t)lseek(fd, 0, SEEK_CUR);
	assert_int_equal(pread(fd, im, sizeof(im->h) + sizeof(im->bytes), 0), im->n);
}

static void gives_back_what_was_written(void **state)
{
	_cleanup_(table_freep) struct table *t = NULL;
	struct image im;
	size_t n;

	make_image(&im);
	t = fixture_table_open(&im, im.n, true);
	assert_non_null(t);
	assert_memory_equal(table_section(t, TABLE_ROWS, &n), "rows!", 5);
	assert_int_equal(n, 5);
	assert_memory_equal(table_section(t, TABLE_STRINGS, &n), "a string of 21 bytes.", 21);
	assert_int_equal((uintptr_t)table_section(t, TABLE_STRINGS, &n) % 8, 0);
	assert_int_equal(n, 21);
	assert_null(table_section(t, TABLE_LINES, &n));
	assert_int_equal(n, 0);
}

static void refuses_a_section_that_grew_over_its_limit(void **state)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct table_writer w;

	table_writer_init(&w, 4);
	buf_adds(&w.sections[TABLE_ROWS], "rows!");
	assert_int_equal(table_write(&w, fd), -E2BIG);
	table_writer_done(&w);
}

static void refuses_headers_that_lie(void **state)
{
	struct image im, bad;

#define REFUSES(change)                                             \
	do {                                                        \
		bad = im;                                           \
		change;                                             \
		assert_null(fixture_table_open(&bad, im.n, false)); \
	} while (0)
	make_image(&im);
	REFUSES(bad.h.magic++);
	REFUSES(bad.h.version++);
	REFUSES(bad.h.n_sections++);
	REFUSES(bad.h.n_sections = 0);
	REFUSES(bad.h.bytes++);
	REFUSES(bad.h.sections[TABLE_ROWS].offset++);
	REFUSES(bad.h.sections[TABLE_ROWS].offset = 8);
	REFUSES(bad.h.sections[TABLE_ROWS].offset = UINT64_MAX - 7);
	REFUSES(bad.h.sections[TABLE_ROWS].bytes = im.n);
	REFUSES(bad.h.sections[TABLE_ROWS].bytes = UINT64_MAX);
	REFUSES(bad.h.sections[TABLE_LINES].bytes = 1);
	assert_null(fixture_table_open(&im, im.n - 1, false));
	assert_null(fixture_table_open(&im, sizeof(im.h) - 1, false));
	assert_null(fixture_table_open(&im, 0, false));
}

static void notices_a_changed_byte_only_when_asked_to_verify(void **state)
{
	struct image im;
	struct table *t;

	make_image(&im);
	im.bytes[2] ^= 1;
	assert_null(fixture_table_open(&im, im.n, true));
	t = fixture_table_open(&im, im.n, false);
	assert_non_null(t);
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_was_written),
		cmocka_unit_test(refuses_a_section_that_grew_over_its_limit),
		cmocka_unit_test(refuses_headers_that_lie),
		cmocka_unit_test(notices_a_changed_byte_only_when_asked_to_verify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
