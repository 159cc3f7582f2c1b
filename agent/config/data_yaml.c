/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML by the events of libyaml. Collections under construction are on a stack of our own, so that
 * depth costs no C stack; what an anchor names is kept by reference.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include <yaml.h>

#include "agent/config/data.h"

#define YAML_MAX_BYTES	 (16u << 20)
#define YAML_MAX_ANCHORS 10000

struct level {
	struct value_list items;
	struct value_list merged; /* what "<<" brings, below the keys of the object itself */
	char *key, *anchor;
	bool object, merge; /* merge: the value of "<<" comes next */
	size_t before;	    /* values counted when it began */
	size_t line;
};

struct anchor {
	char *name;
	struct value *value;
	size_t size; /* values in it */
};

struct reader {
	yaml_parser_t parser;
	struct level levels[DATA_MAX_DEPTH];
	size_t depth;
	struct anchor *anchors;
	size_t n_anchors, cap_anchors;
	size_t values; /* with those that aliases repeat */
	struct value *root;
	size_t line; /* of the present event */
	char *why;
	size_t why_size;
};

static _printf_(3, 4) int reject(struct reader *y, int r, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(y->why, y->why_size, "line %zu: %s", y->line, text);
	return r;
}

static bool one_of(const char *s, const char *const *names)
{
	for (; *names; names++) {
		if (!strcmp(s, *names))
			return true;
	}
	return false;
}

static bool parse_digits(const char *s, unsigned int base, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned int c = (unsigned char)*s, d = 99;

		if (c >= '0' && c <= '9')
			d = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			d = (c | 0x20) - 'a' + 10;
		if (d >= base || __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, d, &v))
			return false;
	}
	*ret = v;
	return true;
}

/* Decimal, 0x, 0o, 0b, and octal with a leading zero, as YAML 1.1 and 1.2 readers both take it. */
static bool parse_int(const char *s, struct number *ret)
{
	bool minus = *s == '-';
	unsigned int base = 10;
	uint64_t v;

	s += *s == '-' || *s == '+';
	if (s[0] == '0' && s[1]) {
		base = (s[1] | 0x20) == 'x' ? 16 : (s[1] | 0x20) == 'b' ? 2 : 8;
		s += base != 8 || (s[1] | 0x20) == 'o' ? 2 : 1;
	}
	if (!parse_digits(s, base, &v) || (minus && v > (uint64_t)INT64_MAX + 1))
		return false;
	ret->kind = minus || v <= INT64_MAX ? NUMBER_INT : NUMBER_UINT;
	ret->u = minus ? -v : v;
	return true;
}

/* [-+] digits with a point somewhere, and an exponent. */
static bool parse_float(const char *s, struct number *ret)
{
	static const char *const infinite[] = {".inf", ".Inf", ".INF", NULL};
	static const char *const none[] = {".nan", ".NaN", ".NAN", NULL};
	const char *p = s + (*s == '-' || *s == '+'), *start = p;
	size_t digits;

	ret->kind = NUMBER_FLOAT;
	if (one_of(p, infinite) || one_of(s, none)) {
		ret->f = one_of(s, none) ? NAN : *s == '-' ? -INFINITY : INFINITY;
		return true;
	}
	digits = strspn(p, "0123456789");
	p += digits;
	if (*p == '.') {
		p++;
		digits += strspn(p, "0123456789");
		p += strspn(p, "0123456789");
	}
	if (!digits || p == start)
		return false;
	if ((*p | 0x20) == 'e') {
		p += 1 + (p[1] == '-' || p[1] == '+');
		digits = strspn(p, "0123456789");
		p += digits;
	}
	if (!digits || *p)
		return false;
	ret->f = strtod(s, NULL);
	return true;
}

static bool parse_number(const char *s, size_t len, struct number *ret)
{
	char text[80];
	size_t n = 0;

	if (len >= sizeof(text) || !strchr("+-.0123456789", s[0]))
		return false;
	/* 1_000 is a number too. */
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '_')
			text[n++] = s[i];
	}
	text[n] = '\0';
	return parse_int(text, ret) || parse_float(text, ret);
}

static struct value *plain_scalar(const char *s, size_t len)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const yes[] = {"true", "True", "TRUE", NULL};
	static const char *const no[] = {"false", "False", "FALSE", NULL};
	struct number n;

	if (strlen(s) != len)
		return value_string(s, len);
	if (one_of(s, nulls))
		return value_null();
	if (one_of(s, yes) || one_of(s, no))
		return value_bool(one_of(s, yes));
	return parse_number(s, len, &n) ? value_number(n) : value_string(s, len);
}

static int keep_anchor(struct reader *y, const char *name, struct value *v, size_t size)
{
	struct anchor *p;

	if (y->n_anchors == YAML_MAX_ANCHORS)
		return reject(y, -E2BIG, "more than %d anchors", YAML_MAX_ANCHORS);
	if (y->n_anchors == y->cap_anchors) {
		size_t cap = y->cap_anchors ? y->cap_anchors * 2 : 8;

		p = realloc(y->anchors, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		y->anchors = p;
		y->cap_anchors = cap;
	}
	p = &y->anchors[y->n_anchors];
	p->name = strdup(name);
	if (!p->name)
		return -ENOMEM;
	p->value = value_ref(v);
	p->size = size;
	y->n_anchors++;
	return 0;
}

/* The value of "<<": an object, or a list of them of which earlier ones win. */
static int merge(struct reader *y, struct level *l, const struct value *v)
{
	if (v->kind == VALUE_ARRAY) {
		for (size_t i = v->n_items; i > 0; i--) {
			int r = v->items[i - 1]->kind == VALUE_OBJECT
					? merge(y, l, v->items[i - 1])
					: reject(y, -EBADMSG, "map merge requires maps");

			if (r < 0)
				return r;
		}
		return 0;
	}
	if (v->kind != VALUE_OBJECT)
		return reject(y, -EBADMSG, "map merge requires a map or a list of maps");
	y->values += v->n_fields;
	if (y->values > DATA_MAX_VALUES)
		return reject(y, -E2BIG, "more than %u values", DATA_MAX_VALUES);
	value_list_share_all(&l->merged, v);
	return l->merged.failed ? -ENOMEM : 0;
}

static int take_key(struct reader *y, struct level *l, const struct value *v)
{
	char number[NUMBER_TEXT];
	const char *text = NULL;

	switch (v->kind) {
	case VALUE_STRING:
		if (strlen(v->s) != v->len)
			return reject(y, -EBADMSG, "a key holds a NUL byte");
		text = v->s;
		break;
	case VALUE_NUMBER:
		number_format(v->n, number, sizeof(number));
		text = number;
		break;
	case VALUE_BOOL:
		text = v->b ? "true" : "false";
		break;
	case VALUE_NULL:
		text = "null";
		break;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
	case VALUE_FUNCTION:
	case VALUE_CAPSULE:
		return reject(y, -EBADMSG, "a key must be a string");
	}
	l->key = strdup(text);
	return l->key ? 0 : -ENOMEM;
}

/* Takes v (NULL: no memory) to where it belongs: root, element, key or value. */
static int place(struct reader *y, struct value *v, bool plain)
{
	_cleanup_value_ struct value *owned = v;
	struct level *l = y->depth ? &y->levels[y->depth - 1] : NULL;
	int r;

	if (!v)
		return -ENOMEM;
	if (!l) {
		value_unref(y->root);
		y->root = TAKE_PTR(owned);
		return 0;
	}
	if (l->object && l->merge) {
		l->merge = false;
		return merge(y, l, v);
	}
	if (l->object && !l->key) {
		l->merge = plain && v->kind == VALUE_STRING && !strcmp(v->s, "<<");
		return l->merge ? 0 : take_key(y, l, v);
	}
	value_list_add(&l->items, l->key, TAKE_PTR(owned));
	r = l->items.failed ? -ENOMEM : 0;
	free(l->key);
	l->key = NULL;
	return r;
}

static int count_values(struct reader *y, size_t n)
{
	y->values += n;
	return y->values > DATA_MAX_VALUES
		       ? reject(y, -E2BIG, "more than %u values", DATA_MAX_VALUES)
		       : 0;
}

static int on_scalar(struct reader *y, const yaml_event_t *e)
{
	const char *s = (const char *)e->data.scalar.value;
	const char *tag = (const char *)e->data.scalar.tag;
	const char *anchor = (const char *)e->data.scalar.anchor;
	size_t len = e->data.scalar.length;
	/* A tag other than !!str asks for the type that the text has anyhow. */
	bool typed = e->data.scalar.plain_implicit ||
		     (tag && !strncmp(tag, "tag:yaml.org,2002:", 18) && strcmp(tag + 18, "str"));
	struct value *v = typed ? plain_scalar(s, len) : value_string(s, len);
	int r = count_values(y, 1);

	if (r >= 0 && v && anchor)
		r = keep_anchor(y, anchor, v, 1);
	if (r < 0) {
		value_unref(v);
		return r;
	}
	return place(y, v, e->data.scalar.plain_implicit);
}

static int on_alias(struct reader *y, const char *name)
{
	for (size_t i = y->n_anchors; i > 0; i--) {
		const struct anchor *a = &y->anchors[i - 1];
		int r;

		if (strcmp(a->name, name) != 0)
			continue;
		r = count_values(y, a->size);
		return r < 0 ? r : place(y, value_ref(a->value), false);
	}
	return reject(y, -EBADMSG, "unknown anchor '%.60s' referenced", name);
}

static int on_start(struct reader *y, bool object, const yaml_char_t *anchor)
{
	struct level *l;

	if (y->depth == DATA_MAX_DEPTH)
		return reject(y, -E2BIG, "more than %d levels deep", DATA_MAX_DEPTH);
	l = &y->levels[y->depth++];
	*l = (struct level){.object = object, .before = y->values, .line = y->line};
	if (anchor) {
		l->anchor = strdup((const char *)anchor);
		if (!l->anchor)
			return -ENOMEM;
	}
	return count_values(y, 1);
}

static void level_done(struct level *l)
{
	value_list_done(&l->items);
	value_list_done(&l->merged);
	free(l->key);
	free(l->anchor);
}

static struct value *level_object(struct reader *y, struct level *l, int *ret_r)
{
	size_t given = l->items.n;
	struct value *own = value_object(&l->items);

	*ret_r = own ? 0 : -ENOMEM;
	if (own && own->n_fields < given) {
		y->line = l->line;
		*ret_r = reject(y, -EBADMSG, "a mapping has a key twice");
		return value_unref(own);
	}
	if (!own || !l->merged.n)
		return own;
	value_list_share_all(&l->merged, own);
	value_unref(own);
	own = value_object(&l->merged);
	*ret_r = own ? 0 : -ENOMEM;
	return own;
}

static int on_end(struct reader *y)
{
	struct level *l = &y->levels[--y->depth];
	_cleanup_value_ struct value *v = NULL;
	int r = 0;

	v = l->object ? level_object(y, l, &r) : value_array(&l->items);
	if (!v && r >= 0)
		r = -ENOMEM;
	if (r >= 0 && l->anchor)
		r = keep_anchor(y, l->anchor, v, y->values - l->before);
	level_done(l);
	return r < 0 ? r : place(y, TAKE_PTR(v), false);
}

/* 1 at the end of the first document. */
static int on_event(struct reader *y, const yaml_event_t *e)
{
	y->line = e->start_mark.line + 1;
	switch (e->type) {
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT:
		return 1;
	case YAML_ALIAS_EVENT:
		return on_alias(y, (const char *)e->data.alias.anchor);
	case YAML_SCALAR_EVENT:
		return on_scalar(y, e);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(y, false, e->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return on_start(y, true, e->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(y);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
		return 0;
	}
	return 0;
}

static int read_events(struct reader *y)
{
	int r = 0;

	while (!r) {
		yaml_event_t e;

		if (!yaml_parser_parse(&y->parser, &e)) {
			y->line = y->parser.problem_mark.line + 1;
			if (y->parser.error == YAML_MEMORY_ERROR)
				return -ENOMEM;
			return reject(y, -EBADMSG, "%s",
				      y->parser.problem ? y->parser.problem : "not YAML");
		}
		r = on_event(y, &e);
		yaml_event_delete(&e);
	}
	return r < 0 ? r : 0;
}

static void reader_done(struct reader *y)
{
	for (size_t i = 0; i < y->depth; i++)
		level_done(&y->levels[i]);
	for (size_t i = 0; i < y->n_anchors; i++) {
		free(y->anchors[i].name);
		value_unref(y->anchors[i].value);
	}
	free(y->anchors);
	value_unref(y->root);
	yaml_parser_delete(&y->parser);
}

int data_from_yaml(const char *s, size_t n, struct value **ret, char *why, size_t size)
{
	_cleanup_free_ struct reader *y = calloc(1, sizeof(*y));
	int r;

	(void)snprintf(why, size, "out of memory");
	if (!y)
		return -ENOMEM;
	if (n > YAML_MAX_BYTES) {
		(void)snprintf(why, size, "more than %u bytes", YAML_MAX_BYTES);
		return -E2BIG;
	}
	if (!yaml_parser_initialize(&y->parser))
		return -ENOMEM;
	y->why = why;
	y->why_size = size;
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)s, n);
	r = read_events(y);
	if (r >= 0 && !y->root)
		y->root = value_null();
	if (r >= 0 && y->root)
		*ret = TAKE_PTR(y->root);
	else if (r >= 0)
		r = -ENOMEM;
	reader_done(y);
	return r;
}
