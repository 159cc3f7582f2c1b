/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/code_map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "symbolizer/perf_map.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

static struct table *table_of(struct table_writer *w)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct table *t = NULL;

	assert_int_equal(table_write(w, fd), 0);
	assert_int_equal(table_open(fd, true, &t), 0);
	table_writer_done(w);
	return t;
}

static struct table *parse(const char *text, size_t bytes, bool is_cut)
{
	struct table_writer w;

	table_writer_init(&w, 128u << 20);
	assert_int_equal(perf_map_write(text, bytes, is_cut, &w), 0);
	return table_of(&w);
}

static struct table *map_of(const char *text)
{
	return parse(text, strlen(text), false);
}

static const char *at(const struct table *t, uint64_t address)
{
	struct code_map_hit hit;

	return code_map_lookup(t, address, &hit) < 0 ? "-" : hit.name;
}

static void reads_what_runtimes_write(void **state)
{
	/* The first two as node 20 --perf-basic-prof writes them, the others as other runtimes. */
	_cleanup_(table_freep) struct table *t =
		map_of("18c4000 300 Builtin:DeoptimizationEntry_Eager\n"
		       "7f83c0004040 1c4 JS:~fib /app/fib.js:1:13\n"
		       "3a1b5e3e1aa6 b py::<module>:/app/a b.py\n"
		       "0x7f2500000000 0x10 void [App] Main::Run(int32[])[Tier0]\r\n");

	assert_string_equal(at(t, 0x18c4000), "Builtin:DeoptimizationEntry_Eager");
	assert_string_equal(at(t, 0x18c42ff), "Builtin:DeoptimizationEntry_Eager");
	assert_string_equal(at(t, 0x18c4300), "-");
	assert_string_equal(at(t, 0x7f83c0004041), "JS:~fib /app/fib.js:1:13");
	assert_string_equal(at(t, 0x3a1b5e3e1ab0), "py::<module>:/app/a b.py");
	assert_string_equal(at(t, 0x7f2500000000), "void [App] Main::Run(int32[])[Tier0]");
	assert_string_equal(at(t, 0), "-");
	assert_string_equal(at(t, UINT64_MAX), "-");
	assert_int_equal(code_map_count(t), 4);
}

static void newer_code_is_where_it_overlaps_older_code(void **state)
{
	_cleanup_(table_freep) struct table *t = map_of("1000 100 old\n"
							"1040 20 inside\n"
							"2000 100 gone\n"
							"2000 100 here\n"
							"10f0 20 over the end\n");

	assert_string_equal(at(t, 0x1000), "old");
	assert_string_equal(at(t, 0x103f), "old");
	assert_string_equal(at(t, 0x1040), "inside");
	assert_string_equal(at(t, 0x105f), "inside");
	assert_string_equal(at(t, 0x1060), "old");
	assert_string_equal(at(t, 0x10ef), "old");
	assert_string_equal(at(t, 0x10f0), "over the end");
	assert_string_equal(at(t, 0x110f), "over the end");
	assert_string_equal(at(t, 0x2080), "here");
	/* What is covered wholly is not even stored. */
	assert_int_equal(code_map_count(t), 4);
}

static void skips_lines_that_make_no_sense(void **state)
{
	static const char text[] = "\n\n 10 10 blank\nxyz 10 letters\n20 name\n30 8\n40 0 empty\n"
				   "ffffffffffffffff 10 wraps\n11112222333344445 1 long\n"
				   "50 8 good\n60 8 nul\0tail\n70 8 still being written";
	_cleanup_(table_freep) struct table *t = parse(text, sizeof(text) - 1, false);

	assert_int_equal(code_map_count(t), 2);
	assert_string_equal(at(t, 0x50), "good");
	assert_string_equal(at(t, 0x60), "nul");
	assert_string_equal(at(t, 0x70), "-");
}

static void the_first_line_of_a_cut_text_is_not_believed(void **state)
{
	static const char text[] = "20 8 half\n30 8 whole\n";
	_cleanup_(table_freep) struct table *t = parse(text, sizeof(text) - 1, true);

	assert_string_equal(at(t, 0x20), "-");
	assert_string_equal(at(t, 0x30), "whole");
}

static void nothing_to_name_is_no_table(void **state)
{
	struct table_writer w;

	table_writer_init(&w, 1u << 20);
	assert_int_equal(perf_map_write("", 0, false, &w), -ENODATA);
	assert_int_equal(perf_map_write("rubbish\n", 8, false, &w), -ENODATA);
	table_writer_done(&w);
}

/* Against the plainest way to say who is at an address: the last line that covers it. */
static void agrees_with_going_through_all_lines(void **state)
{
	enum { N = 400, SPAN = 2048 };
	uint64_t seed = 5, start[N], size[N];
	char text[N * 32], want[32];
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		start[i] = fixture_random(&seed) % SPAN;
		size[i] = 1 + fixture_random(&seed) % 100;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%lx %lx f%zu\n", start[i],
				      size[i], i);
	}
	struct table *t = parse(text, n, false);

	for (uint64_t a = 0; a < SPAN + 128; a++) {
		(void)snprintf(want, sizeof(want), "-");
		for (size_t i = 0; i < N; i++) {
			if (a >= start[i] && a < start[i] + size[i])
				(void)snprintf(want, sizeof(want), "f%zu", i);
		}
		assert_string_equal(at(t, a), want);
	}
	table_free(t);
}

static void keeps_the_newest_when_there_are_too_many(void **state)
{
	const size_t n = CODE_MAP_MAX + 5000;
	char *text = malloc(n * 24);
	size_t bytes = 0;
	struct table *t;

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		bytes += (size_t)snprintf(text + bytes, 24, "%zx 8 f%zx\n", i * 16, i);
	t = parse(text, bytes, false);
	free(text);
	assert_string_equal(at(t, 16 * (n - 1)), "f101387");
	assert_string_equal(at(t, 0), "-");
	assert_true(code_map_count(t) <= CODE_MAP_MAX && code_map_count(t) > 100000);
	assert_true(t->bytes <= CODE_MAP_BYTES_MAX + 4096);
	table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_runtimes_write),
		cmocka_unit_test(newer_code_is_where_it_overlaps_older_code),
		cmocka_unit_test(skips_lines_that_make_no_sense),
		cmocka_unit_test(the_first_line_of_a_cut_text_is_not_believed),
		cmocka_unit_test(nothing_to_name_is_no_table),
		cmocka_unit_test(agrees_with_going_through_all_lines),
		cmocka_unit_test(keeps_the_newest_when_there_are_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
