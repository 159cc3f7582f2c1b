/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/perf_map.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolizer/code_map.h"

/* A hexadecimal number and the blanks behind it. */
static bool take_hex(const char **p, const char *end, uint64_t *ret)
{
	const char *s = *p, *digits;
	uint64_t v = 0;

	if (end - s > 2 && s[0] == '0' && (s[1] | 32) == 'x')
		s += 2;
	for (digits = s; s < end; s++) {
		int c = (unsigned char)*s | 32;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			break;
	}
	if (s == digits || s - digits > 16 || s == end || (*s != ' ' && *s != '\t'))
		return false;
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	*p = s;
	*ret = v;
	return true;
}

static int add_line(struct code_map *m, const char *p, const char *end)
{
	struct code_map_entry e = {0};
	const void *nul;

	if (end > p && end[-1] == '\r')
		end--;
	if (!take_hex(&p, end, &e.start) || !take_hex(&p, end, &e.size) || p == end)
		return 0;
	nul = memchr(p, 0, (size_t)(end - p));
	if (nul)
		end = nul;
	e.name = p;
	e.name_bytes = (uint32_t)MIN((size_t)(end - p), (size_t)CODE_MAP_NAME_MAX);
	return e.name_bytes ? code_map_add(m, &e) : 0;
}

/* From the end, where the newest is. */
int perf_map_write(const char *text, size_t bytes, bool is_cut, struct table_writer *w)
{
	_cleanup_(code_map_done) struct code_map m = {0};
	const char *end = memrchr(text, '\n', bytes);
	int r = 0;

	while (end && r == 0) {
		const char *before = memrchr(text, '\n', (size_t)(end - text));

		if (before)
			r = add_line(&m, before + 1, end);
		else if (!is_cut)
			r = add_line(&m, text, end);
		end = before;
	}
	return r == -ENOMEM ? r : code_map_write(&m, w);
}

int perf_map_write_file(int fd, struct table_writer *w)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t bytes, got = 0;
	off_t from;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -ENODATA;
	from = MAX(st.st_size - (off_t)PERF_MAP_BYTES_MAX, (off_t)0);
	bytes = (size_t)(st.st_size - from);
	text = malloc(bytes);
	if (!text)
		return -ENOMEM;
	while (got < bytes) {
		ssize_t n = pread(fd, text + got, bytes - got, from + (off_t)got);

		if (n < 0)
			return -errno;
		if (!n)
			break;
		got += (size_t)n;
	}
	return perf_map_write(text, got, from > 0, w);
}
