/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct hash: u64 -> u64 table with open addressing, for ids and indices. Keys are arbitrary;
 * values must not be HASH_NONE. Grows by doubling at 3/4 load; no iteration order.
 */
#pragma once

#include "agent/base/macro.h"

#define HASH_NONE UINT64_MAX

struct hash_slot {
	uint64_t key, value; /* value HASH_NONE: free */
};

struct hash {
	struct hash_slot *slots;
	size_t count, cap; /* cap: 0 or a power of two */
};

static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}

uint64_t hash_bytes(const void *p, size_t n);
void hash_done(struct hash *h);

/* For cap > 0: where it is, or the free slot where it would be. */
static inline struct hash_slot *hash_find(const struct hash *h, uint64_t key)
{
	size_t i = hash_mix(key) & (h->cap - 1);

	while (h->slots[i].value != HASH_NONE && h->slots[i].key != key)
		i = (i + 1) & (h->cap - 1);
	return &h->slots[i];
}

/* HASH_NONE when absent. */
static inline uint64_t hash_get(const struct hash *h, uint64_t key)
{
	return h->cap ? hash_find(h, key)->value : HASH_NONE;
}

/* Inserts or replaces. 0 or -ENOMEM. */
int hash_put(struct hash *h, uint64_t key, uint64_t value);
/* The value that was there, or HASH_NONE. */
uint64_t hash_del(struct hash *h, uint64_t key);

#define HASH_FOREACH(slot, h)                                                                   \
	for (struct hash_slot *slot = (h)->slots; slot && slot < (h)->slots + (h)->cap; slot++) \
		if (slot->value != HASH_NONE)
