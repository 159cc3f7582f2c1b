/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/relabel_memo.h"

#include <errno.h>
#include <string.h>

struct relabel_result {
	struct value *target, *output; /* output NULL: a rule dropped it */
	size_t seen;		       /* by so many rules */
};

struct run {
	struct relabel *rules;
	size_t n_rules, row; /* row: bytes of matched for a target */
	struct relabel_set set;
	uint64_t *before; /* matches of each rule */
	uint64_t budget;
	size_t rule;
};

static size_t row_bytes(const struct relabel *rules)
{
	return (relabel_n_rules(rules) + 7) / 8;
}

void relabel_memo_done(struct relabel_memo *m)
{
	for (size_t i = 0; i < m->n; i++) {
		value_unref(m->v[i].target);
		value_unref(m->v[i].output);
	}
	free(m->v);
	free(m->matched);
	hash_done(&m->by_target);
	*m = (struct relabel_memo){0};
}

/* The target itself when no rule has changed it. Fields that are the same are shared. */
static struct value *to_value(const struct relabel_set *s, struct value *target)
{
	bool same = s->n == target->n_fields;
	struct value_list l = {0};

	for (size_t i = 0; i < s->n; i++) {
		const struct relabel_label *k = &s->v[i];
		const struct value_field *f = k->origin;

		if (f && f->key == k->name) {
			value_list_share(&l, f);
		} else {
			value_list_add(&l, k->name,
				       f ? value_ref(f->value) : value_string(k->value, k->len));
			same = false;
		}
	}
	if (!same)
		return value_object(&l);
	value_list_done(&l);
	return value_ref(target);
}

/* Runs the rules, and notes which of them matched. */
static int relabel_one(struct run *u, struct relabel_result *x, uint8_t *matched)
{
	const struct value *t = x->target;
	int r;

	for (size_t i = 0; i < u->n_rules; i++)
		u->before[i] = relabel_get_counts(u->rules, i)->matched;
	relabel_set_reset(&u->set);
	for (size_t i = 0; i < t->n_fields; i++)
		relabel_set_put(&u->set, t->fields[i].key, t->fields[i].value->s,
				t->fields[i].value->len, &t->fields[i]);
	r = relabel_apply(u->rules, &u->set, &u->budget, &u->rule);
	if (r < 0)
		return r;
	x->seen = r || !u->n_rules ? u->n_rules : u->rule + 1;
	for (size_t i = 0; i < x->seen; i++) {
		if (relabel_get_counts(u->rules, i)->matched > u->before[i])
			matched[i / 8] |= (uint8_t)(1u << i % 8);
	}
	if (r) {
		x->output = to_value(&u->set, x->target);
		return x->output ? 0 : -ENOMEM;
	}
	return 0;
}

/* As if the rules had been run. */
static void reuse(const struct run *u, struct relabel_result *x, uint8_t *matched,
		  const struct relabel_memo *old, size_t at)
{
	const struct relabel_result *y = &old->v[at];

	x->output = y->output ? value_ref(y->output) : NULL;
	x->seen = y->seen;
	memcpy(matched, old->matched + at * u->row, u->row);
	for (size_t i = 0; i < x->seen; i++)
		relabel_count(u->rules, i, matched[i / 8] >> i % 8 & 1,
			      !x->output && i + 1 == x->seen);
}

static int apply_all(struct run *u, const struct relabel_memo *old, struct relabel_memo *now,
		     const struct value *targets)
{
	int r = 0;

	for (size_t i = 0; i < targets->n_items && r >= 0; i++) {
		uint64_t at = hash_get(&old->by_target, (uintptr_t)targets->items[i]);
		struct relabel_result *x = &now->v[now->n++];
		uint8_t *matched = now->matched + i * u->row;

		x->target = value_ref(targets->items[i]);
		if (at != HASH_NONE)
			reuse(u, x, matched, old, at);
		else
			r = relabel_one(u, x, matched);
		if (r >= 0)
			r = hash_put(&now->by_target, (uintptr_t)x->target, i);
	}
	return r;
}

static struct value *outputs(const struct relabel_memo *m)
{
	struct value_list l = {0};

	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].output)
			value_list_add(&l, NULL, value_ref(m->v[i].output));
	}
	return value_array(&l);
}

int relabel_memo_apply(struct relabel_memo *m, struct relabel *rules, const struct value *targets,
		       struct value **ret, size_t *ret_rule)
{
	_cleanup_(relabel_memo_done) struct relabel_memo now = {0};
	size_t n = targets->n_items;
	struct run u = {
		.rules = rules,
		.n_rules = relabel_n_rules(rules),
		.row = row_bytes(rules),
		.budget = RELABEL_STEPS + (uint64_t)n * RELABEL_STEPS_TARGET,
	};
	_cleanup_free_ uint64_t *before = calloc(u.n_rules + 1, sizeof(*before));
	int r = -ENOMEM;

	now.v = calloc(n + 1, sizeof(*now.v));
	now.matched = calloc(n * u.row + 1, 1);
	u.before = before;
	relabel_reset_counts(rules);
	if (before && now.v && now.matched)
		r = apply_all(&u, m, &now, targets);
	relabel_set_done(&u.set);
	*ret_rule = u.rule;
	if (r < 0)
		return r;
	*ret = outputs(&now);
	if (!*ret)
		return -ENOMEM;
	relabel_memo_done(m);
	*m = now;
	now = (struct relabel_memo){0};
	return 0;
}
