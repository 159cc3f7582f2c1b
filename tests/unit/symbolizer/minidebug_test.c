/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments: a directory with what minidebug.sh makes, and the program it is made of. */
#include "symbolizer/minidebug.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

static const char *dir, *program;

static struct table *table_of(const char *name, int *ret_r)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fixture_table(path, ret_r);
}

static uint64_t address_of(const struct fixture_symbols *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!strcmp(s->v[i].name, name))
			return s->v[i].start;
	}
	fail_msg("no symbol %s", name);
	return 0;
}

static void names_static_functions_of_a_stripped_program(void **state)
{
	_cleanup_(table_freep) struct table *stripped = NULL, *mini = NULL, *whole = NULL;
	struct fixture_symbols nm;
	struct symtab_hit hit;
	uint64_t at;
	int r;

	whole = fixture_table(program, &r);
	fixture_nm(program, "", &nm);
	at = address_of(&nm, "hidden");
	stripped = table_of("stripped", &r);
	assert_int_equal(r, 0);
	if (symtab_lookup(stripped, at, &hit) == 0)
		assert_string_not_equal(hit.name, "hidden");
	mini = table_of("mini", &r);
	assert_int_equal(r, TABLE_HAS_SYMTAB);
	assert_int_equal(symtab_lookup(mini, at, &hit), 0);
	assert_string_equal(hit.name, "hidden");
	assert_int_equal(hit.start, at);
	/* What is in .dynsym is not in MiniDebugInfo: both together are complete. */
	for (size_t i = 0; i < nm.n; i++) {
		struct symtab_hit all;

		if (!nm.v[i].size || !strchr("tT", nm.v[i].type))
			continue;
		assert_int_equal(symtab_lookup(whole, nm.v[i].start, &all), 0);
		assert_int_equal(symtab_lookup(mini, nm.v[i].start, &hit), 0);
		assert_string_equal(hit.name, all.name);
		assert_int_equal(hit.size, all.size);
	}
	fixture_symbols_done(&nm);
}

/* Opens a copy of the file with MiniDebugInfo in which those bytes were changed. */
static int open_changed(void (*change)(uint8_t *p, size_t n))
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(minidebug_done) struct minidebug m = {0};
	_cleanup_free_ uint8_t *p = NULL;
	struct objfile_section s;
	char path[4096];
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/mini", dir);
	p = fixture_read(path, &n);
	assert_int_equal(objfile_open_memory(p, n, &o), 0);
	assert_int_equal(objfile_section_by_name(o, ".gnu_debugdata", &s), 0);
	change((uint8_t *)s.data, s.size);
	return minidebug_open(o, &m);
}

static void nothing(uint8_t *p, size_t n)
{
}

static void damage(uint8_t *p, size_t n)
{
	p[n / 2] ^= 0x55;
}

static void damage_start(uint8_t *p, size_t n)
{
	p[0] = 'x';
}

static void cut(uint8_t *p, size_t n)
{
	memset(p + n / 2, 0, n - n / 2);
}

static void refuses_what_is_damaged(void **state)
{
	assert_int_equal(open_changed(nothing), 0);
	assert_int_equal(open_changed(damage), -EBADMSG);
	assert_int_equal(open_changed(damage_start), -EBADMSG);
	assert_int_equal(open_changed(cut), -EBADMSG);
}

/* An ELF file with .gnu_debugdata of `bytes` zeros, compressed with `preset`. */
static int open_bomb(size_t bytes, uint32_t preset)
{
	char base[] = "/tmp/tephra-test-XXXXXX", command[512], path[64];
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(minidebug_done) struct minidebug m = {0};
	_cleanup_close_ int fd = -1;
	int r;

	assert_non_null(mkdtemp(base));
	(void)snprintf(command, sizeof(command),
		       "cd %s && head -c %zu /dev/zero | xz -%u -T1 >z.xz && "
		       "objcopy --strip-all --add-section .gnu_debugdata=z.xz '%s/stripped' out",
		       base, bytes, preset, dir);
	assert_int_equal(system(command), 0);
	(void)snprintf(path, sizeof(path), "%s/out", base);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(objfile_open(fd, &o), 0);
	r = minidebug_open(o, &m);
	(void)snprintf(command, sizeof(command), "rm -r %s", base);
	assert_int_equal(system(command), 0);
	return r;
}

static void refuses_a_bomb(void **state)
{
	assert_int_equal(open_bomb(MINIDEBUG_BYTES_MAX + 1, 1), -E2BIG);
	assert_int_equal(open_bomb(100, 1), -EBADMSG);
}

static void leaves_the_program_its_names_when_it_is_damaged(void **state)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_free_ uint8_t *p = NULL;
	struct fixture_symbols nm;
	struct objfile_section s;
	struct symtab_hit hit;
	char path[4096];
	size_t n;
	int r;

	(void)snprintf(path, sizeof(path), "%s/mini", dir);
	p = fixture_read(path, &n);
	assert_int_equal(objfile_open_memory(p, n, &o), 0);
	assert_int_equal(objfile_section_by_name(o, ".gnu_debugdata", &s), 0);
	damage((uint8_t *)s.data, s.size);
	t = fixture_table_of(o, &r);
	assert_int_equal(r, 0);
	fixture_nm(program, "-D", &nm);
	assert_int_equal(symtab_lookup(t, address_of(&nm, "plain") + 1, &hit), 0);
	assert_string_equal(hit.name, "plain");
	fixture_symbols_done(&nm);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_static_functions_of_a_stripped_program),
		cmocka_unit_test(refuses_what_is_damaged),
		cmocka_unit_test(refuses_a_bomb),
		cmocka_unit_test(leaves_the_program_its_names_when_it_is_damaged),
	};

	if (argc < 3)
		return 2;
	dir = argv[1];
	program = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
