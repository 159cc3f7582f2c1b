/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/symtab.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "symbolizer/objfile.h"
#include "symbolizer/symtab_layout.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

static const char *corpus, *program, *program_cxx;

static uint64_t address_of(const struct fixture_symbols *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!strcmp(s->v[i].name, name))
			return s->v[i].start;
	}
	fail_msg("no symbol %s", name);
	return 0;
}

struct fixture {
	struct table *t;
	struct fixture_symbols nm;
	struct symtab_hit hit; /* of name_at() */
};

static int set_up(void **state)
{
	static struct fixture f;
	int r;

	f.t = fixture_table(program, &r);
	fixture_nm(program, "", &f.nm);
	*state = &f;
	return r == TABLE_HAS_SYMTAB ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	table_free(f->t);
	fixture_symbols_done(&f->nm);
	return 0;
}

static const char *name_at(struct fixture *f, const char *symbol, uint64_t offset)
{
	if (symtab_lookup(f->t, address_of(&f->nm, symbol) + offset, &f->hit) < 0)
		return "";
	return f->hit.name;
}

static void prefers_the_alias_a_person_would_use(void **state)
{
	assert_string_equal(name_at(*state, "__chosen", 1), "chosen");
	assert_string_equal(name_at(*state, "plain", 1), "plain");
	assert_string_equal(name_at(*state, "hidden", 1), "hidden");
	assert_string_equal(name_at(*state, "main", 0), "main");
}

static void prefers_the_function_that_has_code_to_an_empty_one_before_it(void **state)
{
	assert_string_equal(name_at(*state, "has_code", 3), "has_code");
}

static void chooses_as_a_person_would(void **state)
{
	static const char *const wanted[] = {"want_0", "want_1",	"want_2",
					     "want_3", "want_4.part.0", "want_5.cold",
					     NULL,     "want_7",	"want_8"};
	struct fixture *f = *state;
	uint64_t at = address_of(&f->nm, "want_0");

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct symtab_hit hit;
		int r = symtab_lookup(f->t, at + 16 * i + 5, &hit);

		if (!wanted[i]) {
			assert_int_equal(r, -ENOENT);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(hit.name, wanted[i]);
		assert_int_equal(hit.start, at + 16 * i);
		assert_int_equal(hit.size, 16);
	}
}

static void names_the_innermost_of_nested_functions(void **state)
{
	struct fixture *f = *state;
	struct symtab_hit hit;

	assert_string_equal(name_at(f, "outer", 15), "outer");
	assert_string_equal(name_at(f, "outer", 16), "inner");
	assert_string_equal(name_at(f, "outer", 31), "inner");
	assert_string_equal(name_at(f, "outer", 32), "outer");
	/* A label inside of a function is no function. */
	assert_string_equal(name_at(f, "outer", 60), "outer");
	assert_int_equal(symtab_lookup(f->t, address_of(&f->nm, "outer") + 40, &hit), 0);
	assert_int_equal(hit.start, address_of(&f->nm, "outer"));
	assert_int_equal(hit.size, 64);
}

static void lets_functions_without_size_reach_to_the_next(void **state)
{
	struct fixture *f = *state;
	struct symtab_hit hit;

	assert_int_equal(symtab_lookup(f->t, address_of(&f->nm, "loose") + 31, &hit), 0);
	assert_string_equal(hit.name, "loose");
	assert_int_equal(hit.size, 32);
	assert_string_equal(name_at(f, "loose", 32), "after");
}

static void says_when_no_function_is_there(void **state)
{
	struct fixture *f = *state;
	struct symtab_hit hit;

	assert_int_equal(symtab_lookup(f->t, 0, &hit), -ENOENT);
	assert_int_equal(symtab_lookup(f->t, UINT64_MAX, &hit), -ENOENT);
	assert_int_equal(symtab_lookup(f->t, f->nm.v[f->nm.n - 1].start + (1u << 20), &hit),
			 -ENOENT);
}

static void names_calls_through_the_plt(void **state)
{
	static const char *const called[] = {"strdup@plt", "printf@plt", "strlen@plt", "free@plt"};
	struct fixture *f = *state;
	bool found[ARRAY_SIZE(called)] = {0};
	const struct symtab_header *h;
	size_t bytes, n = 0;

#ifndef __x86_64__
	skip();
#endif
	h = table_section(f->t, TABLE_SYMBOLS, &bytes);
	for (uint64_t off = 0; off < UINT64_C(1) << SYMTAB_PAGE_SHIFT; off += 8) {
		if (symtab_lookup(f->t, h->base + off, &f->hit) < 0)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(called); i++)
			found[i] |= !strcmp(f->hit.name, called[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(called); i++)
		n += found[i];
	assert_true(n >= 3);
}

/* Random addresses in the functions of a real file against what nm says of it. */
static void agree_with_nm(const char *path, const char *option)
{
	_cleanup_(table_freep) struct table *t = NULL;
	struct fixture_symbols nm;
	uint64_t seed = 1;
	size_t checked = 0;
	int r;

	if (access(path, R_OK) < 0)
		return;
	t = fixture_table(path, &r);
	assert_non_null(t);
	fixture_nm(path, option, &nm);
	for (int i = 0; i < 2500; i++) {
		const struct fixture_symbol *s = &nm.v[fixture_random(&seed) % nm.n];
		uint64_t addr = s->start + fixture_random(&seed) % (s->size + 8);
		uint64_t start = fixture_covering(&nm, addr);
		struct symtab_hit hit;

		if (start == UINT64_MAX)
			continue;
		assert_int_equal(symtab_lookup(t, addr, &hit), 0);
		assert_int_equal(hit.start, start);
		if (!fixture_is_name_at(&nm, start, hit.name))
			fail_msg("%s: %s is not at %lx", path, hit.name, (unsigned long)start);
		checked++;
	}
	assert_true(checked > 2000 || nm.n < 100);
	fixture_symbols_done(&nm);
}

static void agrees_with_nm_about_this_machines_libraries(void **state)
{
	agree_with_nm("/lib/x86_64-linux-gnu/libc.so.6", "-D");
	agree_with_nm("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "-D");
	agree_with_nm("/usr/bin/git", "-D");
	agree_with_nm(program, "");
}

static void agrees_with_nm_about_cxx(void **state)
{
	if (!program_cxx)
		skip();
	agree_with_nm(program_cxx, "");
}

static void takes_less_room_than_the_symbol_table(void **state)
{
	const char *path = program_cxx ? program_cxx : program;
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_free_ uint8_t *p = NULL;
	struct objfile_section symtab, strtab;
	size_t n, names, symbols;
	int r;

	p = fixture_read(path, &n);
	assert_int_equal(objfile_open_memory(p, n, &o), 0);
	t = fixture_table_of(o, &r);
	assert_int_equal(objfile_section_by_name(o, ".symtab", &symtab), 0);
	assert_int_equal(objfile_section_by_name(o, ".strtab", &strtab), 0);
	(void)table_section(t, TABLE_STRINGS, &names);
	(void)table_section(t, TABLE_SYMBOLS, &symbols);
	assert_true(names + symbols <= (symtab.size + strtab.size) * 6 / 10);
}

static void finds_dynamic_symbols_without_section_headers(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_free_ uint8_t *p = NULL;
	struct fixture_symbols nm;
	struct symtab_hit hit;
	size_t n;
	int r;

	p = fixture_read(program, &n);
	((Elf64_Ehdr *)p)->e_shoff = 0;
	assert_int_equal(objfile_open_memory(p, n, &o), 0);
	t = fixture_table_of(o, &r);
	assert_non_null(t);
	assert_int_equal(r, 0);
	fixture_nm(program, "-D", &nm);
	assert_int_equal(symtab_lookup(t, address_of(&nm, "plain") + 1, &hit), 0);
	assert_string_equal(hit.name, "plain");
	fixture_symbols_done(&nm);
}

/* Small files of two functions, one for each layout of Go's table (see tests/fuzz/corpus). */
static void names_go_functions_of_every_release(void **state)
{
	static const char *const layouts[] = {"2", "16", "18", "20"};

	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		_cleanup_(table_freep) struct table *t = NULL;
		struct symtab_hit hit;
		char path[4096];
		int r;

		(void)snprintf(path, sizeof(path), "%s/go1_%s.elf", corpus, layouts[i]);
		t = fixture_table(path, &r);
		assert_int_equal(r, TABLE_IS_GO | TABLE_HAS_LINES);
		assert_int_equal(symtab_count(t), 2);
		assert_int_equal(symtab_lookup_line(t, 0x4000b0 + 20, &hit), 0);
		assert_string_equal(hit.name, "main.main");
		assert_int_equal(hit.start, 0x4000b0);
		assert_int_equal(hit.size, 32);
		assert_string_equal(hit.file, "/src/main.go");
		assert_int_equal(hit.line, 16);
		/* Only from 1.20 on is the line of `func` in the table. */
		assert_int_equal(hit.start_line, i == 3 ? 7 : 14);
		assert_int_equal(symtab_lookup_line(t, 0x4000d0, &hit), 0);
		assert_string_equal(hit.name, "main.f");
		assert_int_equal(symtab_lookup(t, 0x4000f0, &hit), -ENOENT);
	}
}

static void leaves_other_sections_alone_when_names_do_not_fit(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(table_writer_done) struct table_writer w;
	_cleanup_free_ uint8_t *p = NULL;
	size_t n;

	p = fixture_read(program, &n);
	assert_int_equal(objfile_open_memory(p, n, &o), 0);
	table_writer_init(&w, 100);
	buf_adds(&w.sections[TABLE_ROWS], "rows");
	assert_int_equal(symtab_write(o, true, &w), -E2BIG);
	assert_int_equal(w.sections[TABLE_ROWS].len, 4);
	for (size_t i = 0; i < TABLE_SECTION_MAX; i++)
		assert_int_equal(w.sections[i].failed, 0);
}

/* Whatever a table holds, a lookup ends and stays inside (ASan would tell). */
static void survives_any_change_of_the_table(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 99;

	for (int i = 0; i < 2000; i++) {
		_cleanup_free_ uint8_t *copy = malloc(f->t->bytes);
		_cleanup_(table_freep) struct table *t = NULL;
		struct symtab_hit hit;

		memcpy(copy, f->t->data, f->t->bytes);
		for (int k = 0; k < 4; k++) {
			size_t at =
				sizeof(struct table_header) +
				fixture_random(&seed) % (f->t->bytes - sizeof(struct table_header));

			copy[at] = (uint8_t)fixture_random(&seed);
		}
		t = fixture_table_open(copy, f->t->bytes, false);
		assert_non_null(t);
		for (int k = 0; k < 20; k++) {
			uint64_t addr = f->nm.v[fixture_random(&seed) % f->nm.n].start;

			if (symtab_lookup(t, addr, &hit) == 0)
				assert_true(strlen(hit.name) <= SYMTAB_NAME_BYTES_MAX + 4);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefers_the_alias_a_person_would_use),
		cmocka_unit_test(prefers_the_function_that_has_code_to_an_empty_one_before_it),
		cmocka_unit_test(chooses_as_a_person_would),
		cmocka_unit_test(names_the_innermost_of_nested_functions),
		cmocka_unit_test(lets_functions_without_size_reach_to_the_next),
		cmocka_unit_test(says_when_no_function_is_there),
		cmocka_unit_test(names_calls_through_the_plt),
		cmocka_unit_test(agrees_with_nm_about_this_machines_libraries),
		cmocka_unit_test(agrees_with_nm_about_cxx),
		cmocka_unit_test(takes_less_room_than_the_symbol_table),
		cmocka_unit_test(finds_dynamic_symbols_without_section_headers),
		cmocka_unit_test(names_go_functions_of_every_release),
		cmocka_unit_test(leaves_other_sections_alone_when_names_do_not_fit),
		cmocka_unit_test(survives_any_change_of_the_table),
	};

	if (argc < 3)
		return 2;
	corpus = argv[1];
	program = argv[2];
	program_cxx = argc > 3 ? argv[3] : NULL;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
