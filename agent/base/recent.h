/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct recent: u64 keys that were met lately, in few enough cache lines to stay in the cache, for
 * loops that meet the same keys again and again among many others: stacks have most of their frames
 * in common with those before. Forgets at will; what it has was added since it was cleared. Keys
 * must be spread over their low bits; 0 is never there.
 */
#pragma once

#include "agent/base/macro.h"

#define RECENT_SLOTS 512

struct recent {
	uint64_t keys[RECENT_SLOTS];
};

static inline bool recent_has(const struct recent *r, uint64_t key)
{
	return key && r->keys[key % RECENT_SLOTS] == key;
}

static inline void recent_add(struct recent *r, uint64_t key)
{
	r->keys[key % RECENT_SLOTS] = key;
}

static inline void recent_clear(struct recent *r)
{
	*r = (struct recent){0};
}
