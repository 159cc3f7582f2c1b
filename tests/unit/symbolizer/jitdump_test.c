/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/jitdump.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbolizer/code_map.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

static const char *corpus;

/* The table of a file of the corpus; *ret_r why there is none. */
static struct table *table_of(const char *name, int *ret_r)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *data = NULL;
	struct table_writer w;
	struct table *t = NULL;
	char path[4096];
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", corpus, name);
	data = fixture_read(path, &n);
	table_writer_init(&w, 1u << 20);
	*ret_r = jitdump_write(data, n, &w);
	if (*ret_r == 0) {
		assert_int_equal(table_write(&w, fd), 0);
		assert_int_equal(table_open(fd, true, &t), 0);
	}
	table_writer_done(&w);
	return t;
}

static const char *at(const struct table *t, uint64_t address)
{
	static char text[256];
	struct code_map_hit hit;

	if (code_map_lookup(t, address, &hit) < 0)
		return "-";
	(void)snprintf(text, sizeof(text), "%s %s:%u", hit.name, hit.file, hit.line);
	return text;
}

static void names_code_and_its_lines(void **state)
{
	int r;
	_cleanup_(table_freep) struct table *t = table_of("plain", &r);

	assert_int_equal(r, 0);
	assert_string_equal(at(t, 0x1000), "first /a.js:3");
	assert_string_equal(at(t, 0x100f), "first /a.js:5");
	assert_string_equal(at(t, 0x1010), "first /inl.js:9");
	assert_string_equal(at(t, 0x1020), "-");
	assert_string_equal(at(t, 0x1040), "second :0");
}

static void code_that_was_moved_is_found_where_it_is(void **state)
{
	int r;
	_cleanup_(table_freep) struct table *t = table_of("plain", &r);

	assert_string_equal(at(t, 0x2008), "first /a.js:5");
}

static void a_record_that_is_still_being_written_waits(void **state)
{
	int r;
	_cleanup_(table_freep) struct table *t = table_of("cut", &r);

	assert_int_equal(r, 0);
	assert_string_equal(at(t, 0x1040), "second :0");
	assert_string_equal(at(t, 0x2008), "-");
}

/* Its lines begin 64 bytes behind the code, and some are of what was lying in memory. */
static void understands_v8(void **state)
{
	int r;
	_cleanup_(table_freep) struct table *t = table_of("v8", &r);

	assert_int_equal(r, 0);
	assert_string_equal(at(t, 0x1000), "JS:*fib /a.js:1:13 /a.js:3");
	assert_string_equal(at(t, 0x1008), "JS:*fib /a.js:1:13 /a.js:5");
	assert_string_equal(at(t, 0x1100), "bad lines :0");
	assert_string_equal(at(t, 0x1200), "after :0");
	assert_string_equal(at(t, 0x1300), "-");
}

/* The same lines of lli, without the mark. */
static void understands_llvm(void **state)
{
	const uint64_t code = 0x7f04ab0ca000;
	int r;
	_cleanup_(table_freep) struct table *t = table_of("llvm", &r);

	assert_int_equal(r, 0);
	assert_string_equal(at(t, code), "jitted_inner /tmp/jit/hot.c:3");
	assert_string_equal(at(t, code + 0x22), "jitted_inner /tmp/jit/hot.c:4");
	assert_string_equal(at(t, code + 0x34), "jitted_outer /tmp/jit/hot.c:10");
	assert_string_equal(at(t, code + 0x60), "main /tmp/jit/hot.c:15");
}

static void counts_are_not_believed(void **state)
{
	int r;
	_cleanup_(table_freep) struct table *t = table_of("huge_counts", &r);

	assert_int_equal(r, 0);
	assert_string_equal(at(t, 0x1000), "x :0");
}

static void refuses_the_other_byte_order(void **state)
{
	int r;

	assert_null(table_of("swapped", &r));
	assert_int_equal(r, -EBADMSG);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_code_and_its_lines),
		cmocka_unit_test(code_that_was_moved_is_found_where_it_is),
		cmocka_unit_test(a_record_that_is_still_being_written_waits),
		cmocka_unit_test(understands_v8),
		cmocka_unit_test(understands_llvm),
		cmocka_unit_test(counts_are_not_believed),
		cmocka_unit_test(refuses_the_other_byte_order),
	};

	if (argc != 2)
		return 1;
	corpus = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
