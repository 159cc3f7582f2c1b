/* SPDX-License-Identifier: Apache-2.0 */
/* Line tables, strings, layouts and names, by hand; walks are replayed by python_replay_test.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "unwinders/python_internal.h"
#include "unwinders/runtime.h"

extern const struct runtime python_runtime;

/* ---- Lines ----
 * The tables that CPython itself made, with what dis.findlinestarts() says, of:
 *
 *	def f(x):
 *	    a = 1
 *
 *	    for i in range(x):
 *	        a += (i *
 *	              2)
 *	    return a
 */
static const uint8_t pairs_39[] = {0, 1, 4, 2, 12, 1, 4, 1, 2, 255, 8, 2};
static const uint8_t ranges_310[] = {4, 1, 12, 2, 4, 1, 2, 1, 8, 255, 4, 2};
static const uint8_t locations_311[] = {
	128, 0,	 216, 8,   9, 128, 65, 229, 13,	 18,  144, 49, 137, 88, 140, 88,  240, 0,   2,
	5,   17, 240, 0,   2, 5,   17, 136, 1,	 216, 8,   9,  136, 97, 216, 14,  15,  241, 3,
	1,   15, 16,  241, 0, 1,   9,  17,  136, 1,   136, 1,  224, 11, 12,  128, 72};

struct expected {
	uint32_t offset, line;
};

static void check_lines(unsigned int version, const uint8_t *table, size_t bytes,
			const struct expected *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(python_line(version, table, bytes, false, 1, e[i].offset),
				 e[i].line);
}

static void lines_are_those_that_cpython_shows(void **state)
{
	static const struct expected old[] = {
		{0, 2},	 {3, 2},  {4, 4},  {15, 4}, {16, 5},
		{20, 6}, {22, 5}, {29, 5}, {30, 7}, {33, 7},
	};
	static const struct expected new[] = {
		{0, 1},	 {2, 2},  {4, 2},  {6, 4},  {24, 4}, {38, 4},
		{40, 5}, {44, 6}, {46, 5}, {56, 5}, {58, 7}, {60, 7},
	};

	(void)state;
	check_lines(0x0309, pairs_39, sizeof(pairs_39), old, ARRAY_SIZE(old));
	check_lines(0x0306, pairs_39, sizeof(pairs_39), old, ARRAY_SIZE(old));
	check_lines(0x030a, ranges_310, sizeof(ranges_310), old, ARRAY_SIZE(old));
	check_lines(0x030b, locations_311, sizeof(locations_311), new, ARRAY_SIZE(new));
	check_lines(0x0310, locations_311, sizeof(locations_311), new, ARRAY_SIZE(new));
}

static void a_table_that_ends_early_gives_the_first_line(void **state)
{
	(void)state;
	assert_int_equal(python_line(0x030b, locations_311, 10, true, 7, 1000), 7);
	assert_int_equal(python_line(0x030a, ranges_310, 4, true, 7, 1000), 7);
	assert_int_equal(python_line(0x0309, pairs_39, 4, true, 7, 1000), 7);
	/* To 3.9 the last line goes on to the end of the code. */
	assert_int_equal(python_line(0x0309, pairs_39, sizeof(pairs_39), false, 1, 1000), 7);
	assert_int_equal(python_line(0x030b, NULL, 0, false, 7, 0), 7);
	/* A varint without an end. */
	assert_int_equal(python_line(0x030b, (const uint8_t[]){0xf0, 0x7f, 0x7f}, 3, false, 7, 0),
			 7);
}

/* ---- Strings ---- */

static const char *text(unsigned int width, uint32_t chars, const void *bytes, uint16_t n, char *to,
			size_t size)
{
	const struct python_string s = {.chars = chars, .bytes = n, .width = (uint8_t)width};

	python_utf8(&s, bytes, to, size);
	return to;
}

static void strings_of_each_width_become_utf8(void **state)
{
	static const uint16_t two[] = {0x0444, 0x20ac, 0xd800, 'x'};
	static const uint32_t four[] = {0x1f40d, 'y', 0x7fffffff};
	char to[64];

	(void)state;
	assert_string_equal(text(1, 7, "Foo.bar", 7, to, sizeof(to)), "Foo.bar");
	assert_string_equal(text(1, 4, "caf\xe9", 4, to, sizeof(to)), "caf\xc3\xa9");
	assert_string_equal(text(2, 4, two, 8, to, sizeof(to)),
			    "\xd1\x84\xe2\x82\xac\xef\xbf\xbdx");
	assert_string_equal(text(4, 3, four, 12, to, sizeof(to)), "\xf0\x9f\x90\x8dy\xef\xbf\xbd");
	assert_string_equal(text(1, 3, "a\n\x1b", 3, to, sizeof(to)), "a\xef\xbf\xbd\xef\xbf\xbd");
}

static void a_string_that_is_not_all_there_says_so(void **state)
{
	char to[64];

	(void)state;
	assert_string_equal(text(1, 300, "abc", 3, to, sizeof(to)), "abc...");
	assert_string_equal(text(1, 11, "abcdefghijk", 11, to, 12), "abcde...");
	assert_string_equal(text(0, 0, "", 0, to, sizeof(to)), "");
}

/* ---- Layouts ---- */

/* _Py_DebugOffsets of 3.13.0, as far as it is needed. */
static const uint64_t offsets_313[] = {
	0,    0x030d00f0, 0,   283320, 608, 632,  194968, 7272, 7264, 7344, 7400, 7656,
	7640, 7648,	  16,  7752,   0,   7768, 7760,	  304,	0,    8,    16,	  72,
	152,  160,	  232, 32,     80,  8,	  0,	  56,	72,   70,   208,  112,
	120,  128,	  136, 68,     52,  96,	  104,	  200,	16,   8,    416,  24,
	88,   168,	  32,  24,     16,  40,	  24,	  16,	48,   32,   40,	  24,
	16,   32,	  16,  24,     40,  16,	  32,	  64,	32,   16,   40};

static size_t offsets_with_cookie(const uint64_t *words, size_t n, uint64_t *to)
{
	memcpy(to, words, n * 8);
	memcpy(to, "xdebugpy", 8);
	return n * 8;
}

static void the_runtime_says_where_things_lie(void **state)
{
	uint64_t words[ARRAY_SIZE(offsets_313)];
	size_t bytes = offsets_with_cookie(offsets_313, ARRAY_SIZE(offsets_313), words);
	struct python_file f;

	(void)state;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 283320, &f), 0);
	assert_int_equal(f.version, 0x030d);
	assert_int_equal(f.interpreters, 632);
	assert_int_equal(f.interp_threads, 7344);
	assert_int_equal(f.thread_id, 152);
	assert_int_equal(f.thread_frame, 72);
	assert_int_equal(f.frame_owner, 70);
	assert_int_equal(f.frame_instr, 56);
	assert_int_equal(f.code_name, 120);
	assert_int_equal(f.code_line, 60);
	assert_int_equal(f.code_instrs, 200);
	assert_int_equal(f.string_ascii, 40);
	assert_int_equal(f.string_wide, 56);
	assert_int_equal(f.string_kind_bit, 2);
	assert_int_equal(f.bytes_data, 32);
	assert_int_equal(f.frame_tlbc, 0);
}

static void a_runtime_of_another_kind_is_refused(void **state)
{
	uint64_t words[ARRAY_SIZE(offsets_313)];
	size_t bytes = offsets_with_cookie(offsets_313, ARRAY_SIZE(offsets_313), words);
	struct python_file f;

	(void)state;
	/* The symbol has another size than the table says. */
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 283312, &f), -EBADMSG);
	/* An offset beyond what is read at once, or beyond its struct. */
	words[28 + 3] = 96;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), -EBADMSG);
	words[28 + 3] = UINT64_MAX;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), -EBADMSG);
	words[28 + 3] = 56;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes - 128, 0, &f), -EBADMSG);
	memcpy(words, "xdebugpx", 8);
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), -ENODATA);
	assert_int_equal(python_layout_of_runtime((void *)words, 16, 0, &f), -ENODATA);
}

static void a_newer_version_is_tried(void **state)
{
	uint64_t words[ARRAY_SIZE(offsets_313)];
	size_t bytes = offsets_with_cookie(offsets_313, ARRAY_SIZE(offsets_313), words);
	struct python_file f;

	(void)state;
	words[1] = 0x031200f0;
	assert_int_equal(python_layout_of_runtime((void *)words, bytes, 0, &f), 0);
	assert_int_equal(f.version, 0x0312);
	assert_int_equal(f.thread_frame, 72);
}

static void every_known_version_has_a_layout(void **state)
{
	struct python_file f;

	(void)state;
	for (unsigned int v = 0x0306; v <= 0x030c; v++) {
		assert_int_equal(python_layout_of_version(v, &f), 0);
		assert_int_equal(f.version, v);
		assert_true(python_runtime.valid(&f));
	}
	assert_int_equal(python_layout_of_version(0x0305, &f), -ENODATA);
	f.frame_code = 73;
	assert_false(python_runtime.valid(&f));
	f.frame_code = 80;
	assert_false(python_runtime.valid(&f));
}

static void objects_begin_later_with_trace_refs(void **state)
{
	struct python_file f, plain;

	(void)state;
	for (unsigned int v = 0x0306; v <= 0x030c; v++) {
		assert_int_equal(python_layout_of_version(v, &plain), 0);
		f = plain;
		python_layout_trace_refs(&f);
		assert_true(python_runtime.valid(&f));
		assert_int_equal(f.code_ob_type, plain.code_ob_type + PYTHON_TRACE_REFS_BYTES);
		/* They count from there. */
		assert_int_equal(f.code_name, plain.code_name);
		/* From 3.11 on frames are no objects. */
		assert_int_equal(f.frame_previous,
				 plain.frame_previous + (v < 0x030b ? PYTHON_TRACE_REFS_BYTES : 0));
	}
}

/* ---- Names ---- */

static void *names_with(uint64_t key, const char *name)
{
	struct python_record r = {
		.e = {.key = key},
		.version = 0x030b,
		.line = 1,
		.name = {.chars = (uint32_t)strlen(name), .width = 1},
		.path = {.chars = 9, .bytes = 9, .width = 1},
		.table_bytes = sizeof(locations_311),
		.table_copied = sizeof(locations_311),
	};
	void *names = NULL;

	r.name.bytes = (uint16_t)strlen(name);
	memcpy(r.name_bytes, name, strlen(name));
	memcpy(r.path_bytes, "/app/x.py", 9);
	memcpy(r.table, locations_311, sizeof(locations_311));
	assert_int_equal(python_runtime.names_new(&names), 0);
	/* Shorter than it says: not believed. */
	python_runtime.on_record(names, &r.e, offsetof(struct python_record, table) + 3);
	python_runtime.on_record(names, &r.e,
				 offsetof(struct python_record, table) + sizeof(locations_311));
	return names;
}

static void a_frame_has_the_name_of_its_record(void **state)
{
	void *names = names_with(42, "Foo.bar");
	struct runtime_frame frame = {.value = 42, .more = 44};
	struct runtime_function f;
	const char *why = NULL;

	(void)state;
	assert_int_equal(python_runtime.name_frame(names, &frame, &f, &why), 1);
	assert_string_equal(f.name, "Foo.bar");
	assert_string_equal(f.file, "/app/x.py");
	assert_int_equal(f.line, 6);
	assert_int_equal(f.start_line, 1);
	frame.value = 43;
	assert_int_equal(python_runtime.name_frame(names, &frame, &f, &why), 0);
	assert_string_equal(why, "[python: name lost]");
	python_runtime.names_free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_those_that_cpython_shows),
		cmocka_unit_test(a_table_that_ends_early_gives_the_first_line),
		cmocka_unit_test(strings_of_each_width_become_utf8),
		cmocka_unit_test(a_string_that_is_not_all_there_says_so),
		cmocka_unit_test(the_runtime_says_where_things_lie),
		cmocka_unit_test(a_runtime_of_another_kind_is_refused),
		cmocka_unit_test(a_newer_version_is_tried),
		cmocka_unit_test(every_known_version_has_a_layout),
		cmocka_unit_test(objects_begin_later_with_trace_refs),
		cmocka_unit_test(a_frame_has_the_name_of_its_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
