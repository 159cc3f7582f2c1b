/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to C fields, with the implicit conversions of the language: number to string and back,
 * string to duration and secret, object to target; never secret to string, bool to anything, or
 * one thing to a list of it. null makes the zero value of everything.
 */
#include <errno.h>
#include <stdarg.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "agent/config/duration.h"
#include "agent/config/schema.h"

/* Where inside the attribute's value we are, for messages: "[3].key". */
struct place {
	struct eval *eval;
	const struct ast_expr *x;
	char path[160];
};

static int reject(const struct place *p, const char *fmt, ...) _printf_(2, 3);
static int reject(const struct place *p, const char *fmt, ...)
{
	char text[80], why[640];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	eval_text(p->eval, p->x, text, sizeof(text));
	return eval_fail(p->eval, p->x, "%s%s %s", text, p->path, why);
}

static int mismatch(const struct place *p, const char *want, const struct value *got)
{
	return reject(p, "should be %s, got %s", want, value_kind_name(got));
}

/* The text of a string or number; secrets only where they may stay one. */
static int to_text(const struct place *p, const struct value *v, bool secret, char **ret)
{
	char number[NUMBER_TEXT];
	const char *text = NULL;
	bool is_secret;
	size_t len;

	switch (v->kind) {
	case VALUE_NULL:
		text = "";
		break;
	case VALUE_NUMBER:
		number_format(v->n, number, sizeof(number));
		text = number;
		break;
	case VALUE_STRING:
	case VALUE_CAPSULE:
		text = value_text(v, &len, &is_secret);
		/* What cannot be known without running; only a capsule has no text here. */
		if (!text && p->eval->check_only && v->type == &capsule_ignored) {
			text = "";
			break;
		}
		if (!text)
			return mismatch(p, "string", v);
		if (is_secret && !secret)
			return reject(p, "is a secret: secrets may not be converted into strings");
		if (strlen(text) != len)
			return reject(p, "must not contain a NUL byte");
		break;
	case VALUE_BOOL:
	case VALUE_ARRAY:
	case VALUE_OBJECT:
	case VALUE_FUNCTION:
		return mismatch(p, "string", v);
	}
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

/* A number, or a string that is one from end to end. */
static int to_number(const struct place *p, const struct value *v, struct number *ret)
{
	char *end;

	if (v->kind == VALUE_NULL) {
		*ret = (struct number){.kind = NUMBER_INT};
		return 0;
	}
	if (v->kind == VALUE_NUMBER) {
		*ret = v->n;
		return 0;
	}
	if (v->kind != VALUE_STRING)
		return mismatch(p, "number", v);
	if (!v->len || strlen(v->s) != v->len || strspn(v->s, "0123456789.eE+-") != v->len)
		return reject(p, "should be a number");
	ret->kind = NUMBER_FLOAT;
	ret->f = strtod(v->s, &end);
	if (*end)
		return reject(p, "should be a number");
	return 0;
}

static int to_int(const struct place *p, const struct value *v, int64_t *ret)
{
	struct number n;
	int r = to_number(p, v, &n);

	if (r < 0)
		return r;
	if (n.kind == NUMBER_FLOAT) {
		if (n.f != trunc(n.f) || n.f < -0x1p63 || n.f >= 0x1p63)
			return reject(p, "should be a whole number");
		*ret = (int64_t)n.f;
	} else {
		if (n.kind == NUMBER_UINT && n.u > INT64_MAX)
			return reject(p, "is out of range");
		*ret = n.i;
	}
	return 0;
}

static int to_duration(const struct place *p, const struct value *v, int64_t *ret)
{
	const char *why;

	if (v->kind == VALUE_NULL) {
		*ret = 0;
		return 0;
	}
	if (v->kind != VALUE_STRING)
		return mismatch(p, "duration (a string such as \"15s\")", v);
	if (strlen(v->s) != v->len || duration_parse(v->s, ret, &why) < 0)
		return reject(p, "is no valid duration: %s (write it like \"15s\" or \"1m30s\")",
			      strlen(v->s) != v->len ? "NUL byte" : why);
	return 0;
}

static int to_strings(struct place *p, const struct value *v, struct schema_strings *ret)
{
	if (v->kind == VALUE_NULL || (v->kind == VALUE_ARRAY && !v->n_items))
		return 0;
	if (v->kind != VALUE_ARRAY)
		return mismatch(p, "array", v);
	ret->v = calloc(v->n_items, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_items; i++) {
		int r;

		(void)snprintf(p->path, sizeof(p->path), "[%zu]", i);
		r = to_text(p, v->items[i], false, &ret->v[i]);
		if (r < 0)
			return r;
		ret->n++;
	}
	return 0;
}

static int to_map(struct place *p, const struct value *v, struct schema_map *ret)
{
	if (v->kind == VALUE_NULL || (v->kind == VALUE_OBJECT && !v->n_fields))
		return 0;
	if (v->kind != VALUE_OBJECT)
		return mismatch(p, "object", v);
	ret->v = calloc(v->n_fields, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_fields; i++) {
		int r;

		(void)snprintf(p->path, sizeof(p->path), ".%s", v->fields[i].key);
		ret->v[i].name = strdup(v->fields[i].key);
		ret->n++;
		if (!ret->v[i].name)
			return -ENOMEM;
		r = to_text(p, v->fields[i].value, false, &ret->v[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The values of one name, each a pair of its own. */
static int to_pairs(struct place *p, const struct value_field *f, struct schema_map *ret)
{
	struct schema_pair *grown;

	if (f->value->kind != VALUE_ARRAY && f->value->kind != VALUE_NULL)
		return mismatch(p, "array", f->value);
	for (size_t i = 0; f->value->kind == VALUE_ARRAY && i < f->value->n_items; i++) {
		int r;

		(void)snprintf(p->path, sizeof(p->path), ".%s[%zu]", f->key, i);
		grown = realloc(ret->v, (ret->n + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		ret->v = grown;
		ret->v[ret->n] = (struct schema_pair){.name = strdup(f->key)};
		if (!ret->v[ret->n++].name)
			return -ENOMEM;
		r = to_text(p, f->value->items[i], true, &ret->v[ret->n - 1].value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int to_multimap(struct place *p, const struct value *v, struct schema_map *ret)
{
	if (v->kind != VALUE_NULL && v->kind != VALUE_OBJECT)
		return mismatch(p, "object", v);
	for (size_t i = 0; v->kind == VALUE_OBJECT && i < v->n_fields; i++) {
		int r;

		(void)snprintf(p->path, sizeof(p->path), ".%s", v->fields[i].key);
		r = to_pairs(p, &v->fields[i], ret);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether it is what components make: nothing but strings. */
static bool is_plain_target(const struct value *v)
{
	for (size_t i = 0; i < v->n_fields; i++) {
		const struct value *field = v->fields[i].value;

		if (field->kind != VALUE_STRING || strlen(field->s) != field->len)
			return false;
	}
	return true;
}

/* One target: a new reference when all values are strings already, else a converted copy. */
static int to_target(struct place *p, struct value *v, struct value_list *out)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	size_t base = strlen(p->path), len;
	bool secret;

	if (v->kind != VALUE_OBJECT)
		return mismatch(p, "object", v);
	if (is_plain_target(v)) {
		value_list_add(out, NULL, value_ref(v));
		return out->failed ? -ENOMEM : 0;
	}
	for (size_t i = 0; i < v->n_fields; i++) {
		const struct value *field = v->fields[i].value;
		_cleanup_free_ char *text = NULL;
		int r;

		(void)snprintf(p->path + base, sizeof(p->path) - base, ".%s", v->fields[i].key);
		if (field->kind == VALUE_NULL)
			return mismatch(p, "string", field);
		if (value_text(field, &len, &secret) && secret)
			return reject(p, "is a secret: cannot use a secret as a target value");
		if (field->kind == VALUE_BOOL) {
			value_list_add(&l, v->fields[i].key,
				       value_cstr(field->b ? "true" : "false"));
			continue;
		}
		r = to_text(p, field, false, &text);
		if (r < 0)
			return r;
		value_list_add(&l, v->fields[i].key, value_cstr(text));
	}
	p->path[base] = '\0';
	value_list_add(out, NULL, value_object(&l));
	return out->failed ? -ENOMEM : 0;
}

static int to_targets(struct place *p, struct value *v, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};

	if (v->kind != VALUE_NULL && v->kind != VALUE_ARRAY)
		return mismatch(p, "array", v);
	for (size_t i = 0; v->kind == VALUE_ARRAY && i < v->n_items; i++) {
		int r;

		(void)snprintf(p->path, sizeof(p->path), "[%zu]", i);
		r = to_target(p, v->items[i], &l);
		if (r < 0)
			return r;
	}
	*ret = value_array(&l);
	return *ret ? 0 : -ENOMEM;
}

static int to_receivers(struct place *p, const struct value *v, struct schema_receivers *ret)
{
	if (v->kind == VALUE_NULL || (v->kind == VALUE_ARRAY && !v->n_items))
		return 0;
	if (v->kind != VALUE_ARRAY)
		return mismatch(p, "array", v);
	ret->v = calloc(v->n_items, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_items; i++) {
		const struct value *item = v->items[i];

		(void)snprintf(p->path, sizeof(p->path), "[%zu]", i);
		if (item->kind == VALUE_NULL)
			continue;
		if (item->kind != VALUE_CAPSULE)
			return mismatch(p, "a receiver of profiles", item);
		if (item->type != &capsule_receiver)
			return reject(p, "should be a receiver of profiles, got %s",
				      item->type->name);
		ret->v[ret->n++] = item->data;
	}
	return 0;
}

int schema_store(const struct option *o, struct eval *e, const struct ast_expr *x, struct value *v,
		 void *field)
{
	struct place p = {.eval = e, .x = x};
	_cleanup_value_ struct value *nothing = NULL;
	struct number n;
	char why[512];
	int r;

	schema_clear(o, field);
	/* What cannot be known without running is taken for nothing. */
	if (e->check_only && v->kind == VALUE_CAPSULE && v->type == &capsule_ignored) {
		nothing = value_null();
		if (!nothing)
			return -ENOMEM;
		v = nothing;
	}
	switch (o->type) {
	case OPTION_BOOL:
		if (v->kind != VALUE_BOOL && v->kind != VALUE_NULL)
			return mismatch(&p, "bool", v);
		*(bool *)field = v->kind == VALUE_BOOL && v->b;
		return 0;
	case OPTION_INT:
		return to_int(&p, v, field);
	case OPTION_FLOAT:
		r = to_number(&p, v, &n);
		if (r >= 0)
			*(double *)field = number_float(n);
		return r;
	case OPTION_STRING:
		r = to_text(&p, v, false, field);
		if (e->check_only && v->kind == VALUE_NULL)
			return r;
		if (r >= 0 && o->check && o->check(*(char **)field, why, sizeof(why)) < 0)
			return reject(&p, "is not valid: %s", why);
		return r;
	case OPTION_SECRET:
		return to_text(&p, v, true, field);
	case OPTION_DURATION:
		return to_duration(&p, v, field);
	case OPTION_STRINGS:
		return to_strings(&p, v, field);
	case OPTION_MAP:
		return to_map(&p, v, field);
	case OPTION_MULTIMAP:
		return to_multimap(&p, v, field);
	case OPTION_TARGETS:
		return to_targets(&p, v, field);
	case OPTION_RECEIVERS:
		return to_receivers(&p, v, field);
	case OPTION_ANY:
		*(struct value **)field = value_ref(v);
		return 0;
	case OPTION_BLOCK:
	case OPTION_BLOCKS:
		return -EINVAL;
	}
	return -EINVAL;
}
