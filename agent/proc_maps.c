/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/proc_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX  (8u << 20)
#define ROOM	  (64u << 10)
#define PATH_ROOM 4352 /* PATH_MAX and what stands before it */

/* A number in this base, up to `end`, which is skipped. */
static bool take_number(char **p, unsigned int base, char end, uint64_t *ret)
{
	uint64_t v = 0;
	char *s = *p;

	for (; *s && *s != end; s++) {
		unsigned int digit = *s >= '0' && *s <= '9'   ? (unsigned int)(*s - '0')
				     : *s >= 'a' && *s <= 'f' ? (unsigned int)(*s - 'a') + 10
							      : 16;

		if (digit >= base || v > UINT64_MAX / 16)
			return false;
		v = v * base + digit;
	}
	if (s == *p || *s != end)
		return false;
	*p = s + 1;
	*ret = v;
	return true;
}

int proc_maps_parse(char *line, struct proc_mapping *ret)
{
	char *p = line;
	uint64_t major, minor;

	/* proc(5): start-end perms offset dev:dev inode path */
	if (!take_number(&p, 16, '-', &ret->start) || !take_number(&p, 16, ' ', &ret->end))
		return -EBADMSG;
	if (strnlen(p, 5) < 5 || p[4] != ' ')
		return -EBADMSG;
	ret->writable = p[1] == 'w';
	ret->executable = p[2] == 'x';
	p += 5;
	if (!take_number(&p, 16, ' ', &ret->offset) || !take_number(&p, 16, ':', &major) ||
	    !take_number(&p, 16, ' ', &minor) || !take_number(&p, 10, ' ', &ret->inode))
		return -EBADMSG;
	ret->device = major << 32 | minor;
	ret->path = p + strspn(p, " ");
	return 0;
}

/* Hands over the whole lines of text; the bytes that are left of an unfinished one. */
static int take_lines(char *text, size_t *n, int (*fn)(void *, const struct proc_mapping *),
		      void *data)
{
	char *p = text, *end;
	int r = 0;

	while (r == 0 && (end = memchr(p, '\n', *n - (size_t)(p - text)))) {
		struct proc_mapping m;

		*end = '\0';
		if (proc_maps_parse(p, &m) == 0)
			r = fn(data, &m);
		p = end + 1;
	}
	*n -= (size_t)(p - text);
	memmove(text, p, *n);
	return r;
}

int proc_maps_read(int proc_fd, int (*fn)(void *data, const struct proc_mapping *m), void *data)
{
	_cleanup_free_ char *text = malloc(ROOM);
	_cleanup_close_ int fd = -1;
	size_t n = 0, total = 0;
	ssize_t got;

	if (!text)
		return -ENOMEM;
	fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : -ESRCH;
	while (total < TEXT_MAX && (got = read(fd, text + n, ROOM - n)) > 0) {
		int r;

		n += (size_t)got;
		total += (size_t)got;
		r = take_lines(text, &n, fn, data);
		if (r)
			return r;
		/* A line that does not end: no such is written. */
		if (n > PATH_ROOM)
			n = 0;
	}
	return 0;
}
