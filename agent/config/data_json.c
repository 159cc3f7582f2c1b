/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "agent/base/utf8.h"
#include "agent/config/data.h"

static int too_big(char *why, size_t size, const char *what, unsigned int limit)
{
	(void)snprintf(why, size, "more than %u %s", limit, what);
	return -E2BIG;
}

/*
 * The library takes memory for each value before we see any: a look at the punctuation says first
 * how many there can be at most. Strings are skipped, so that theirs does not count.
 */
static int check_size(const char *s, size_t n, char *why, size_t size)
{
	uint32_t depth = 0, values = 1;
	bool quoted = false;

	if (n > DATA_MAX_BYTES)
		return too_big(why, size, "bytes", DATA_MAX_BYTES);
	for (size_t i = 0; i < n; i++) {
		if (quoted) {
			/* What a backslash escapes does not end the string. */
			if (s[i] == '\\')
				i++;
			else
				quoted = s[i] != '"';
			continue;
		}
		switch (s[i]) {
		case '"':
			quoted = true;
			break;
		case '{':
		case '[':
			values++;
			if (++depth > DATA_MAX_DEPTH)
				return too_big(why, size, "levels deep", DATA_MAX_DEPTH);
			break;
		case '}':
		case ']':
			depth -= depth ? 1 : 0;
			break;
		case ',':
			values++;
			break;
		}
		if (values > DATA_MAX_VALUES)
			return too_big(why, size, "values", DATA_MAX_VALUES);
	}
	return 0;
}

static struct value *from_json(json_t *j)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	const char *key;
	json_t *item;
	size_t i;

	switch (json_typeof(j)) {
	case JSON_NULL:
		return value_null();
	case JSON_TRUE:
	case JSON_FALSE:
		return value_bool(json_is_true(j));
	case JSON_INTEGER:
		return value_int(json_integer_value(j));
	case JSON_REAL:
		return value_number((struct number){.kind = NUMBER_FLOAT, .f = json_real_value(j)});
	case JSON_STRING:
		return value_string(json_string_value(j), json_string_length(j));
	case JSON_ARRAY:
		json_array_foreach(j, i, item) value_list_add(&l, NULL, from_json(item));
		return value_array(&l);
	case JSON_OBJECT:
		json_object_foreach(j, key, item) value_list_add(&l, key, from_json(item));
		return value_object(&l);
	}
	return NULL;
}

int data_from_json(const char *s, size_t n, struct value **ret, char *why, size_t size)
{
	json_error_t error;
	struct value *v;
	json_t *j;
	int r = check_size(s, n, why, size);

	if (r < 0)
		return r;
	j = json_loadb(s, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
	if (!j) {
		(void)snprintf(why, size, "line %d, column %d: %s", error.line, error.column,
			       error.text);
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	}
	v = from_json(j);
	json_decref(j);
	if (!v) {
		(void)snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	*ret = v;
	return 0;
}

/* As Go's json.Marshal() escapes, with <, > and & so that it may stand in HTML. */
/* How many bytes from s on stand for themselves: most texts have no others. */
static size_t ordinary(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && s[n] >= ' ' && s[n] < 0x7f && s[n] != '"' && s[n] != '\\' &&
	       s[n] != '<' && s[n] != '>' && s[n] != '&')
		n++;
	return n;
}

static void add_string(struct buf *b, const char *s, size_t len)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	uint32_t code;
	size_t n;

	buf_add_u8(b, '"');
	for (size_t i = 0; i < len && !b->failed; i += MAX(n, 1u)) {
		unsigned char c = (unsigned char)s[i];
		const char *p = c ? strchr(plain, c) : NULL;

		n = ordinary(s + i, len - i);
		if (n) {
			buf_add(b, s + i, n);
			continue;
		}
		n = utf8_decode(s + i, len - i, &code);
		if (!n)
			buf_adds(b, "\\ufffd");
		else if (p)
			buf_printf(b, "\\%c", letters[p - plain]);
		else if (c < ' ' || c == '<' || c == '>' || c == '&')
			buf_printf(b, "\\u%04x", c);
		else if (code == 0x2028 || code == 0x2029)
			buf_printf(b, "\\u%04x", code);
		else
			buf_add(b, s + i, n);
	}
	buf_add_u8(b, '"');
}

/* An exponent only where Go's encoder has one: below 1e-6 and from 1e21 on. */
static void add_number(struct buf *b, struct number n)
{
	double size = fabs(number_float(n));
	char text[NUMBER_TEXT], *e;
	int exponent;

	if (n.kind != NUMBER_FLOAT || size == 0 || (size >= 1e-6 && size < 1e21)) {
		number_format(n, text, sizeof(text));
		buf_adds(b, text);
		return;
	}
	if (!isfinite(n.f)) {
		buf_adds(b, "null");
		return;
	}
	(void)number_digits(n.f, text, sizeof(text), &exponent);
	e = strchr(text, 'e');
	if (e[2] == '0')
		memmove(e + 2, e + 3, strlen(e + 3) + 1);
	buf_adds(b, text);
}

static void add_capsule(struct buf *b, const struct value *v)
{
	size_t len;
	bool secret;
	const char *text = value_text(v, &len, &secret);

	if (text && !secret)
		add_string(b, text, len);
	else if (text)
		buf_adds(b, "\"(secret)\"");
	else
		buf_printf(b, "\"capsule(\\\"%s\\\")\"", v->type->name);
}

void data_to_json(const struct value *v, struct buf *b)
{
	switch (v->kind) {
	case VALUE_NULL:
		buf_adds(b, "null");
		return;
	case VALUE_NUMBER:
		add_number(b, v->n);
		return;
	case VALUE_STRING:
		add_string(b, v->s, v->len);
		return;
	case VALUE_BOOL:
		buf_adds(b, v->b ? "true" : "false");
		return;
	case VALUE_ARRAY:
		buf_add_u8(b, '[');
		for (size_t i = 0; i < v->n_items && !b->failed; i++) {
			buf_adds(b, i ? "," : "");
			data_to_json(v->items[i], b);
		}
		buf_add_u8(b, ']');
		return;
	case VALUE_OBJECT:
		buf_add_u8(b, '{');
		for (size_t i = 0; i < v->n_fields && !b->failed; i++) {
			buf_adds(b, i ? "," : "");
			add_string(b, v->fields[i].key, strlen(v->fields[i].key));
			buf_add_u8(b, ':');
			data_to_json(v->fields[i].value, b);
		}
		buf_add_u8(b, '}');
		return;
	case VALUE_FUNCTION:
		buf_adds(b, "\"function\"");
		return;
	case VALUE_CAPSULE:
		add_capsule(b, v);
		return;
	}
}
