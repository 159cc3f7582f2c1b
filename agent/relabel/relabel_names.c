/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/relabel/relabel_names.h"

#include <string.h>

void relabel_names_done(struct relabel_names *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].name);
		free(t->v[i].result);
	}
	free(t->v);
	hash_done(&t->by_name);
	*t = (struct relabel_names){0};
}

const struct relabel_name *relabel_names_get(const struct relabel_names *t, const char *name)
{
	uint64_t i = hash_get(&t->by_name, hash_bytes(name, strlen(name)));

	return i != HASH_NONE && !strcmp(t->v[i].name, name) ? &t->v[i] : NULL;
}

void relabel_names_put(struct relabel_names *t, const char *name, const char *result)
{
	size_t bytes = strlen(name) + (result ? strlen(result) : 0) + 2;
	_cleanup_free_ char *a = NULL, *b = NULL;
	uint64_t key = hash_bytes(name, strlen(name));

	if (t->n == RELABEL_NAMES_MAX || t->bytes + bytes > RELABEL_NAMES_MAX_BYTES ||
	    hash_get(&t->by_name, key) != HASH_NONE)
		return;
	if (!(t->n & (t->n - 1))) {
		struct relabel_name *v = realloc(t->v, MAX(t->n * 2, 1u) * sizeof(*v));

		if (!v)
			return;
		t->v = v;
	}
	a = strdup(name);
	b = result ? strdup(result) : NULL;
	if (!a || (result && !b) || hash_put(&t->by_name, key, t->n) < 0)
		return;
	t->v[t->n++] = (struct relabel_name){TAKE_PTR(a), TAKE_PTR(b)};
	t->bytes += bytes;
}
