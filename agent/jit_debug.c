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
#include "symbolizer/frame_lists.h"
#include "symbolizer/frame_tree.h"
#include "symbolizer/gdb_jit.h"

#define SEEN_MAX     1024 /* files that are looked into */
#define KNOWN_MAX    4096 /* of all processes */
#define LISTS_MAX    8
#define GIVEN_MAX    64
#define CHUNK_BYTES  65536
#define SAMPLE_BYTES 256 /* of what is registered, to tell it from what was there before */
#define ARRAY_MAX    64	 /* frames that are registered together */
#define FDES_MAX     (1u << 18)

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
	struct hash *known; /* borrowed: known_key() -> offset of the list; 0: there is none */
	struct {
		uint64_t file, contents;
	} given[GIVEN_MAX];
	size_t n_given;
	struct {
		uint64_t address;
		enum gdb_jit_list list;
	} lists[LISTS_MAX];
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

/* What is learned of GDB_JIT_LIST stands for all: the others are there when they were found. */
static uint64_t known_key(uint64_t contents, enum gdb_jit_list list)
{
	return list == GDB_JIT_LIST ? contents : hash_mix(contents + (uint64_t)list);
}

struct wanted {
	struct jit_debug *debug;
	uint64_t key, offset;
	enum gdb_jit_list list;
	uint64_t address, end; /* where it is if data goes on that far, as it does up to here */
};

/* The list is in data that the process may write to. What is zero at the start is behind the
 * file's, from the next page on in memory of its own. */
static int on_data(void *data, const struct proc_mapping *m)
{
	struct wanted *w = data;
	struct jit_debug *d = w->debug;

	if (!m->writable)
		return 0;
	if (m->inode && key_of(m) == w->key && w->offset >= m->offset)
		w->address = m->start + (w->offset - m->offset);
	else if (m->inode || m->start != w->end)
		return 0;
	w->end = m->end;
	if (w->address >= w->end || d->n_lists == LISTS_MAX)
		return 0;
	d->lists[d->n_lists].address = w->address;
	d->lists[d->n_lists++].list = w->list;
	return 1;
}

static void add_list(struct jit_debug *d, uint64_t key, uint64_t offset, enum gdb_jit_list list)
{
	struct wanted w = {.debug = d, .key = key, .offset = offset, .list = list};

	(void)proc_maps_read(d->proc_fd, on_data, &w);
	/* Most processes have no list, and need no second descriptor. */
	if (d->n_lists && d->mem_fd < 0)
		d->mem_fd = openat(d->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
}

static void add_known(struct jit_debug *d, uint64_t key, uint64_t contents)
{
	for (enum gdb_jit_list list = 0; list < GDB_JIT_LISTS; list++) {
		uint64_t offset = hash_get(d->known, known_key(contents, list));

		if (offset && offset != HASH_NONE)
			add_list(d, key, offset, list);
	}
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
	if (hash_get(d->known, contents_of(&st)) != HASH_NONE) {
		add_known(d, key_of(m), contents_of(&st));
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
		(void)hash_put(d->known, d->given[i].contents, 0);
		for (enum gdb_jit_list list = 0; answer && list < GDB_JIT_LISTS; list++) {
			uint64_t offset;

			if (gdb_jit_place(answer, i, list, &offset) == 0)
				(void)hash_put(d->known, known_key(d->given[i].contents, list),
					       offset);
		}
		add_known(d, d->given[i].file, d->given[i].contents);
	}
	d->n_given = 0;
}

void jit_debug_lost(struct jit_debug *d)
{
	for (size_t i = 0; i < d->n_given; i++)
		(void)hash_del(&d->seen, d->given[i].file);
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

/* What is registered: an object file, or frames alone, whose size is seen when they are read. */
struct found {
	uint64_t address, bytes;
	bool frames;
};

struct walk {
	const struct jit_debug *debug;
	struct found *v;
	size_t n;
	struct hash met; /* addresses of entries */
	uint64_t bytes, fingerprint;
	bool cut;      /* something was left out */
	bool changing; /* a tree, while it was read */
	int r;
};

static void mix(struct walk *w, uint64_t v)
{
	w->fingerprint = hash_mix(w->fingerprint ^ v);
}

/* Memory is used again, for what is registered too: of that, some bytes. */
static void add(struct walk *w, struct found f, uint64_t sample_at)
{
	uint8_t sample[SAMPLE_BYTES];

	if (w->n == GDB_JIT_FILES_MAX) {
		w->cut = true;
		return;
	}
	w->v[w->n++] = f;
	mix(w, f.address);
	mix(w, f.bytes);
	if (memory_read(w->debug, sample_at, sample, sizeof(sample)))
		mix(w, hash_bytes(sample, sizeof(sample)));
}

/* Whether to go on to an entry: a list that runs in a circle ends where it meets itself. */
static bool meet(struct walk *w, uint64_t at)
{
	if (!at)
		return false;
	if (w->n == GDB_JIT_FILES_MAX || w->met.count == GDB_JIT_FILES_MAX ||
	    hash_get(&w->met, at) != HASH_NONE) {
		w->cut = true;
		return false;
	}
	mix(w, at);
	w->r = hash_put(&w->met, at, 0);
	return w->r == 0;
}

/* Newest first: runtimes put new entries at the front. */
static void walk_files(struct walk *w, uint64_t list)
{
	struct descriptor head;
	struct entry e;

	if (!memory_read(w->debug, list, &head, sizeof(head)) || head.version != 1)
		return;
	for (uint64_t at = head.first; meet(w, at); at = e.next) {
		if (!memory_read(w->debug, at, &e, sizeof(e))) {
			w->cut = true;
			break;
		}
		add(w, (struct found){.address = e.symfile, .bytes = e.symfile_bytes},
		    e.symfile + e.symfile_bytes - SAMPLE_BYTES);
	}
}

static void add_object(struct walk *w, const struct frame_object *o)
{
	uint64_t at = o->frames;

	if (o->bits & FRAME_OBJECT_SORTED && !memory_read(w->debug, at, &at, sizeof(at))) {
		w->cut = true;
		return;
	}
	if (!(o->bits & FRAME_OBJECT_ARRAY)) {
		add(w, (struct found){.address = at, .frames = true}, at);
		return;
	}
	for (uint64_t i = 0; i < ARRAY_MAX; i++) {
		uint64_t frames;

		if (!memory_read(w->debug, at + i * sizeof(frames), &frames, sizeof(frames)) ||
		    !frames)
			return;
		add(w, (struct found){.address = frames, .frames = true}, frames);
	}
	w->cut = true;
}

static void walk_objects(struct walk *w, uint64_t list)
{
	struct frame_object o;
	uint64_t at;

	if (!memory_read(w->debug, list, &at, sizeof(at)))
		return;
	for (; meet(w, at); at = o.next) {
		if (!memory_read(w->debug, at, &o, sizeof(o))) {
			w->cut = true;
			break;
		}
		add_object(w, &o);
	}
}

/* A tree says itself whether it changed: what is in it is read only when it did. */
static void look_at_tree(struct walk *w, uint64_t tree)
{
	struct frame_tree head = {0};

	(void)memory_read(w->debug, tree, &head, sizeof(head));
	mix(w, head.root);
	mix(w, head.lock);
}

static bool tree_memory(void *data, uint64_t address, void *to, size_t n)
{
	return memory_read(data, address, to, n);
}

static void walk_tree(struct walk *w, uint64_t tree)
{
	_cleanup_free_ uint64_t *objects = calloc(GDB_JIT_FILES_MAX, sizeof(*objects));
	struct frame_tree_found f = {.objects = objects, .max = GDB_JIT_FILES_MAX};
	struct frame_object o;

	w->r = objects ? frame_tree_read(tree_memory, (void *)(uintptr_t)w->debug, tree, &f)
		       : -ENOMEM;
	/* By address, from the top: the program's own frames, which crtbeginT.o registers where it
	 * is linked statically, are far below, and decide nothing (jit_rows.h). */
	for (size_t i = f.n; i-- && w->r == 0;) {
		if (!meet(w, f.objects[i]))
			continue;
		if (memory_read(w->debug, f.objects[i], &o, sizeof(o)))
			add_object(w, &o);
		else
			w->cut = true;
	}
	w->cut |= f.cut || f.changed;
	w->changing |= f.changed;
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
static int copy_bytes(const struct jit_debug *d, uint64_t from, uint64_t size, int fd,
		      uint8_t *chunk)
{
	const uint64_t bytes = (size + 7) / 8 * 8;
	int r = 0;

	for (uint64_t at = 0; at < bytes && r == 0; at += CHUNK_BYTES) {
		size_t n = (size_t)MIN(bytes - at, (uint64_t)CHUNK_BYTES);
		size_t read_n = (size_t)MIN(size - at, (uint64_t)n);

		memset(chunk, 0, n);
		if (!memory_read(d, from + at, chunk, read_n))
			memset(chunk, 0, n);
		r = write_all(fd, chunk, n);
	}
	return r;
}

static int copy(const struct jit_debug *d, const struct found *f, uint64_t bytes, int fd,
		uint8_t *chunk)
{
	struct gdb_jit_file head = {GDB_JIT_MAGIC, bytes};
	int r;

	if (f->frames)
		head = (struct gdb_jit_file){GDB_JIT_FRAMES_MAGIC, sizeof(f->address) + bytes};
	r = write_all(fd, &head, sizeof(head));
	if (r == 0 && f->frames)
		r = write_all(fd, &f->address, sizeof(f->address));
	return r < 0 ? r : copy_bytes(d, f->address, bytes, fd, chunk);
}

/* From length to length, as .eh_frame is made (LSB 5.0, 10.6.1), to one that is 0. */
static uint64_t frames_bytes(const struct jit_debug *d, uint64_t start, uint8_t *chunk)
{
	uint64_t at = 0, window = 0, have = 0;

	for (uint32_t i = 0; i < FDES_MAX && at < GDB_JIT_FILE_BYTES; i++) {
		uint32_t length;

		if (at - window + sizeof(length) > have) {
			ssize_t n = start > INT64_MAX ? 0
						      : pread(d->mem_fd, chunk, CHUNK_BYTES,
							      (off_t)(start + at));

			if (n < (ssize_t)sizeof(length))
				return 0;
			window = at;
			have = (uint64_t)n;
		}
		memcpy(&length, chunk + (at - window), sizeof(length));
		at += sizeof(length) + length;
		if (!length)
			return at;
		/* Entries of more than 4 GiB are none. */
		if (length == UINT32_MAX)
			return 0;
	}
	return 0;
}

static int copy_all(const struct jit_debug *d, struct walk *w)
{
	_cleanup_close_ int fd = memfd_create("tephra-jit", MFD_CLOEXEC);
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK_BYTES);
	bool any = false;
	int r = 0;

	if (fd < 0 || !chunk)
		return fd < 0 ? -errno : -ENOMEM;
	for (size_t i = 0; i < w->n && r == 0; i++) {
		const struct found *f = &w->v[i];
		uint64_t bytes = f->frames ? frames_bytes(d, f->address, chunk) : f->bytes;

		/* A list of a thousand times the same file is no more than our maximum. */
		if (!bytes || bytes > GDB_JIT_FILE_BYTES || bytes > GDB_JIT_BYTES_MAX - w->bytes) {
			w->cut = true;
			continue;
		}
		w->bytes += bytes;
		any = true;
		r = copy(d, f, bytes, fd, chunk);
	}
	if (r < 0)
		return r;
	return any ? TAKE_FD(fd) : -ENODATA;
}

static void look_at(struct walk *w, enum gdb_jit_list list, uint64_t address)
{
	if (list == GDB_JIT_LIST)
		walk_files(w, address);
	else if (list == GDB_JIT_FRAMES_TREE)
		look_at_tree(w, address);
	else
		walk_objects(w, address);
}

/* Object files first: what is registered in both ways has names there. */
static void walk_lists(struct walk *w)
{
	const struct jit_debug *d = w->debug;

	for (enum gdb_jit_list list = 0; list < GDB_JIT_LISTS; list++) {
		for (size_t i = 0; i < d->n_lists && w->r == 0; i++) {
			if (d->lists[i].list == list)
				look_at(w, list, d->lists[i].address);
		}
	}
}

static void walk_trees(struct walk *w)
{
	const struct jit_debug *d = w->debug;

	for (size_t i = 0; i < d->n_lists && w->r == 0; i++) {
		if (d->lists[i].list == GDB_JIT_FRAMES_TREE)
			walk_tree(w, d->lists[i].address);
	}
}

int jit_debug_collect(struct jit_debug *d, bool *ret_cut)
{
	_cleanup_free_ struct found *found = calloc(GDB_JIT_FILES_MAX, sizeof(*found));
	struct walk w = {.debug = d, .v = found};
	uint64_t fingerprint;
	int r;

	if (!found)
		return -ENOMEM;
	walk_lists(&w);
	fingerprint = w.fingerprint;
	if (w.r == 0 && fingerprint != d->fingerprint)
		walk_trees(&w);
	hash_done(&w.met);
	if (w.r < 0)
		return w.r;
	if (fingerprint == d->fingerprint)
		return -EAGAIN;
	r = w.n ? copy_all(d, &w) : -ENODATA;
	if (r >= 0 || r == -ENODATA) {
		d->fingerprint = w.changing ? 0 : fingerprint;
		*ret_cut = w.cut;
	}
	return r;
}

void jit_debug_collect_again(struct jit_debug *d)
{
	d->fingerprint = 0;
}
