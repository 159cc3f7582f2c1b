/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/intern.h"

#include <string.h>

#define BLOCK_MIN (4u << 10)
#define BLOCK_MAX (64u << 10)

void intern_done(struct intern *t)
{
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free(t->blocks);
	free(t->strings);
	free(t->next);
	hash_done(&t->by_hash);
	*t = (struct intern){0};
}

static char *intern_alloc(struct intern *t, size_t n)
{
	char *p;

	if (!t->n_blocks || t->block_size - t->block_used < n) {
		size_t size = t->n_blocks ? MIN(t->block_size * 2, BLOCK_MAX) : BLOCK_MIN;
		char **blocks = realloc(t->blocks, (t->n_blocks + 1) * sizeof(*blocks));

		if (!blocks)
			return NULL;
		t->blocks = blocks;
		size = MAX(size, n);
		p = malloc(size);
		if (!p)
			return NULL;
		t->blocks[t->n_blocks++] = p;
		t->block_size = size;
		t->block_used = 0;
	}
	p = t->blocks[t->n_blocks - 1] + t->block_used;
	t->block_used += n;
	t->bytes += n;
	return p;
}

static bool intern_room(struct intern *t)
{
	size_t cap;
	const char **strings;
	uint32_t *next;

	if (t->n_strings < t->cap_strings)
		return true;
	cap = t->cap_strings ? t->cap_strings * 2 : 64;
	if (cap >= INTERN_INVALID)
		return false;
	strings = realloc(t->strings, cap * sizeof(*strings));
	if (!strings)
		return false;
	t->strings = strings;
	next = realloc(t->next, cap * sizeof(*next));
	if (!next)
		return false;
	t->next = next;
	t->cap_strings = cap;
	return true;
}

static uint32_t intern_add(struct intern *t, const char *s, size_t n, uint64_t hash, uint32_t next)
{
	uint32_t id = (uint32_t)t->n_strings;
	char *copy;

	if (!intern_room(t))
		return INTERN_INVALID;
	copy = intern_alloc(t, n + 1);
	if (!copy || hash_put(&t->by_hash, hash, id) < 0)
		return INTERN_INVALID;
	memcpy(copy, s, n);
	copy[n] = '\0';
	t->strings[id] = copy;
	t->next[id] = next;
	t->n_strings++;
	return id;
}

static uint32_t find(const struct intern *t, const char *s, size_t n, uint64_t head)
{
	for (uint64_t id = head; id < t->n_strings; id = t->next[id]) {
		if (!strncmp(t->strings[id], s, n) && !t->strings[id][n])
			return (uint32_t)id;
	}
	return INTERN_INVALID;
}

uint32_t intern_find(const struct intern *t, const char *s, size_t n)
{
	return find(t, s, n, hash_get(&t->by_hash, hash_bytes(s, n)));
}

uint32_t intern_bytes(struct intern *t, const char *s, size_t n)
{
	uint64_t hash, head;
	uint32_t id;

	if (!t->n_strings && intern_add(t, "", 0, hash_bytes("", 0), INTERN_INVALID) != 0)
		return INTERN_INVALID;
	hash = hash_bytes(s, n);
	head = hash_get(&t->by_hash, hash);
	id = find(t, s, n, head);
	if (id != INTERN_INVALID)
		return id;
	return intern_add(t, s, n, hash, head == HASH_NONE ? INTERN_INVALID : (uint32_t)head);
}

uint32_t intern_str(struct intern *t, const char *s)
{
	return intern_bytes(t, s, strlen(s));
}

const char *intern_get(const struct intern *t, uint32_t id)
{
	return id < t->n_strings ? t->strings[id] : "";
}
