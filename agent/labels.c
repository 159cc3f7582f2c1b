/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/labels.h"

#include <string.h>

#include "agent/base/named.h"

void label_set_done(struct label_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free((char *)s->v[i].name);
		free((char *)s->v[i].value);
	}
	free(s->v);
	*s = (struct label_set){0};
}

static size_t find(const struct label_set *s, const char *name, bool *ret_there)
{
	return named_find(s->v, s->n, sizeof(*s->v), name, ret_there);
}

const char *label_set_get(const struct label_set *s, const char *name)
{
	bool there;
	size_t i = find(s, name, &there);

	return there ? s->v[i].value : NULL;
}

void label_set_remove(struct label_set *s, const char *name)
{
	bool there;
	size_t i = find(s, name, &there);

	if (!there)
		return;
	free((char *)s->v[i].name);
	free((char *)s->v[i].value);
	memmove(s->v + i, s->v + i + 1, (--s->n - i) * sizeof(*s->v));
}

void label_set_put(struct label_set *s, const char *name, const char *value)
{
	_cleanup_free_ char *n = strdup(name), *v = strdup(value);
	bool there;
	size_t i = find(s, name, &there);

	if (!n || !v) {
		s->failed = true;
		return;
	}
	if (there) {
		free((char *)s->v[i].value);
		s->v[i].value = TAKE_PTR(v);
		return;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct label *p = realloc(s->v, cap * sizeof(*p));

		if (!p) {
			s->failed = true;
			return;
		}
		s->v = p;
		s->cap = cap;
	}
	memmove(s->v + i + 1, s->v + i, (s->n++ - i) * sizeof(*s->v));
	s->v[i] = (struct label){TAKE_PTR(n), TAKE_PTR(v)};
}

bool label_set_equal(const struct label_set *a, const struct label_set *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->v[i].name, b->v[i].name) != 0 ||
		    strcmp(a->v[i].value, b->v[i].value) != 0)
			return false;
	}
	return true;
}
