/* SPDX-License-Identifier: Apache-2.0 */
/* array.*, and coalesce(). */
#include <errno.h>
#include <string.h>

#include "agent/config/stdlib_calls.h"

static int too_many(struct stdlib_call *c)
{
	return eval_fail(c->eval, c->expr, "array has more than %u elements", VALUE_MAX_ITEMS);
}

static int give_list(struct stdlib_call *c, struct value_list *l, struct value **ret)
{
	if (l->failed && l->n >= VALUE_MAX_ITEMS)
		return too_many(c);
	return stdlib_give(value_array(l), ret);
}

int stdlib_concat(struct stdlib_call *c, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};

	for (size_t i = 0; i < c->n; i++) {
		if (c->args[i]->kind != VALUE_ARRAY)
			return stdlib_mismatch(c, i, "", "array", c->args[i]);
	}
	if (c->n == 1) {
		*ret = value_ref(c->args[0]);
		return 0;
	}
	for (size_t i = 0; i < c->n && !l.failed; i++) {
		for (size_t k = 0; k < c->args[i]->n_items && !l.failed; k++)
			value_list_add(&l, NULL, value_ref(c->args[i]->items[k]));
	}
	return give_list(c, &l, ret);
}

static bool is_zero(const struct value *v)
{
	size_t len;
	bool secret;

	switch (v->kind) {
	case VALUE_NULL:
		return true;
	case VALUE_NUMBER:
		return number_float(v->n) == 0;
	case VALUE_STRING:
		return !v->len;
	case VALUE_BOOL:
		return !v->b;
	case VALUE_ARRAY:
		return !v->n_items;
	case VALUE_OBJECT:
		return !v->n_fields;
	case VALUE_FUNCTION:
		return false;
	case VALUE_CAPSULE:
		return value_text(v, &len, &secret) && !len;
	}
	return false;
}

int stdlib_coalesce(struct stdlib_call *c, struct value **ret)
{
	for (size_t i = 0; i < c->n; i++) {
		if (i + 1 == c->n || !is_zero(c->args[i])) {
			*ret = value_ref(c->args[i]);
			return 0;
		}
	}
	return stdlib_give(value_null(), ret);
}

static int check_objects(struct stdlib_call *c, size_t i)
{
	const struct value *v = c->args[i];
	char path[32];

	if (v->kind != VALUE_ARRAY)
		return stdlib_mismatch(c, i, "", "array", v);
	for (size_t k = 0; k < v->n_items; k++) {
		if (v->items[k]->kind == VALUE_OBJECT)
			continue;
		(void)snprintf(path, sizeof(path), "[%zu]", k);
		return stdlib_mismatch(c, i, path, "object", v->items[k]);
	}
	return 0;
}

static int check_keys(struct stdlib_call *c)
{
	const struct value *v = c->args[2];
	char path[32];

	if (v->kind != VALUE_ARRAY)
		return stdlib_mismatch(c, 2, "", "array", v);
	if (!v->n_items)
		return stdlib_reject(c, 2, "combine_maps: merge conditions must not be empty");
	for (size_t k = 0; k < v->n_items; k++) {
		if (v->items[k]->kind == VALUE_STRING)
			continue;
		(void)snprintf(path, sizeof(path), "[%zu]", k);
		return stdlib_mismatch(c, 2, path, "string", v->items[k]);
	}
	return 0;
}

static bool agree(const struct value *a, const struct value *b, const struct value *keys)
{
	for (size_t i = 0; i < keys->n_items; i++) {
		const struct value *x = value_get(a, keys->items[i]->s);
		const struct value *y = value_get(b, keys->items[i]->s);

		if (!x || !y || !value_equal(x, y))
			return false;
	}
	return true;
}

/*
 * The inner join. With pass-through, the left object is there once more for every right one that
 * it does not agree with, as in the original.
 */
int stdlib_combine_maps(struct stdlib_call *c, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	const struct value *lhs = c->args[0], *rhs = c->args[1];
	bool pass = false;
	int r = check_objects(c, 0);

	r = r < 0 ? r : check_objects(c, 1);
	r = r < 0 ? r : check_keys(c);
	if (r < 0)
		return r;
	if (c->n > 3 && c->args[3]->kind != VALUE_BOOL)
		return stdlib_mismatch(c, 3, "", "bool", c->args[3]);
	pass = c->n > 3 && c->args[3]->b;
	if (lhs->n_items && rhs->n_items > (64u << 20) / lhs->n_items)
		return eval_fail(c->eval, c->expr, "%zu times %zu objects are too many to compare",
				 lhs->n_items, rhs->n_items);
	for (size_t i = 0; i < lhs->n_items; i++) {
		for (size_t k = 0; k < rhs->n_items && !l.failed; k++) {
			if (agree(lhs->items[i], rhs->items[k], c->args[2]))
				value_list_add(&l, NULL, value_merge(lhs->items[i], rhs->items[k]));
			else if (pass)
				value_list_add(&l, NULL, value_ref(lhs->items[i]));
		}
	}
	return give_list(c, &l, ret);
}

struct keyed {
	const char *key;
	size_t i;
};

static int keyed_compare(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	return r ? r : x->i < y->i ? -1 : x->i > y->i;
}

static int group_keys(struct stdlib_call *c, struct keyed *keys, size_t *ret_n)
{
	const struct value *list = c->args[0];
	char path[80];

	for (size_t i = 0; i < list->n_items; i++) {
		const struct value *v = value_get(list->items[i], c->args[1]->s);

		if (!v && c->args[2]->b)
			continue;
		if (v && v->kind != VALUE_STRING) {
			(void)snprintf(path, sizeof(path), "[%zu].%.40s", i, c->args[1]->s);
			return stdlib_mismatch(c, 0, path, "string", v);
		}
		keys[(*ret_n)++] = (struct keyed){v ? v->s : "", i};
	}
	qsort(keys, *ret_n, sizeof(*keys), keyed_compare);
	return 0;
}

static struct value *group(const struct value *list, const char *name, const struct keyed *keys,
			   size_t n)
{
	_cleanup_(value_list_done) struct value_list items = {0}, l = {0};

	for (size_t i = 0; i < n; i++)
		value_list_add(&items, NULL, value_ref(list->items[keys[i].i]));
	value_list_add(&l, name, value_cstr(keys[0].key));
	value_list_add(&l, "items", value_array(&items));
	return value_object(&l);
}

/* In the order of the values, where the original has none. */
int stdlib_group_by(struct stdlib_call *c, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	_cleanup_free_ struct keyed *keys = NULL;
	size_t n = 0;
	int r = check_objects(c, 0);

	if (r < 0)
		return r;
	if (c->args[1]->kind != VALUE_STRING)
		return stdlib_mismatch(c, 1, "", "string", c->args[1]);
	if (c->args[2]->kind != VALUE_BOOL)
		return stdlib_mismatch(c, 2, "", "bool", c->args[2]);
	keys = calloc(MAX(c->args[0]->n_items, 1u), sizeof(*keys));
	r = keys ? group_keys(c, keys, &n) : -ENOMEM;
	if (r < 0)
		return r;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && !strcmp(keys[end].key, keys[i].key);)
			end++;
		value_list_add(&l, NULL, group(c->args[0], c->args[1]->s, keys + i, end - i));
	}
	return give_list(c, &l, ret);
}
