/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/hash.h"

#include <errno.h>
#include <string.h>

uint64_t hash_bytes(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ n;

	while (n >= 8) {
		uint64_t w;

		memcpy(&w, b, 8);
		h = hash_mix(h ^ w);
		b += 8;
		n -= 8;
	}
	if (n) {
		uint64_t w = 0;

		memcpy(&w, b, n);
		h = hash_mix(h ^ w);
	}
	return h;
}

void hash_done(struct hash *h)
{
	free(h->slots);
	*h = (struct hash){0};
}

static int hash_resize(struct hash *h)
{
	struct hash old = *h;

	h->cap = old.cap ? old.cap * 2 : 16;
	h->slots = malloc(h->cap * sizeof(*h->slots));
	if (!h->slots) {
		*h = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < h->cap; i++)
		h->slots[i].value = HASH_NONE;
	HASH_FOREACH (s, &old)
		*hash_find(h, s->key) = *s;
	free(old.slots);
	return 0;
}

int hash_put(struct hash *h, uint64_t key, uint64_t value)
{
	struct hash_slot *s;

	if (h->count * 4 >= h->cap * 3 && hash_resize(h) < 0)
		return -ENOMEM;
	s = hash_find(h, key);
	if (s->value == HASH_NONE)
		h->count++;
	*s = (struct hash_slot){key, value};
	return 0;
}

uint64_t hash_del(struct hash *h, uint64_t key)
{
	struct hash_slot *s = h->cap ? hash_find(h, key) : NULL;
	uint64_t value;
	size_t hole, i;

	if (!s || s->value == HASH_NONE)
		return HASH_NONE;
	value = s->value;
	hole = i = (size_t)(s - h->slots);
	/* Backward shift: close the hole with entries whose home lies at or before it. */
	for (;;) {
		size_t home;

		i = (i + 1) & (h->cap - 1);
		if (h->slots[i].value == HASH_NONE)
			break;
		home = hash_mix(h->slots[i].key) & (h->cap - 1);
		if (((i - home) & (h->cap - 1)) >= ((i - hole) & (h->cap - 1))) {
			h->slots[hole] = h->slots[i];
			hole = i;
		}
	}
	h->slots[hole].value = HASH_NONE;
	h->count--;
	return value;
}
