/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct relabel_cache: what rules made of a set of labels, for those sets that were used last
 * (LRU). Profiles come with the same few sets over and over. Bounded in entries and in bytes.
 */
#pragma once

#include "agent/labels.h"
#include "agent/base/hash.h"

#define RELABEL_CACHE_BYTES (16u << 20)

struct relabel_entry {
	struct relabel_entry *newer, *older;
	uint64_t hash;
	uint8_t *key; /* the labels that came */
	size_t key_bytes, bytes;
	struct label_set labels; /* what the rules left */
	bool dropped;
};

struct relabel_cache {
	struct hash by_key; /* hash of the labels -> entry */
	struct relabel_entry *newest, *oldest;
	size_t n, max, bytes;
};

void relabel_cache_done(struct relabel_cache *c);
/* Empties; at most max entries from now on. */
void relabel_cache_reset(struct relabel_cache *c, size_t max);
/* The entry, which is then the newest; NULL: not there. Valid until the next put. */
const struct relabel_entry *relabel_cache_get(struct relabel_cache *c, const uint8_t *key,
					      size_t bytes);
/* Takes labels. The new entry, or NULL: without memory, labels are then freed. */
const struct relabel_entry *relabel_cache_put(struct relabel_cache *c, const uint8_t *key,
					      size_t bytes, struct label_set *labels, bool dropped);
