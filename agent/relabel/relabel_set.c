/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/relabel/relabel_set.h"

#include <errno.h>
#include <string.h>

#include "agent/base/named.h"

#define BLOCK_BYTES 4096

struct relabel_block {
	struct relabel_block *next;
	size_t used, size;
	char data[];
};

/* All but the first one made, which is the last in the list, unless it is large. */
static void free_blocks(struct relabel_set *s, bool all)
{
	while (s->blocks && (all || s->blocks->next || s->blocks->size > BLOCK_BYTES)) {
		struct relabel_block *b = s->blocks;

		s->blocks = b->next;
		free(b);
	}
	if (s->blocks)
		s->blocks->used = 0;
}

void relabel_set_done(struct relabel_set *s)
{
	free_blocks(s, true);
	free(s->v);
	*s = (struct relabel_set){0};
}

void relabel_set_reset(struct relabel_set *s)
{
	free_blocks(s, false);
	s->n = s->bytes = 0;
	s->failed = 0;
}

static size_t find(const struct relabel_set *s, const char *name, bool *ret_there)
{
	/* Labels often arrive in order. */
	if (s->n && strcmp(s->v[s->n - 1].name, name) < 0) {
		*ret_there = false;
		return s->n;
	}
	return named_find(s->v, s->n, sizeof(*s->v), name, ret_there);
}

const struct relabel_label *relabel_set_get(const struct relabel_set *s, const char *name)
{
	bool there;
	size_t i = find(s, name, &there);

	return there ? &s->v[i] : NULL;
}

void relabel_set_put(struct relabel_set *s, const char *name, const char *value, size_t len,
		     const void *origin)
{
	bool there;
	size_t i = find(s, name, &there);

	if (!len) {
		if (there)
			memmove(s->v + i, s->v + i + 1, (--s->n - i) * sizeof(*s->v));
		return;
	}
	if (!there) {
		if (s->n == s->cap) {
			size_t cap = s->cap ? s->cap * 2 : 64;
			struct relabel_label *v = realloc(s->v, cap * sizeof(*v));

			if (!v) {
				s->failed = -ENOMEM;
				return;
			}
			s->v = v;
			s->cap = cap;
		}
		memmove(s->v + i + 1, s->v + i, (s->n++ - i) * sizeof(*s->v));
		s->v[i].name = name;
	}
	s->v[i].value = value;
	s->v[i].len = len;
	s->v[i].origin = origin;
}

const char *relabel_set_keep(struct relabel_set *s, const void *p, size_t n)
{
	struct relabel_block *b = s->blocks;
	char *to;

	if (n > RELABEL_SET_MAX_BYTES || s->bytes + n > RELABEL_SET_MAX_BYTES) {
		s->failed = -E2BIG;
		return NULL;
	}
	if (!b || b->size - b->used < n + 1) {
		size_t size = MAX(n + 1, (size_t)BLOCK_BYTES);

		b = malloc(sizeof(*b) + size);
		if (!b) {
			s->failed = -ENOMEM;
			return NULL;
		}
		*b = (struct relabel_block){.next = s->blocks, .size = size};
		s->blocks = b;
	}
	to = b->data + b->used;
	if (n)
		memcpy(to, p, n);
	to[n] = '\0';
	b->used += n + 1;
	s->bytes += n + 1;
	return to;
}
