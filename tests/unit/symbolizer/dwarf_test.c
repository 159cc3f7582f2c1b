/* SPDX-License-Identifier: Apache-2.0 */
/* truth.c in every form of debug information: functions, inlined functions, files and lines are
 * the same in all, and those that the source says. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "symbolizer/dwarf.h"
#include "symbolizer/objfile.h"
#include "tests/unit/symbolizer/fixture.h"

static const char *dir; /* where dwarf_truth.sh built */

struct seen {
	size_t n, calls;
	struct {
		char name[32], path[512];
		uint32_t line, start_line;
	} frames[8];
};

struct opened {
	struct objfile *objects[4]; /* debug, alt, two split ones */
	struct dwarf *dwarf;
};

static struct objfile *open_object(const char *name)
{
	_cleanup_close_ int fd = -1;
	struct objfile *o = NULL;
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(objfile_open(fd, &o), 0);
	return o;
}

/* alt and split may be NULL. */
static struct opened open_dwarf(const char *debug, const char *alt, const char *split)
{
	struct opened o = {0};
	struct dwarf_files f = {0};

	f.debug = o.objects[0] = open_object(debug);
	f.alt = o.objects[1] = alt ? open_object(alt) : NULL;
	o.objects[2] = split ? open_object(split) : NULL;
	f.split = &o.objects[2];
	f.n_split = split ? 1 : 0;
	assert_int_equal(dwarf_open(&f, &o.dwarf), 0);
	return o;
}

static void close_dwarf(struct opened *o)
{
	dwarf_free(o->dwarf);
	for (size_t i = 0; i < 4; i++)
		objfile_free(o->objects[i]);
}

static void see(void *data, size_t index, const struct dwarf_frame *frames, size_t n)
{
	struct seen *s = data;

	s->calls++;
	s->n = n;
	assert_true(n <= 8);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(s->frames[i].name, sizeof(s->frames[i].name), "%s",
			       frames[i].name ? frames[i].name : "?");
		dwarf_path(&frames[i], s->frames[i].path, sizeof(s->frames[i].path));
		s->frames[i].line = frames[i].line;
		s->frames[i].start_line = frames[i].start_line;
	}
}

static uint64_t address_of(const char *program, const char *symbol)
{
	struct fixture_symbols all = {0};
	uint64_t r = 0;
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, program);
	fixture_nm(path, "", &all);
	for (size_t i = 0; i < all.n; i++) {
		if (!strcmp(all.v[i].name, symbol))
			r = all.v[i].start;
	}
	fixture_symbols_done(&all);
	assert_true(r);
	return r;
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && s[n - k - 1] == '/' && !strcmp(s + n - k, end);
}

/* program: where the symbols are; debug: where the debug information is. */
static void check(const char *program, const char *debug, const char *alt, const char *split)
{
	struct opened o = open_dwarf(debug, alt, split);
	const uint64_t inlined = address_of(program, "mark_inlined");
	const uint64_t other = address_of(program, "mark_other");
	struct seen s = {0};

	assert_int_equal(dwarf_expand(o.dwarf, &inlined, 1, see, &s), 0);
	assert_int_equal(s.calls, 1);
	if (s.n != 3)
		print_error("%s: %zu frames, the first is %s\n", debug, s.n, s.frames[0].name);
	assert_int_equal(s.n, 3);
	assert_string_equal(s.frames[0].name, "innermost");
	assert_true(ends_in(s.frames[0].path, "truth_inner.h"));
	assert_in_range(s.frames[0].line, 101, 102);
	assert_int_equal(s.frames[0].start_line, 100);
	assert_string_equal(s.frames[1].name, "middle");
	assert_true(ends_in(s.frames[1].path, "truth.c"));
	assert_int_equal(s.frames[1].line, 203);
	assert_int_equal(s.frames[1].start_line, 200);
	assert_string_equal(s.frames[2].name, "outer");
	assert_int_equal(s.frames[2].line, 303);
	assert_int_equal(s.frames[2].start_line, 300);

	s = (struct seen){0};
	assert_int_equal(dwarf_expand(o.dwarf, &other, 1, see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.frames[0].name, "other");
	assert_in_range(s.frames[0].line, 401, 402);
	close_dwarf(&o);
}

static void every_version_of_two_compilers_says_the_same(void **state)
{
	static const char *const programs[] = {
		"gcc2", "gcc3", "gcc4", "gcc5", "gcc64", "clang2", "clang3", "clang4", "clang5",
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		check(programs[i], programs[i], NULL, NULL);
}

static void compressed_sections_are_unpacked(void **state)
{
	check("zlib", "zlib", NULL, NULL);
	check("gnu", "gnu", NULL, NULL);
	check("zstd", "zstd", NULL, NULL);
}

static void a_separate_file_serves_its_program(void **state)
{
	check("gcc5", "separate", NULL, NULL);
}

static void split_units_are_found_by_their_ids(void **state)
{
	check("gccsplit4", "gccsplit4", NULL, "split4/truth.dwo");
	check("gccsplit5", "gccsplit5", NULL, "split5/truth.dwo");
	check("clangsplit", "clangsplit", NULL, "splitclang/truth.dwo");
	check("gccsplit4", "gccsplit4", NULL, "gccsplit4.dwp");
}

static void names_come_out_of_the_file_that_dwz_made(void **state)
{
	check("dwz4", "dwz4", "dwz4.alt", NULL);
}

static void a_missing_split_unit_is_named_and_its_lines_are_there(void **state)
{
	struct opened o = open_dwarf("gccsplit5", NULL, "split4/truth.dwo");
	const uint64_t inlined = address_of("gccsplit5", "mark_inlined");
	struct dwarf_missing m;
	struct seen s = {0};

	assert_int_equal(dwarf_expand(o.dwarf, &inlined, 1, see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.frames[0].name, "?");
	assert_in_range(s.frames[0].line, 101, 102);
	assert_int_equal(dwarf_get_missing(o.dwarf, 0, &m), 0);
	assert_string_equal(m.name, "truth.dwo");
	assert_true(ends_in(m.comp_dir, "split5"));
	assert_true(m.dwo_id != 0);
	assert_int_equal(dwarf_get_missing(o.dwarf, 1, &m), -2);
	close_dwarf(&o);
}

static void many_addresses_at_once_give_what_each_gives_alone(void **state)
{
	struct opened o = open_dwarf("gcc5", NULL, NULL);
	const uint64_t first = address_of("gcc5", "outer"), last = address_of("gcc5", "other") + 16;
	uint64_t vaddrs[512];
	size_t n = 0;
	struct seen one = {0}, all = {0};

	for (uint64_t a = first; a < last && n < ARRAY_SIZE(vaddrs); a++)
		vaddrs[n++] = a;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(dwarf_expand(o.dwarf, &vaddrs[i], 1, see, &one), 0);
	assert_int_equal(dwarf_expand(o.dwarf, vaddrs, n, see, &all), 0);
	assert_int_equal(one.calls, all.calls);
	assert_true(all.calls >= n / 2);
	close_dwarf(&o);
}

static void a_program_without_debug_information_says_so(void **state)
{
	struct objfile *o = open_object("split5/truth.dwo");
	const struct dwarf_files f = {.debug = o};
	struct dwarf *d = NULL;

	assert_int_equal(dwarf_open(&f, &d), -61);
	objfile_free(o);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_of_two_compilers_says_the_same),
		cmocka_unit_test(compressed_sections_are_unpacked),
		cmocka_unit_test(a_separate_file_serves_its_program),
		cmocka_unit_test(split_units_are_found_by_their_ids),
		cmocka_unit_test(names_come_out_of_the_file_that_dwz_made),
		cmocka_unit_test(a_missing_split_unit_is_named_and_its_lines_are_there),
		cmocka_unit_test(many_addresses_at_once_give_what_each_gives_alone),
		cmocka_unit_test(a_program_without_debug_information_says_so),
	};

	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
