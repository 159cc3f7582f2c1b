/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/build.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "unwinders/rows.h"

#define SECTION_BYTES_MAX (128u << 20)

#define RELEASE_MS 2

#define _cleanup_writer_ _cleanup_(table_writer_done)

/* ---- the file's mapping ---- */

struct image {
	void *data;
	size_t bytes;
};

/*
 * The parsers go through the whole text of a file, and each page they touched would stay on the
 * child's account (libLLVM: 68 MB). So the mapping is emptied every few milliseconds while they
 * run; what they still need comes back from the page cache. A signal handler can only know what a
 * global tells it.
 */
static volatile struct image released;

static void on_alarm(int signo)
{
	int saved_errno = errno;

	(void)madvise(released.data, released.bytes, MADV_DONTNEED);
	errno = saved_errno;
}

static void release_every(unsigned int ms)
{
	const struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval t = {.it_value.tv_usec = ms * 1000,
				    .it_interval.tv_usec = ms * 1000};

	if (ms)
		(void)sigaction(SIGALRM, &sa, NULL);
	(void)setitimer(ITIMER_REAL, &t, NULL);
}

static int image_open(int fd, struct image *ret)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return -EBADMSG;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = (struct image){p, (size_t)st.st_size};
	released.data = ret->data;
	released.bytes = ret->bytes;
	release_every(RELEASE_MS);
	return 0;
}

static void image_done(struct image *i)
{
	if (!i->data)
		return;
	release_every(0);
	munmap(i->data, i->bytes);
	*i = (struct image){0};
}

/* ---- the parts ---- */

static void section_clear(struct table_writer *w, enum table_section s)
{
	buf_done(&w->sections[s]);
	w->sections[s] = BUF_INIT(SECTION_BYTES_MAX);
}

static int add_rows(struct objfile *o, struct table_writer *w, uint32_t *flags)
{
	uint32_t got = 0;
	int r = rows_write(o, w, &got);

	if (r == 0)
		r = MIN(w->sections[TABLE_ROWS].failed, w->sections[TABLE_ROWS_INDEX].failed);
	if (r == 0) {
		*flags |= got;
		return 0;
	}
	section_clear(w, TABLE_ROWS);
	section_clear(w, TABLE_ROWS_INDEX);
	return r == -ENOMEM ? r : 0;
}

static int add_symbols(struct objfile *o, struct table_writer *w, uint32_t *flags)
{
	int r = symtab_write(o, w);

	if (r > 0)
		*flags |= (uint32_t)r;
	return r == -ENOMEM ? r : 0;
}

static int build_sections(int in_fd, struct table_writer *w, uint32_t *ret_flags)
{
	_cleanup_(image_done) struct image image = {0};
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	uint32_t flags = 0;
	int r;

	r = image_open(in_fd, &image);
	if (r == 0)
		r = objfile_open_memory(image.data, image.bytes, &o);
	if (r == 0)
		r = add_rows(o, w, &flags);
	if (r == 0)
		r = add_symbols(o, w, &flags);
	if (r == 0)
		r = objfile_write_info(o, flags, w);
	if (r == 0)
		*ret_flags = flags;
	return r < 0 ? r : 0;
}

int build_table(int in_fd, uint32_t kind, int out_fd, uint32_t *ret_flags)
{
	_cleanup_writer_ struct table_writer w;
	int r;

	table_writer_init(&w, SECTION_BYTES_MAX);
	r = build_sections(in_fd, &w, ret_flags);
	return r < 0 ? r : table_write(&w, out_fd);
}
