/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#define PIECES_MAX 256
#define PAGE	   4096u

struct piece {
	size_t at, bytes; /* whole pages */
};

struct scratch {
	uint8_t *data;
	size_t bytes, used;
	struct piece pieces[PIECES_MAX]; /* by place */
	size_t n;
};

static bool is_in_memory(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) < 0 || st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC;
}

int scratch_open(const char *dir, size_t bytes, struct scratch **ret)
{
	_cleanup_(scratch_freep) struct scratch *s = NULL;
	_cleanup_close_ int fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	void *p;

	if (fd < 0)
		return -errno;
	if (is_in_memory(fd))
		return -EOPNOTSUPP;
	bytes &= ~(size_t)(PAGE - 1);
	if (fallocate(fd, 0, 0, (off_t)bytes) < 0)
		return -errno;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	s->data = p;
	s->bytes = bytes;
	*ret = TAKE_PTR(s);
	return 0;
}

struct scratch *scratch_free(struct scratch *s)
{
	if (!s)
		return NULL;
	if (s->data)
		munmap(s->data, s->bytes);
	free(s);
	return NULL;
}

void *scratch_get(struct scratch *s, size_t bytes)
{
	size_t at = 0, i = 0;

	if (!bytes || bytes > s->bytes - s->used || s->n == PIECES_MAX)
		return NULL;
	bytes = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
	while (i < s->n && s->pieces[i].at - at < bytes) {
		at = s->pieces[i].at + s->pieces[i].bytes;
		i++;
	}
	if (bytes > s->bytes - at)
		return NULL;
	memmove(&s->pieces[i + 1], &s->pieces[i], (s->n - i) * sizeof(s->pieces[0]));
	s->pieces[i] = (struct piece){at, bytes};
	s->n++;
	s->used += bytes;
	return s->data + at;
}

void scratch_put(struct scratch *s, void *p)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->data + s->pieces[i].at != p)
			continue;
		s->used -= s->pieces[i].bytes;
		s->n--;
		memmove(&s->pieces[i], &s->pieces[i + 1], (s->n - i) * sizeof(s->pieces[0]));
		return;
	}
}

void scratch_rest(struct scratch *s)
{
	(void)madvise(s->data, s->bytes, MADV_DONTNEED);
}

size_t scratch_used(const struct scratch *s)
{
	return s->used;
}
