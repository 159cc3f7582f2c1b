/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/kept.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/parser/child.h"
#include "agent/parser/image.h"
#include "agent/parser/scratch.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/gopclntab.h"
#include "symbolizer/lines.h"
#include "symbolizer/objfile.h"

#define KEPT_MS	       (5 * 60 * 1000) /* a mapping holds a deleted file, too */
#define BUILD_ID_BYTES 64

/* The contents of one open file: whoever writes to it changes the times. */
struct identity {
	uint64_t dev, ino, size;
	struct timespec modified, changed;
};

struct key {
	uint64_t n, has_alt;
	struct identity files[CHILD_FILES_MAX];
};

struct entry {
	struct key key;
	uint8_t build_id[BUILD_ID_BYTES];
	size_t build_id_bytes;
	struct image images[CHILD_FILES_MAX];
	struct dwarf *dwarf; /* NULL: not needed so far, or none */
	size_t bytes;
	uint64_t used_ms;
};

struct kept {
	size_t budget;
	struct scratch *scratch; /* NULL: none */
	struct objfile_store store;
	struct entry *entries[KEPT_FILES_MAX]; /* by use, the latest first */
	size_t n;
	struct kept_stats stats;
};

/* ---- one set of files ---- */

static struct entry *entry_free(struct entry *e)
{
	if (!e)
		return NULL;
	dwarf_free(e->dwarf);
	for (size_t i = 0; i < e->key.n; i++)
		image_done(&e->images[i]);
	free(e);
	return NULL;
}
DEFINE_CLEANUP(struct entry *, entry_free)

static int key_of(const int *fds, size_t n, bool has_alt, struct key *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->n = n;
	ret->has_alt = has_alt;
	for (size_t i = 0; i < n; i++) {
		struct stat st;

		if (fstat(fds[i], &st) < 0)
			return -errno;
		ret->files[i].dev = st.st_dev;
		ret->files[i].ino = st.st_ino;
		ret->files[i].size = (uint64_t)st.st_size;
		ret->files[i].modified = st.st_mtim;
		ret->files[i].changed = st.st_ctim;
	}
	return 0;
}

/* The first file is the one that must be good. */
static int entry_open(const int *fds, const struct key *key, const struct objfile_store *store,
		      struct entry **ret)
{
	_cleanup_(entry_freep) struct entry *e = calloc(1, sizeof(*e));
	const uint8_t *id;

	if (!e)
		return -ENOMEM;
	e->key = *key;
	for (size_t i = 0; i < key->n; i++) {
		int r = image_open(fds[i], &e->images[i]);

		if (r < 0 && (!i || r == -ENOMEM))
			return r;
		if (r == 0 && store)
			objfile_set_store(e->images[i].object, store);
	}
	if (objfile_build_id(e->images[0].object, &id, &e->build_id_bytes) == 0)
		memcpy(e->build_id, id, e->build_id_bytes);
	*ret = TAKE_PTR(e);
	return 0;
}

/* Between requests: no timer, and no page of a file. */
static void entry_rest(struct entry *e)
{
	e->bytes = sizeof(*e) + dwarf_bytes(e->dwarf);
	for (size_t i = 0; i < e->key.n; i++) {
		image_rest(&e->images[i]);
		if (e->images[i].object)
			e->bytes += objfile_plain_bytes(e->images[i].object);
	}
	e->used_ms = clock_ms();
}

static int entry_wake(struct entry *e)
{
	int r = 0;

	for (size_t i = 0; i < e->key.n && r == 0; i++)
		r = image_wake(&e->images[i]);
	return r;
}

/* Whether the mapping still shows the file that was opened. */
static bool is_same_build(const struct entry *e)
{
	const uint8_t *id;
	size_t n = 0;

	if (objfile_build_id(e->images[0].object, &id, &n) < 0)
		n = 0;
	return n == e->build_id_bytes && (!n || memcmp(id, e->build_id, n) == 0);
}

static int expand(struct entry *e, const struct lines_query *q, struct table_writer *w)
{
	_cleanup_(gopclntab_freep) struct gopclntab *go = NULL;
	struct objfile *split[CHILD_FILES_MAX];
	struct dwarf_files f = {.debug = e->images[0].object, .split = split};
	size_t first = 1;
	int r;

	if (q->has_alt && e->key.n > 1)
		f.alt = e->images[first++].object;
	for (size_t i = first; i < e->key.n; i++) {
		if (e->images[i].object)
			split[f.n_split++] = e->images[i].object;
	}
	r = gopclntab_open(f.debug, &go);
	return r == -ENOMEM ? r : lines_write(go, &f, &e->dwarf, q, w);
}

/* ---- all that are kept ---- */

static struct entry *take_at(struct kept *k, size_t i)
{
	struct entry *e = k->entries[i];

	k->n--;
	memmove(&k->entries[i], &k->entries[i + 1], (k->n - i) * sizeof(struct entry *));
	k->stats.bytes -= e->bytes;
	return e;
}

static void drop_last(struct kept *k)
{
	entry_free(take_at(k, k->n - 1));
	k->stats.dropped++;
}

/* The entry with this key, which is no longer in the list; NULL: none. */
static struct entry *take(struct kept *k, const struct key *key)
{
	for (size_t i = 0; i < k->n; i++) {
		struct entry *e;

		if (memcmp(&k->entries[i]->key, key, sizeof(*key)) != 0)
			continue;
		e = take_at(k, i);
		if (entry_wake(e) == 0 && is_same_build(e))
			return e;
		entry_free(e);
		k->stats.dropped++;
		break;
	}
	return NULL;
}

static void keep(struct kept *k, struct entry *e)
{
	entry_rest(e);
	if (e->bytes > k->budget) {
		entry_free(e);
		return;
	}
	while (k->n && (k->n == KEPT_FILES_MAX || k->stats.bytes > k->budget - e->bytes))
		drop_last(k);
	memmove(&k->entries[1], &k->entries[0], k->n * sizeof(struct entry *));
	k->entries[0] = e;
	k->n++;
	k->stats.bytes += e->bytes;
}

/* What is kept makes way for what is needed now. */
static void *store_get(void *data, size_t bytes)
{
	struct kept *k = data;
	void *p = scratch_get(k->scratch, bytes);

	while (!p && k->n && bytes <= SCRATCH_BYTES) {
		drop_last(k);
		p = scratch_get(k->scratch, bytes);
	}
	return p;
}

static void store_put(void *data, void *p)
{
	struct kept *k = data;

	scratch_put(k->scratch, p);
}

int kept_new(size_t budget_bytes, struct scratch *scratch, struct kept **ret)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (!k) {
		scratch_free(scratch);
		return -ENOMEM;
	}
	k->budget = budget_bytes;
	k->scratch = scratch;
	k->store = (struct objfile_store){store_get, store_put, k};
	*ret = k;
	return 0;
}

struct kept *kept_free(struct kept *k)
{
	if (!k)
		return NULL;
	while (k->n)
		drop_last(k);
	scratch_free(k->scratch);
	free(k);
	return NULL;
}

int kept_lines(struct kept *k, const int *fds, size_t n, const struct lines_query *q,
	       struct table_writer *w)
{
	_cleanup_(entry_freep) struct entry *e = NULL;
	struct key key;
	int r;

	if (!n || n > CHILD_FILES_MAX)
		return -EINVAL;
	r = key_of(fds, n, q->has_alt, &key);
	if (r < 0)
		return r;
	while (k && k->n && clock_ms() - k->entries[k->n - 1]->used_ms > KEPT_MS)
		drop_last(k);
	e = k ? take(k, &key) : NULL;
	if (k && e)
		k->stats.reused++;
	if (!e) {
		r = entry_open(fds, &key, k && k->scratch ? &k->store : NULL, &e);
		if (k && r == 0)
			k->stats.opened++;
	}
	if (r == 0)
		r = expand(e, q, w);
	if (k && r == 0)
		keep(k, TAKE_PTR(e));
	if (k && k->scratch)
		scratch_rest(k->scratch);
	return r;
}

void kept_get_stats(const struct kept *k, struct kept_stats *ret)
{
	*ret = k->stats;
	ret->files = k->n;
}
