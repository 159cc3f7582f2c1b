/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/relabel/runes.h"

#include <errno.h>

#include "agent/relabel/unicode.h"

void runes_done(struct runes *s)
{
	free(s->v);
	*s = (struct runes){0};
}

void runes_add(struct runes *s, uint32_t lo, uint32_t hi)
{
	if (s->failed)
		return;
	if (s->n && s->v[s->n - 1].hi + 1 == lo) {
		s->v[s->n - 1].hi = hi;
		return;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 4;
		struct rune_range *v = realloc(s->v, cap * sizeof(*v));

		if (!v) {
			s->failed = -ENOMEM;
			return;
		}
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct rune_range){lo, hi};
}

static void add_orbit(uint32_t c, void *data)
{
	for (uint32_t f = unicode_fold(c); f != c; f = unicode_fold(f))
		runes_add(data, f, f);
}

void runes_add_folded(struct runes *s, uint32_t lo, uint32_t hi)
{
	runes_add(s, lo, hi);
	unicode_foldable(lo, hi, add_orbit, s);
}

void runes_add_set(struct runes *s, const struct runes *from, bool negated)
{
	uint32_t next = 0;

	if (from->failed)
		s->failed = from->failed;
	for (size_t i = 0; i < from->n; i++) {
		if (!negated)
			runes_add(s, from->v[i].lo, from->v[i].hi);
		else if (from->v[i].lo > next)
			runes_add(s, next, from->v[i].lo - 1);
		next = from->v[i].hi + 1;
	}
	if (negated && next <= UNICODE_MAX)
		runes_add(s, next, UNICODE_MAX);
}

static int compare(const void *a, const void *b)
{
	const struct rune_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void runes_clean(struct runes *s)
{
	size_t n = 0;

	if (s->n < 2)
		return;
	qsort(s->v, s->n, sizeof(*s->v), compare);
	for (size_t i = 1; i < s->n; i++) {
		if (s->v[i].lo <= s->v[n].hi + 1)
			s->v[n].hi = MAX(s->v[n].hi, s->v[i].hi);
		else
			s->v[++n] = s->v[i];
	}
	s->n = n + 1;
}

void runes_negate(struct runes *s)
{
	struct runes out = {.failed = s->failed};

	runes_add_set(&out, s, true);
	runes_done(s);
	*s = out;
}
