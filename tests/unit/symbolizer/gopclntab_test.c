/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments: a Go program, and the go command. Without them: skipped. */
#include "symbolizer/gopclntab.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "tests/unit/symbolizer/fixture.h"

static const char *program, *go;

struct fixture {
	struct objfile *o;
	struct gopclntab *g;
	struct table *t;
};

static int set_up(void **state)
{
	static struct fixture f;
	_cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC);
	int r;

	if (objfile_open(fd, &f.o) < 0 || gopclntab_open(f.o, &f.g) < 0)
		return -1;
	f.t = fixture_table_of(f.o, &r);
	*state = &f;
	return r >= 0 && (r & TABLE_IS_GO) && (r & TABLE_HAS_LINES) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	table_free(f->t);
	gopclntab_free(f->g);
	objfile_free(f->o);
	return 0;
}

/* Names differ by design where the table has "[...]" for type arguments, and the symbols have the
 * calling convention behind the name. */
static bool same_name(const char *ours, const char *theirs)
{
	const char *cut = strstr(ours, "[...]");
	size_t n = strlen(ours);

	if (cut)
		return !strncmp(ours, theirs, (size_t)(cut - ours));
	return !strncmp(ours, theirs, n) && (!theirs[n] || !strncmp(theirs + n, ".abi", 4));
}

static void agrees_with_go_tool_nm(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0, checked = 0, missing = 0;
	char command[512];
	FILE *p;

	(void)snprintf(command, sizeof(command), "'%s' tool nm '%s'", go, program);
	p = popen(command, "r");
	assert_non_null(p);
	while (getline(&line, &cap, p) > 0) {
		unsigned long addr;
		struct symtab_hit hit;
		char type, name[512];

		if (sscanf(line, "%lx %c %511s", &addr, &type, name) != 3 ||
		    (type != 'T' && type != 't') || !strcmp(name, "runtime.etext") ||
		    !strcmp(name, "runtime.text"))
			continue;
		checked++;
		if (symtab_lookup(f->t, addr, &hit) < 0 || hit.start != addr ||
		    !same_name(hit.name, name))
			missing++;
	}
	assert_int_equal(pclose(p), 0);
	assert_true(checked > 1000);
	/* Types with generated names are numbered in one and not in the other. */
	assert_true(missing * 100 <= checked);
}

static void agrees_with_go_tool_addr2line(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/tephra-test-XXXXXX", command[512], name[512], place[1024];
	_cleanup_close_ int fd = mkstemp(path);
	uint64_t seed = 5, addrs[2000];
	size_t wrong = 0;
	FILE *p;

	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		struct gopclntab_func fn;

		/* The last 16 bytes may be padding, which belongs to nobody. */
		do {
			size_t at = fixture_random(&seed) % gopclntab_count(f->g);

			assert_int_equal(gopclntab_func(f->g, at, &fn), 0);
		} while (fn.end - fn.entry <= 32);
		addrs[i] = fn.entry + fixture_random(&seed) % (fn.end - fn.entry - 32);
		assert_true(dprintf(fd, "0x%lx\n", (unsigned long)addrs[i]) > 0);
	}
	(void)snprintf(command, sizeof(command), "'%s' tool addr2line '%s' <%s", go, program, path);
	p = popen(command, "r");
	assert_non_null(p);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		struct symtab_hit hit;
		char ours[1024];

		assert_non_null(fgets(name, sizeof(name), p));
		assert_non_null(fgets(place, sizeof(place), p));
		place[strcspn(place, "\n")] = '\0';
		assert_int_equal(symtab_lookup_line(f->t, addrs[i], &hit), 0);
		(void)snprintf(ours, sizeof(ours), "%s:%u", hit.file ? hit.file : "?", hit.line);
		wrong += strcmp(ours, place) != 0;
	}
	assert_int_equal(pclose(p), 0);
	unlink(path);
	assert_int_equal(wrong, 0);
}

static void knows_where_a_function_begins_in_its_source(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < gopclntab_count(f->g); i++) {
		struct gopclntab_func fn;
		struct symtab_hit hit;

		assert_int_equal(gopclntab_func(f->g, i, &fn), 0);
		if (strcmp(fn.name, "main.main"))
			continue;
		assert_int_equal(symtab_lookup_line(f->t, fn.entry + 1, &hit), 0);
		assert_string_equal(hit.name, "main.main");
		assert_non_null(strstr(hit.file, "code.go"));
		assert_int_equal(hit.start_line, 19);
		return;
	}
	fail_msg("no main.main");
}

/* What was said of each address: "name file:line" a line. */
struct answers {
	struct buf *of;
	size_t n;
};

static void add_answer(struct answers *a, size_t i, const char *name, const char *file,
		       uint32_t line)
{
	const char *type = name ? strchr(name, '[') : NULL;

	/* The linker's names have types where the table has "[...]". */
	buf_printf(&a->of[i], "%.*s %s:%u\n", type ? (int)(type - name) : (name ? 999 : 0),
		   name ? name : "", file ? file : "?", line);
}

static void on_go(void *data, size_t i, const struct gopclntab_frame *f, size_t n)
{
	for (size_t k = 0; k < n; k++)
		add_answer(data, i, f[k].name, f[k].file, f[k].line);
}

static void on_dwarf(void *data, size_t i, const struct dwarf_frame *f, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		char path[1024];

		dwarf_path(&f[k], path, sizeof(path));
		add_answer(data, i, f[k].name, path, f[k].line);
	}
}

static int address_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

#define ADDRESSES 5000

static void random_addresses(const struct gopclntab *g, uint64_t *ret)
{
	uint64_t seed = 11;

	for (size_t i = 0; i < ADDRESSES; i++) {
		struct gopclntab_func fn;

		do {
			size_t at = fixture_random(&seed) % gopclntab_count(g);

			assert_int_equal(gopclntab_func(g, at, &fn), 0);
		} while (fn.end - fn.entry <= 32);
		ret[i] = fn.entry + fixture_random(&seed) % (fn.end - fn.entry - 32);
	}
	qsort(ret, ADDRESSES, sizeof(*ret), address_compare);
}

static void answers_init(struct answers *a)
{
	a->n = ADDRESSES;
	a->of = calloc(a->n, sizeof(*a->of));
	assert_non_null(a->of);
	for (size_t i = 0; i < a->n; i++)
		a->of[i] = BUF_INIT(1u << 16);
}

static void answers_done(struct answers *a)
{
	for (size_t i = 0; i < a->n; i++)
		buf_done(&a->of[i]);
	free(a->of);
}

static void agrees_with_debug_information_about_inlined_functions(void **state)
{
	struct fixture *f = *state;
	const struct dwarf_files files = {.debug = f->o};
	_cleanup_(dwarf_freep) struct dwarf *d = NULL;
	struct answers ours, theirs;
	size_t wrong = 0, inlined = 0, compared = 0;
	uint64_t addrs[ADDRESSES];

	random_addresses(f->g, addrs);
	answers_init(&ours);
	answers_init(&theirs);
	assert_int_equal(dwarf_open(&files, &d), 0);
	assert_int_equal(gopclntab_expand(f->g, addrs, ADDRESSES, on_go, &ours), 0);
	assert_int_equal(dwarf_expand(d, addrs, ADDRESSES, on_dwarf, &theirs), 0);
	for (size_t i = 0; i < ADDRESSES; i++) {
		const char *a = buf_cstr(&ours.of[i]), *b = buf_cstr(&theirs.of[i]);

		/* Of wrappers that the compiler makes, DWARF says less. */
		if (strstr(a, "<autogenerated>"))
			continue;
		compared++;
		wrong += strcmp(a, b) != 0;
		inlined += strchr(a, '\n')[1] != '\0';
	}
	answers_done(&ours);
	answers_done(&theirs);
	assert_true(compared > ADDRESSES * 8 / 10 && inlined > ADDRESSES / 20);
	if (wrong * 1000 > compared)
		fail_msg("%zu of %zu differ", wrong, compared);
}

static void knows_as_much_of_a_stripped_program(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/tephra-test-XXXXXX", command[512];
	_cleanup_close_ int fd = mkstemp(path);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(gopclntab_freep) struct gopclntab *g = NULL;
	struct answers ours, theirs;
	uint64_t addrs[ADDRESSES];

	assert_true(fd >= 0);
	(void)snprintf(command, sizeof(command), "strip -o %s '%s'", path, program);
	assert_int_equal(system(command), 0);
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	assert_int_equal(objfile_open(fd, &o), 0);
	assert_int_equal(gopclntab_open(o, &g), 0);
	random_addresses(f->g, addrs);
	answers_init(&ours);
	answers_init(&theirs);
	assert_int_equal(gopclntab_expand(f->g, addrs, ADDRESSES, on_go, &ours), 0);
	assert_int_equal(gopclntab_expand(g, addrs, ADDRESSES, on_go, &theirs), 0);
	for (size_t i = 0; i < ADDRESSES; i++)
		assert_string_equal(buf_cstr(&ours.of[i]), buf_cstr(&theirs.of[i]));
	answers_done(&ours);
	answers_done(&theirs);
}

static void see_nothing(void *data, size_t i, const struct gopclntab_frame *f, size_t n)
{
	assert_true(n >= 1 && n <= GOPCLNTAB_FRAMES_MAX && i < ADDRESSES);
	for (size_t k = 0; k < n; k++)
		assert_true(strlen(f[k].name) <= 4096);
}

static void frame_sizes_begin_at_nothing_and_stay_in_the_function(void **state)
{
	struct fixture *f = *state;
	size_t with_frame = 0;

	for (size_t i = 0; i < gopclntab_count(f->g); i++) {
		struct gopclntab_func fn;
		struct gopclntab_iter it;
		uint64_t start, end, last;
		int32_t value;
		bool first = true;

		assert_int_equal(gopclntab_func(f->g, i, &fn), 0);
		last = fn.entry;
		gopclntab_pcvalue(f->g, &fn, fn.pcsp, &it);
		while (gopclntab_pcvalue_next(&it, &start, &end, &value)) {
			assert_int_equal(start, last);
			assert_true(end > start && end <= fn.end);
			if (first)
				assert_int_equal(value, 0);
			with_frame += value > 0;
			first = false;
			last = end;
		}
	}
	assert_true(with_frame > 1000);
}

static void does_not_take_other_programs_for_go(void **state)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct gopclntab *g = NULL;

	assert_int_equal(objfile_open(fd, &o), 0);
	assert_int_equal(gopclntab_open(o, &g), -ENOENT);
}

static void survives_any_change_of_the_file(void **state)
{
	_cleanup_free_ uint8_t *p = NULL;
	struct objfile_section s;
	uint64_t seed = 3, addrs[ADDRESSES];
	size_t n, at;

	random_addresses(((struct fixture *)*state)->g, addrs);
	p = fixture_read(program, &n);
	assert_int_equal(objfile_section_by_name(((struct fixture *)*state)->o, ".gopclntab", &s),
			 0);
	at = (size_t)((uint8_t *)memmem(p, n, s.data, s.size) - p);
	for (int i = 0; i < 20; i++) {
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		_cleanup_(gopclntab_freep) struct gopclntab *g = NULL;
		_cleanup_(table_freep) struct table *t = NULL;
		int r;

		/* In its header at first, anywhere later; changes add up. */
		for (int k = 0; k < 50; k++)
			p[at + (i < 3 ? 8 + (k % 3) * 8 : fixture_random(&seed) % s.size)] =
				(uint8_t)fixture_random(&seed);
		assert_int_equal(objfile_open_memory(p, n, &o), 0);
		t = fixture_table_of(o, &r);
		if (gopclntab_open(o, &g) == 0)
			assert_int_equal(gopclntab_expand(g, addrs, ADDRESSES, see_nothing, NULL),
					 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_go_tool_nm),
		cmocka_unit_test(agrees_with_go_tool_addr2line),
		cmocka_unit_test(knows_where_a_function_begins_in_its_source),
		cmocka_unit_test(agrees_with_debug_information_about_inlined_functions),
		cmocka_unit_test(knows_as_much_of_a_stripped_program),
		cmocka_unit_test(frame_sizes_begin_at_nothing_and_stay_in_the_function),
		cmocka_unit_test(does_not_take_other_programs_for_go),
		cmocka_unit_test(survives_any_change_of_the_file),
	};

	if (argc < 3)
		return 77;
	program = argv[1];
	go = argv[2];
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
