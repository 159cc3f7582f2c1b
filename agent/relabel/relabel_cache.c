/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/relabel/relabel_cache.h"

#include <string.h>

static void unlink_entry(struct relabel_cache *c, struct relabel_entry *e)
{
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void link_newest(struct relabel_cache *c, struct relabel_entry *e)
{
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void drop(struct relabel_cache *c, struct relabel_entry *e)
{
	unlink_entry(c, e);
	(void)hash_del(&c->by_key, e->hash);
	c->n--;
	c->bytes -= e->bytes;
	label_set_done(&e->labels);
	free(e->key);
	free(e);
}

void relabel_cache_done(struct relabel_cache *c)
{
	while (c->oldest)
		drop(c, c->oldest);
	hash_done(&c->by_key);
	*c = (struct relabel_cache){0};
}

void relabel_cache_reset(struct relabel_cache *c, size_t max)
{
	relabel_cache_done(c);
	c->max = max;
}

static struct relabel_entry *find(const struct relabel_cache *c, uint64_t hash)
{
	uint64_t v = hash_get(&c->by_key, hash);

	return v == HASH_NONE ? NULL : (struct relabel_entry *)(uintptr_t)v;
}

const struct relabel_entry *relabel_cache_get(struct relabel_cache *c, const uint8_t *key,
					      size_t bytes)
{
	struct relabel_entry *e = find(c, hash_bytes(key, bytes));

	if (!e || e->key_bytes != bytes || memcmp(e->key, key, bytes) != 0)
		return NULL;
	unlink_entry(c, e);
	link_newest(c, e);
	return e;
}

static size_t bytes_of(const struct relabel_entry *e)
{
	size_t n = sizeof(*e) + e->key_bytes + e->labels.cap * sizeof(struct label);

	for (size_t i = 0; i < e->labels.n; i++)
		n += strlen(e->labels.v[i].name) + strlen(e->labels.v[i].value) + 2;
	return n;
}

const struct relabel_entry *relabel_cache_put(struct relabel_cache *c, const uint8_t *key,
					      size_t bytes, struct label_set *labels, bool dropped)
{
	struct relabel_entry *e = calloc(1, sizeof(*e)), *other;
	uint8_t *copy = malloc(bytes + 1);

	if (!e || !copy) {
		free(e);
		free(copy);
		label_set_done(labels);
		return NULL;
	}
	memcpy(copy, key, bytes);
	*e = (struct relabel_entry){.hash = hash_bytes(key, bytes),
				    .key = copy,
				    .key_bytes = bytes,
				    .labels = *labels,
				    .dropped = dropped};
	*labels = (struct label_set){0};
	e->bytes = bytes_of(e);
	/* Another set with the same hash gives way. */
	other = find(c, e->hash);
	if (other)
		drop(c, other);
	while (c->oldest && (c->n >= c->max || c->bytes + e->bytes > RELABEL_CACHE_BYTES))
		drop(c, c->oldest);
	link_newest(c, e);
	c->n++;
	c->bytes += e->bytes;
	if (hash_put(&c->by_key, e->hash, (uint64_t)(uintptr_t)e) < 0) {
		drop(c, e);
		return NULL;
	}
	return e;
}
