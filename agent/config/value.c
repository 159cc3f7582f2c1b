/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "agent/base/named.h"

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

/* ---- Keys ---- */

static struct value_key *key_of(const char *text)
{
	return (struct value_key *)(text - offsetof(struct value_key, text));
}

static const char *key_new(const char *text)
{
	size_t size = strlen(text) + 1;
	struct value_key *k = malloc(sizeof(*k) + size);

	if (!k)
		return NULL;
	k->refs = 1;
	return memcpy(k->text, text, size);
}

static const char *key_ref(const char *text)
{
	struct value_key *k = key_of(text);

	if (k->refs != VALUE_KEY_STATIC)
		k->refs++;
	return text;
}

static void key_unref(const char *text)
{
	struct value_key *k = text ? key_of(text) : NULL;

	if (k && k->refs != VALUE_KEY_STATIC && !--k->refs)
		free(k);
}

static void fields_done(struct value_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		key_unref(fields[i].key);
		value_unref(fields[i].value);
	}
}

struct value *value_unref(struct value *v)
{
	if (!v || --v->refs)
		return NULL;
	switch (v->kind) {
	case VALUE_ARRAY:
		for (size_t i = 0; i < v->n_items; i++)
			value_unref(v->items[i]);
		break;
	case VALUE_OBJECT:
		fields_done(v->fields, v->n_fields);
		break;
	case VALUE_CAPSULE:
		if (v->type->free)
			v->type->free(v->data);
		break;
	case VALUE_STRING:
	case VALUE_NULL:
	case VALUE_NUMBER:
	case VALUE_BOOL:
	case VALUE_FUNCTION:
		break;
	}
	free(v);
	return NULL;
}

/* With so many bytes behind it. */
static struct value *value_new(enum value_kind kind, size_t bytes)
{
	struct value *v = malloc(sizeof(*v) + bytes);

	if (v)
		*v = (struct value){.refs = 1, .kind = kind};
	return v;
}

struct value *value_null(void)
{
	return value_new(VALUE_NULL, 0);
}

struct value *value_bool(bool b)
{
	struct value *v = value_new(VALUE_BOOL, 0);

	if (v)
		v->b = b;
	return v;
}

struct value *value_number(struct number n)
{
	struct value *v = value_new(VALUE_NUMBER, 0);

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
	struct value *v = len <= VALUE_MAX_STRING ? value_new(VALUE_STRING, len + 1) : NULL;

	if (!v)
		return NULL;
	v->s = (char *)(v + 1);
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
	struct value *v = value_new(VALUE_FUNCTION, 0);

	if (v)
		v->fn = fn;
	return v;
}

struct value *value_capsule(const struct capsule_type *type, void *data)
{
	struct value *v = value_new(VALUE_CAPSULE, 0);

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

/* ---- Lists ---- */

static struct value_field *items_of(struct value_list *l)
{
	return l->cap ? l->many : l->few;
}

const struct value_field *value_list_get(const struct value_list *l, size_t i)
{
	return l->cap ? &l->many[i] : &l->few[i];
}

/* The items are somebody else's now. */
static void list_reset(struct value_list *l)
{
	free(l->many);
	l->many = NULL;
	l->n = l->cap = 0;
	l->failed = false;
}

void value_list_done(struct value_list *l)
{
	fields_done(items_of(l), l->n);
	list_reset(l);
}

static bool list_has_room(struct value_list *l)
{
	size_t cap = l->cap ? l->cap : VALUE_LIST_FEW;
	struct value_field *p;

	if (l->n < cap)
		return l->n < VALUE_MAX_ITEMS;
	cap *= 2;
	p = realloc(l->many, cap * sizeof(*p));
	if (!p)
		return false;
	if (!l->cap)
		memcpy(p, l->few, sizeof(l->few));
	l->many = p;
	l->cap = cap;
	return true;
}

/* Takes the reference to the key, too. */
static void list_take(struct value_list *l, const char *key, struct value *v)
{
	if (!v || l->failed || !list_has_room(l)) {
		l->failed = true;
		key_unref(key);
		value_unref(v);
		return;
	}
	items_of(l)[l->n++] = (struct value_field){key, v};
}

void value_list_add(struct value_list *l, const char *key, struct value *v)
{
	const char *copy = key ? key_new(key) : NULL;

	l->failed = l->failed || (key && !copy);
	list_take(l, copy, v);
}

void value_list_put(struct value_list *l, const struct value_key *key, struct value *v)
{
	list_take(l, key_ref(key->text), v);
}

void value_list_share(struct value_list *l, const struct value_field *f)
{
	list_take(l, f->key ? key_ref(f->key) : NULL, value_ref(f->value));
}

void value_list_share_all(struct value_list *l, const struct value *object)
{
	for (size_t i = 0; i < object->n_fields; i++)
		value_list_share(l, &object->fields[i]);
}

struct value *value_array(struct value_list *l)
{
	struct value *v = l->failed ? NULL : value_new(VALUE_ARRAY, l->n * sizeof(struct value *));

	if (!v) {
		value_list_done(l);
		return NULL;
	}
	v->items = (struct value **)(v + 1);
	v->n_items = l->n;
	for (size_t i = 0; i < l->n; i++) {
		v->items[i] = items_of(l)[i].value;
		key_unref(items_of(l)[i].key);
	}
	list_reset(l);
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

static int sort_many(struct value_field *v, size_t n)
{
	_cleanup_free_ struct keyed *sorted = malloc(n * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct keyed){v[i], i};
	qsort(sorted, n, sizeof(*sorted), keyed_compare);
	for (size_t i = 0; i < n; i++)
		v[i] = sorted[i].field;
	return 0;
}

/* By key; of one key the later one comes later. */
static int sort_fields(struct value_field *v, size_t n)
{
	if (n > VALUE_LIST_FEW)
		return sort_many(v, n);
	/* They come in runs that are sorted: little is to be moved. */
	for (size_t i = 1; i < n; i++) {
		struct value_field f = v[i];
		size_t k = i;

		for (; k && strcmp(v[k - 1].key, f.key) > 0; k--)
			v[k] = v[k - 1];
		v[k] = f;
	}
	return 0;
}

/* What a later field of the same key replaces goes. */
static size_t drop_replaced(struct value_field *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && !strcmp(v[i].key, v[i + 1].key))
			fields_done(&v[i], 1);
		else
			v[kept++] = v[i];
	}
	return kept;
}

struct value *value_object(struct value_list *l)
{
	struct value_field *items = items_of(l);
	struct value *v = NULL;

	if (!l->failed && sort_fields(items, l->n) >= 0) {
		l->n = drop_replaced(items, l->n);
		v = value_new(VALUE_OBJECT, l->n * sizeof(*items));
	}
	if (!v) {
		value_list_done(l);
		return NULL;
	}
	v->fields = (struct value_field *)(v + 1);
	v->n_fields = l->n;
	memcpy(v->fields, items, l->n * sizeof(*items));
	list_reset(l);
	return v;
}

struct value *value_merge(const struct value *a, const struct value *b)
{
	struct value_list l = {0};

	value_list_share_all(&l, a);
	value_list_share_all(&l, b);
	return value_object(&l);
}

struct value *value_get(const struct value *object, const char *key)
{
	bool there = false;
	size_t i = 0;

	if (object->kind == VALUE_OBJECT)
		i = named_find(object->fields, object->n_fields, sizeof(*object->fields), key,
			       &there);
	return there ? object->fields[i].value : NULL;
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
