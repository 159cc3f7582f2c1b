/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/value.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool secret_equal(const void *a, const void *b)
{
	return !strcmp(a, b);
}

static bool optional_secret_equal(const void *a, const void *b)
{
	const struct optional_secret *x = a, *y = b;

	return x->secret == y->secret && x->len == y->len && !memcmp(x->text, y->text, x->len);
}

const struct capsule_type capsule_secret = {"secret", free, secret_equal};
const struct capsule_type capsule_optional_secret = {"optional secret", free,
						     optional_secret_equal};
const struct capsule_type capsule_receiver = {"receiver", NULL, NULL};

struct value *value_ref(struct value *v)
{
	v->refs++;
	return v;
}

static void fields_free(struct value_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(fields[i].key);
		value_unref(fields[i].value);
	}
	free(fields);
}

struct value *value_unref(struct value *v)
{
	if (!v || --v->refs)
		return NULL;
	switch (v->kind) {
	case VALUE_STRING:
		free(v->s);
		break;
	case VALUE_ARRAY:
		for (size_t i = 0; i < v->n_items; i++)
			value_unref(v->items[i]);
		free(v->items);
		break;
	case VALUE_OBJECT:
		fields_free(v->fields, v->n_fields);
		break;
	case VALUE_CAPSULE:
		if (v->type->free)
			v->type->free(v->data);
		break;
	case VALUE_NULL:
	case VALUE_NUMBER:
	case VALUE_BOOL:
	case VALUE_FUNCTION:
		break;
	}
	free(v);
	return NULL;
}

static struct value *value_new(enum value_kind kind)
{
	struct value *v = calloc(1, sizeof(*v));

	if (v) {
		v->refs = 1;
		v->kind = kind;
	}
	return v;
}

struct value *value_null(void)
{
	return value_new(VALUE_NULL);
}

struct value *value_bool(bool b)
{
	struct value *v = value_new(VALUE_BOOL);

	if (v)
		v->b = b;
	return v;
}

struct value *value_number(struct number n)
{
	struct value *v = value_new(VALUE_NUMBER);

	if (v)
		v->n = n;
	return v;
}

struct value *value_int(int64_t i)
{
	return value_number((struct number){.kind = NUMBER_INT, .i = i});
}

struct value *value_string(const char *s, size_t len)
{
	struct value *v = len <= VALUE_MAX_STRING ? value_new(VALUE_STRING) : NULL;

	if (!v)
		return NULL;
	v->s = malloc(len + 1);
	if (!v->s)
		return value_unref(v);
	memcpy(v->s, s, len);
	v->s[len] = '\0';
	v->len = len;
	return v;
}

struct value *value_cstr(const char *s)
{
	return value_string(s, strlen(s));
}

struct value *value_function(const struct stdlib_entry *fn)
{
	struct value *v = value_new(VALUE_FUNCTION);

	if (v)
		v->fn = fn;
	return v;
}

struct value *value_capsule(const struct capsule_type *type, void *data)
{
	struct value *v = value_new(VALUE_CAPSULE);

	if (v) {
		v->type = type;
		v->data = data;
	} else if (type->free) {
		type->free(data);
	}
	return v;
}

struct value *value_secret(const char *s)
{
	char *copy = strdup(s);

	return copy ? value_capsule(&capsule_secret, copy) : NULL;
}

struct value *value_optional_secret(const char *s, size_t len, bool secret)
{
	struct optional_secret *o = len <= VALUE_MAX_STRING ? malloc(sizeof(*o) + len + 1) : NULL;

	if (!o)
		return NULL;
	o->secret = secret;
	o->len = len;
	memcpy(o->text, s, len);
	o->text[len] = '\0';
	return value_capsule(&capsule_optional_secret, o);
}

const char *value_text(const struct value *v, size_t *ret_len, bool *ret_secret)
{
	const struct optional_secret *o;

	if (v->kind == VALUE_STRING) {
		*ret_secret = false;
		*ret_len = v->len;
		return v->s;
	}
	if (v->kind != VALUE_CAPSULE)
		return NULL;
	if (v->type == &capsule_secret) {
		*ret_secret = true;
		*ret_len = strlen(v->data);
		return v->data;
	}
	if (v->type != &capsule_optional_secret)
		return NULL;
	o = v->data;
	*ret_secret = o->secret;
	*ret_len = o->len;
	return o->text;
}

void value_list_done(struct value_list *l)
{
	fields_free(l->items, l->n);
	*l = (struct value_list){0};
}

void value_list_add(struct value_list *l, const char *key, struct value *v)
{
	char *copy = key ? strdup(key) : NULL;

	if (l->n == l->cap && !l->failed) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		struct value_field *p = realloc(l->items, cap * sizeof(*p));

		if (p) {
			l->items = p;
			l->cap = cap;
		}
	}
	if (!v || (key && !copy) || l->n == l->cap || l->n >= VALUE_MAX_ITEMS || l->failed) {
		l->failed = true;
		free(copy);
		value_unref(v);
		return;
	}
	l->items[l->n++] = (struct value_field){copy, v};
}

struct value *value_array(struct value_list *l)
{
	struct value *v = l->failed ? NULL : value_new(VALUE_ARRAY);

	if (v && l->n) {
		v->items = malloc(l->n * sizeof(struct value *));
		if (!v->items)
			v = value_unref(v);
	}
	if (v) {
		for (size_t i = 0; i < l->n; i++) {
			v->items[i] = l->items[i].value;
			free(l->items[i].key);
		}
		v->n_items = l->n;
		l->n = 0;
	}
	value_list_done(l);
	return v;
}

struct keyed {
	struct value_field field;
	size_t order;
};

static int keyed_compare(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int r = strcmp(x->field.key, y->field.key);

	return r ? r : x->order < y->order ? -1 : 1;
}

struct value *value_object(struct value_list *l)
{
	struct value *v = l->failed ? NULL : value_new(VALUE_OBJECT);
	_cleanup_free_ struct keyed *sorted = malloc(MAX(l->n, 1u) * sizeof(*sorted));

	if (v && sorted) {
		for (size_t i = 0; i < l->n; i++)
			sorted[i] = (struct keyed){l->items[i], i};
		qsort(sorted, l->n, sizeof(*sorted), keyed_compare);
		/* There may be a hundred thousand of them: without what the list has in reserve. */
		v->fields = realloc(l->items, MAX(l->n, 1u) * sizeof(*l->items));
		if (!v->fields)
			v->fields = l->items;
		l->items = NULL;
		for (size_t i = 0; i < l->n; i++) {
			if (i + 1 < l->n && !strcmp(sorted[i].field.key, sorted[i + 1].field.key)) {
				free(sorted[i].field.key);
				value_unref(sorted[i].field.value);
			} else {
				v->fields[v->n_fields++] = sorted[i].field;
			}
		}
		l->n = 0;
	} else {
		v = value_unref(v);
	}
	value_list_done(l);
	return v;
}

struct value *value_get(const struct value *object, const char *key)
{
	size_t low = 0, high = object->kind == VALUE_OBJECT ? object->n_fields : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = strcmp(object->fields[mid].key, key);

		if (!r)
			return object->fields[mid].value;
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

double number_float(struct number n)
{
	switch (n.kind) {
	case NUMBER_UINT:
		return (double)n.u;
	case NUMBER_INT:
		return (double)n.i;
	case NUMBER_FLOAT:
		return n.f;
	}
	return 0;
}

static bool number_equal(struct number a, struct number b)
{
	if (a.kind == b.kind && a.kind != NUMBER_FLOAT)
		return a.u == b.u;
	if (a.kind != NUMBER_FLOAT && b.kind != NUMBER_FLOAT)
		return a.u == b.u && a.i >= 0;
	return number_float(a) == number_float(b);
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind)
		return false;
	if (a == b && a->kind != VALUE_FUNCTION)
		return true;
	switch (a->kind) {
	case VALUE_NULL:
		return true;
	case VALUE_NUMBER:
		return number_equal(a->n, b->n);
	case VALUE_STRING:
		return a->len == b->len && !memcmp(a->s, b->s, a->len);
	case VALUE_BOOL:
		return a->b == b->b;
	case VALUE_ARRAY:
		if (a->n_items != b->n_items)
			return false;
		for (size_t i = 0; i < a->n_items; i++) {
			if (!value_equal(a->items[i], b->items[i]))
				return false;
		}
		return true;
	case VALUE_OBJECT:
		if (a->n_fields != b->n_fields)
			return false;
		for (size_t i = 0; i < a->n_fields; i++) {
			if (strcmp(a->fields[i].key, b->fields[i].key) != 0 ||
			    !value_equal(a->fields[i].value, b->fields[i].value))
				return false;
		}
		return true;
	case VALUE_FUNCTION:
		return false;
	case VALUE_CAPSULE:
		return a->type == b->type &&
		       (a->data == b->data || (a->type->equal && a->type->equal(a->data, b->data)));
	}
	return false;
}

const char *value_kind_name(const struct value *v)
{
	static const char *const names[] = {
		[VALUE_NULL] = "null",	     [VALUE_NUMBER] = "number",
		[VALUE_STRING] = "string",   [VALUE_BOOL] = "bool",
		[VALUE_ARRAY] = "array",     [VALUE_OBJECT] = "object",
		[VALUE_CAPSULE] = "capsule", [VALUE_FUNCTION] = "function",
	};

	return names[v->kind];
}

int number_digits(double f, char *to, size_t size, int *ret_exponent)
{
	int precision = 0, exponent = 0;
	const char *e;

	do
		(void)snprintf(to, size, "%.*e", precision, f);
	while (strtod(to, NULL) != f && precision++ < 17);
	e = strchr(to, 'e');
	/* "e-07": written by snprintf() above. */
	for (const char *d = e + 2; *d; d++)
		exponent = exponent * 10 + (*d - '0');
	*ret_exponent = e[1] == '-' ? -exponent : exponent;
	return precision;
}

/* Laid out without an exponent. */
static void float_format(double f, char *to, size_t size)
{
	char text[NUMBER_DIGITS];
	int precision, exponent;

	if (!isfinite(f)) {
		(void)snprintf(to, size, "%s", isnan(f) ? "NaN" : f < 0 ? "-Inf" : "+Inf");
		return;
	}
	precision = number_digits(f, text, sizeof(text), &exponent);
	if (precision >= exponent) {
		(void)snprintf(to, size, "%.*f", precision - exponent, f);
		return;
	}
	/* %.0f would go on with the exact value where those digits end; the language has zeros. */
	(void)snprintf(to, size, "%s%c%.*s%0*d", f < 0 ? "-" : "", text[f < 0], precision,
		       precision ? text + (f < 0) + 2 : "", exponent - precision, 0);
}

void number_format(struct number n, char *to, size_t size)
{
	switch (n.kind) {
	case NUMBER_UINT:
		(void)snprintf(to, size, "%" PRIu64, n.u);
		return;
	case NUMBER_INT:
		(void)snprintf(to, size, "%" PRId64, n.i);
		return;
	case NUMBER_FLOAT:
		float_format(n.f, to, size);
		return;
	}
}
