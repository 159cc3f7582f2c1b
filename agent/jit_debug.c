/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/jit_debug.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/hash.h"
#include "agent/proc_maps.h"
#include "agent/regular_file.h"
#include "symbolizer/gdb_jit.h"

#define SEEN_MAX    1024 /* files that are looked into */
#define KNOWN_MAX   4096 /* of all processes */
#define LISTS_MAX   8
#define GIVEN_MAX   64
#define CHUNK_BYTES 65536

/* As gdb's manual gives them, for 64-bit processes. */
struct descriptor {
	uint32_t version, action;
	uint64_t relevant, first;
};

struct entry {
	uint64_t next, prev, symfile, symfile_bytes;
};
_Static_assert(sizeof(struct descriptor) == 24, "descriptor");
_Static_assert(sizeof(struct entry) == 32, "entry");

struct jit_debug {
	int proc_fd, mem_fd;
	struct hash seen;   /* key of a file -> 0 */
	struct hash *known; /* borrowed: contents of a file -> offset of its list; 0: it has none */
	struct {
		uint64_t file, contents;
	} given[GIVEN_MAX];
	size_t n_given;
	uint64_t lists[LISTS_MAX]; /* addresses of descriptors */
	size_t n_lists;
	uint64_t fingerprint; /* of what was collected last; 0: nothing */
};

/* ---- life ---- */

int jit_debug_open(uint32_t tgid, struct hash *known, struct jit_debug **ret)
{
	_cleanup_(jit_debug_freep) struct jit_debug *d = calloc(1, sizeof(*d));
	char path[64];

	if (!d)
		return -ENOMEM;
	d->mem_fd = -1;
	d->known = known;
	(void)snprintf(path, sizeof(path), "/proc/%u", tgid);
	d->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->proc_fd < 0)
		return -ESRCH;
	*ret = TAKE_PTR(d);
	return 0;
}

struct jit_debug *jit_debug_free(struct jit_debug *d)
{
	if (!d)
		return NULL;
	if (d->proc_fd >= 0)
		close(d->proc_fd);
	if (d->mem_fd >= 0)
		close(d->mem_fd);
	hash_done(&d->seen);
	free(d);
	return NULL;
}

/* ---- which file has the list ---- */

/* What tells files of one process apart. */
static uint64_t key_of(const struct proc_mapping *m)
{
	return hash_mix(hash_mix(m->device) ^ m->inode);
}

/* A file that is written to is another one. */
static uint64_t contents_of(const struct stat *st)
{
	uint64_t h = hash_mix(st->st_dev ^ hash_mix(st->st_ino));

	h = hash_mix(h ^ (uint64_t)st->st_size);
	h = hash_mix(h ^ (uint64_t)st->st_mtim.tv_sec);
	return hash_mix(h ^ (uint64_t)st->st_mtim.tv_nsec);
}

struct wanted {
	struct jit_debug *debug;
	uint64_t key, offset;
};

/* The list is in data that the process may write to. */
static int on_data(void *data, const struct proc_mapping *m)
{
	const struct wanted *w = data;
	struct jit_debug *d = w->debug;

	if (!m->writable || !m->inode || key_of(m) != w->key || w->offset < m->offset ||
	    w->offset - m->offset >= m->end - m->start || d->n_lists == LISTS_MAX)
		return 0;
	d->lists[d->n_lists++] = m->start + (w->offset - m->offset);
	return 1;
}

static void add_list(struct jit_debug *d, uint64_t key, uint64_t offset)
{
	(void)proc_maps_read(d->proc_fd, on_data, &(struct wanted){d, key, offset});
	/* Most processes have no list, and need no second descriptor. */
	if (d->n_lists && d->mem_fd < 0)
		d->mem_fd = openat(d->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
}

struct unseen {
	struct jit_debug *debug;
	int *fds;
	size_t n, max;
};

static int on_unseen(void *data, const struct proc_mapping *m)
{
	struct unseen *u = data;
	struct jit_debug *d = u->debug;
	_cleanup_close_ int path_fd = -1;
	uint64_t known;
	char name[64];
	struct stat st;
	int fd;

	if (!m->executable || !m->inode || d->seen.count >= SEEN_MAX ||
	    hash_get(&d->seen, key_of(m)) != HASH_NONE || hash_put(&d->seen, key_of(m), 0) < 0)
		return 0;
	(void)snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)m->start,
		       (unsigned long long)m->end);
	path_fd = openat(d->proc_fd, name, O_PATH | O_CLOEXEC);
	if (path_fd < 0 || fstat(path_fd, &st) < 0)
		return 0;
	known = hash_get(d->known, contents_of(&st));
	if (known != HASH_NONE) {
		if (known)
			add_list(d, key_of(m), known);
		return 0;
	}
	fd = regular_file_reopen(path_fd, &st);
	if (fd < 0)
		return 0;
	d->given[u->n].file = key_of(m);
	d->given[u->n].contents = contents_of(&st);
	u->fds[u->n++] = fd;
	return u->n == u->max;
}

size_t jit_debug_unseen(struct jit_debug *d, int *ret_fds, size_t max)
{
	struct unseen u = {.debug = d, .fds = ret_fds, .max = MIN(max, (size_t)GIVEN_MAX)};

	(void)proc_maps_read(d->proc_fd, on_unseen, &u);
	return d->n_given = u.n;
}

void jit_debug_take(struct jit_debug *d, const struct table *answer)
{
	/* Asking for all again is simpler than choosing. */
	if (d->known->count > KNOWN_MAX)
		hash_done(d->known);
	for (size_t i = 0; i < d->n_given; i++) {
		uint64_t offset = 0;

		if (answer && gdb_jit_place(answer, i, &offset) == 0)
			add_list(d, d->given[i].file, offset);
		(void)hash_put(d->known, d->given[i].contents, offset);
	}
	d->n_given = 0;
}

bool jit_debug_has_list(const struct jit_debug *d)
{
	return d->n_lists && d->mem_fd >= 0;
}

/* ---- the list ---- */

static bool memory_read(const struct jit_debug *d, uint64_t address, void *to, size_t n)
{
	return address <= INT64_MAX && pread(d->mem_fd, to, n, (off_t)address) == (ssize_t)n;
}

struct walk {
	struct entry *v;
	size_t n;
	uint64_t bytes, fingerprint;
};

/* Newest first: runtimes put new entries at the front. A list that runs in a circle ends where it
 * meets itself. */
static int walk_list(const struct jit_debug *d, uint64_t list, struct walk *w)
{
	struct hash met = {0};
	struct descriptor head;
	uint64_t at;
	int r = 0;

	if (!memory_read(d, list, &head, sizeof(head)) || head.version != 1)
		return 0;
	for (at = head.first; at && w->n < GDB_JIT_FILES_MAX; at = w->v[w->n - 1].next) {
		struct entry *e = &w->v[w->n];

		if (hash_get(&met, at) != HASH_NONE || !memory_read(d, at, e, sizeof(*e)))
			break;
		r = hash_put(&met, at, 0);
		if (r < 0)
			break;
		w->n++;
		w->fingerprint = hash_mix(w->fingerprint ^ at);
		w->fingerprint = hash_mix(w->fingerprint ^ e->symfile);
		w->fingerprint = hash_mix(w->fingerprint ^ e->symfile_bytes);
	}
	hash_done(&met);
	return r;
}

static int write_all(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t got = write(fd, p, n);

		if (got < 0)
			return -errno;
		p = (const uint8_t *)p + got;
		n -= (size_t)got;
	}
	return 0;
}

/* What can not be read any more is zeros. */
static int copy_file(const struct jit_debug *d, const struct entry *e, int fd, uint8_t *chunk)
{
	const struct gdb_jit_file head = {GDB_JIT_MAGIC, e->symfile_bytes};
	const uint64_t bytes = (e->symfile_bytes + 7) / 8 * 8;
	int r = write_all(fd, &head, sizeof(head));

	for (uint64_t at = 0; at < bytes && r == 0; at += CHUNK_BYTES) {
		size_t n = (size_t)MIN(bytes - at, (uint64_t)CHUNK_BYTES);
		size_t read_n = (size_t)MIN(e->symfile_bytes - at, (uint64_t)n);

		memset(chunk, 0, n);
		if (!memory_read(d, e->symfile + at, chunk, read_n))
			memset(chunk, 0, n);
		r = write_all(fd, chunk, n);
	}
	return r;
}

static int copy_files(const struct jit_debug *d, struct walk *w)
{
	_cleanup_close_ int fd = memfd_create("tephra-jit", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK_BYTES);
	bool any = false;
	int r = 0;

	if (fd < 0 || !chunk)
		return fd < 0 ? -errno : -ENOMEM;
	for (size_t i = 0; i < w->n && r == 0; i++) {
		const struct entry *e = &w->v[i];

		/* A list of a thousand times the same file is no more than our maximum. */
		if (!e->symfile_bytes || e->symfile_bytes > GDB_JIT_FILE_BYTES ||
		    e->symfile_bytes > GDB_JIT_BYTES_MAX - w->bytes)
			continue;
		w->bytes += e->symfile_bytes;
		any = true;
		r = copy_file(d, e, fd, chunk);
	}
	if (r < 0)
		return r;
	return any ? TAKE_FD(fd) : -ENODATA;
}

int jit_debug_collect(struct jit_debug *d)
{
	_cleanup_free_ struct entry *entries = calloc(GDB_JIT_FILES_MAX, sizeof(*entries));
	struct walk w = {.v = entries};
	int r = 0;

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_lists && r == 0; i++)
		r = walk_list(d, d->lists[i], &w);
	if (r < 0)
		return r;
	if (w.fingerprint == d->fingerprint)
		return -EAGAIN;
	r = w.n ? copy_files(d, &w) : -ENODATA;
	if (r >= 0 || r == -ENODATA)
		d->fingerprint = w.fingerprint;
	return r;
}
