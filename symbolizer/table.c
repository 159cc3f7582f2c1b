/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the flat table: header, section directory, checksum. It knows nothing of what is
 * inside a section; symtab.c, objfile.c and the row builder do.
 */
#include "symbolizer/table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/base/hash.h"

#define TABLE_BYTES_MAX (UINT64_C(2) << 30)

static_assert(sizeof(struct table_header) == 32 + 16 * TABLE_SECTION_MAX, "no hidden padding");

void table_writer_init(struct table_writer *w, size_t max_bytes)
{
	for (size_t i = 0; i < TABLE_SECTION_MAX; i++)
		w->sections[i] = BUF_INIT(max_bytes);
}

void table_writer_done(struct table_writer *w)
{
	for (size_t i = 0; i < TABLE_SECTION_MAX; i++)
		buf_done(&w->sections[i]);
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static size_t align8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

int table_write(struct table_writer *w, int fd)
{
	struct table_header h = {
		.magic = TABLE_MAGIC,
		.version = TABLE_VERSION,
		.n_sections = TABLE_SECTION_MAX,
	};
	_cleanup_free_ uint8_t *all = NULL;
	size_t bytes = sizeof(h);

	for (size_t i = 0; i < TABLE_SECTION_MAX; i++) {
		const struct buf *b = &w->sections[i];

		if (b->failed)
			return b->failed;
		if (!b->len)
			continue;
		if (b->len > TABLE_BYTES_MAX - bytes)
			return -E2BIG;
		h.sections[i].offset = bytes;
		h.sections[i].bytes = b->len;
		bytes += align8(b->len);
	}
	all = malloc(bytes);
	if (!all)
		return -ENOMEM;
	/* Each section is given back as soon as it is copied: the peak is one section, not a
	 * second table. */
	for (size_t i = 0; i < TABLE_SECTION_MAX; i++) {
		struct buf *b = &w->sections[i];
		uint8_t *to = all + h.sections[i].offset;

		if (!b->len)
			continue;
		memcpy(to, b->data, b->len);
		memset(to + b->len, 0, align8(b->len) - b->len);
		buf_done(b);
	}
	h.bytes = bytes;
	h.checksum = hash_bytes(all + sizeof(h), bytes - sizeof(h));
	memcpy(all, &h, sizeof(h));
	return write_all(fd, all, bytes);
}

static bool header_ok(const struct table_header *h, size_t bytes)
{
	if (h->magic != TABLE_MAGIC || h->version != TABLE_VERSION ||
	    h->n_sections != TABLE_SECTION_MAX || h->bytes != bytes)
		return false;
	for (size_t i = 0; i < TABLE_SECTION_MAX; i++) {
		uint64_t offset = h->sections[i].offset, n = h->sections[i].bytes;

		if (!offset && !n)
			continue;
		if (offset < sizeof(*h) || offset % 8 || offset > bytes || n > bytes - offset)
			return false;
	}
	return true;
}

int table_open(int fd, bool verify, struct table **ret)
{
	_cleanup_(table_freep) struct table *t = NULL;
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(struct table_header) ||
	    (uint64_t)st.st_size > TABLE_BYTES_MAX)
		return -EBADMSG;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	t->data = p;
	t->bytes = (size_t)st.st_size;
	t->header = p;
	if (!header_ok(t->header, t->bytes))
		return -EBADMSG;
	if (verify && t->header->checksum != hash_bytes(t->data + sizeof(*t->header),
							t->bytes - sizeof(*t->header)))
		return -EBADMSG;
	*ret = TAKE_PTR(t);
	return 0;
}

struct table *table_free(struct table *t)
{
	if (t && t->data)
		munmap((void *)t->data, t->bytes);
	free(t);
	return NULL;
}

const void *table_section(const struct table *t, enum table_section s, size_t *ret_bytes)
{
	uint64_t offset = t->header->sections[s].offset;

	*ret_bytes = offset ? t->header->sections[s].bytes : 0;
	return offset ? t->data + offset : NULL;
}
