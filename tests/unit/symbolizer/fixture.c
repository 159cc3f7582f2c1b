/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/symbolizer/fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/hash.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"

uint8_t *fixture_read(const char *path, size_t *ret_bytes)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	p = malloc((size_t)st.st_size + 1);
	assert_non_null(p);
	assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
	*ret_bytes = (size_t)st.st_size;
	return p;
}

struct table *fixture_table_of(struct objfile *o, int *ret_r)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(table_writer_done) struct table_writer w;
	struct table *t = NULL;

	table_writer_init(&w, 64u << 20);
	*ret_r = symtab_write(o, true, &w);
	if (*ret_r < 0)
		return NULL;
	assert_int_equal(objfile_write_info(o, (uint32_t)*ret_r, &w), 0);
	assert_int_equal(table_write(&w, fd), 0);
	assert_int_equal(table_open(fd, true, &t), 0);
	return t;
}

struct table *fixture_table(const char *path, int *ret_r)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(objfile_freep) struct objfile *o = NULL;

	assert_true(fd >= 0);
	assert_int_equal(objfile_open(fd, &o), 0);
	return fixture_table_of(o, ret_r);
}

struct table *fixture_table_open(const void *bytes, size_t n, bool verify)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct table *t = NULL;

	assert_int_equal(write(fd, bytes, n), n);
	return table_open(fd, verify, &t) == 0 ? t : NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct fixture_symbol *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void fixture_nm(const char *path, const char *option, struct fixture_symbols *ret)
{
	_cleanup_free_ char *line = NULL;
	char command[512];
	size_t cap = 0, room = 0;
	FILE *f;

	(void)snprintf(command, sizeof(command), "LC_ALL=C nm -f posix %s '%s'", option, path);
	f = popen(command, "r");
	assert_non_null(f);
	*ret = (struct fixture_symbols){0};
	/* "name type value size" */
	while (getline(&line, &cap, f) > 0) {
		char *name = strtok(line, " \n"), *type = strtok(NULL, " \n");
		char *value = strtok(NULL, " \n"), *size = strtok(NULL, " \n");

		if (!value || !strchr("tTwWi", type[0]))
			continue;
		if (strchr(name + 1, '@'))
			*strchr(name + 1, '@') = '\0';
		if (ret->n == room) {
			room = room ? room * 2 : 1024;
			ret->v = realloc(ret->v, room * sizeof(*ret->v));
			assert_non_null(ret->v);
		}
		ret->v[ret->n++] = (struct fixture_symbol){
			.start = strtoull(value, NULL, 16),
			.size = size ? strtoull(size, NULL, 16) : 0,
			.type = type[0],
			.name = strdup(name),
		};
	}
	assert_int_equal(pclose(f), 0);
	qsort(ret->v, ret->n, sizeof(*ret->v), by_start);
}

void fixture_symbols_done(struct fixture_symbols *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s->v);
}

uint64_t fixture_covering(const struct fixture_symbols *s, uint64_t addr)
{
	size_t n = 0;

	while (n < s->n && s->v[n].start <= addr)
		n++;
	while (n--) {
		if (addr - s->v[n].start < s->v[n].size)
			return s->v[n].start;
	}
	return UINT64_MAX;
}

bool fixture_is_name_at(const struct fixture_symbols *s, uint64_t start, const char *name)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].start == start && !strcmp(s->v[i].name, name))
			return true;
	}
	return false;
}

uint64_t fixture_random(uint64_t *state)
{
	return hash_mix(++*state);
}
