/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct recent: u64 -> u64 for the keys that were met lately, in few enough cache lines to stay in
 * the cache, for loops that meet the same keys again and again among many others: stacks have most
 * of their frames in common with those before. Forgets at will; what it has was put there since it
 * was cleared. Keys must be spread over their low bits; values must not be RECENT_NONE.
 */
#pragma once

#include "agent/base/macro.h"

#define RECENT_SLOTS 512
#define RECENT_NONE  0

struct recent {
	struct {
		uint64_t key, value; /* value RECENT_NONE: free */
	} slots[RECENT_SLOTS];
};

/* RECENT_NONE when it is not there, or not any more. */
static inline uint64_t recent_get(const struct recent *r, uint64_t key)
{
	size_t i = key % RECENT_SLOTS;

	return r->slots[i].key == key ? r->slots[i].value : RECENT_NONE;
}

static inline void recent_put(struct recent *r, uint64_t key, uint64_t value)
{
	r->slots[key % RECENT_SLOTS].key = key;
	r->slots[key % RECENT_SLOTS].value = value;
}

static inline void recent_clear(struct recent *r)
{
	*r = (struct recent){0};
}
