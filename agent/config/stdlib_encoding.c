/* SPDX-License-Identifier: Apache-2.0 */
/* encoding.*, and json_path(). */
#include <errno.h>
#include <string.h>

#include "agent/config/data.h"
#include "agent/config/json_path.h"
#include "agent/config/stdlib_calls.h"

static const char std_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int to_base64(struct stdlib_call *c, const char *alphabet, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t;
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	for (size_t i = 0; i < t.len && !b.failed; i += 3) {
		size_t n = MIN(t.len - i, 3u);
		uint32_t v = (uint32_t)(uint8_t)t.s[i] << 16;
		char out[4];

		v |= n > 1 ? (uint32_t)(uint8_t)t.s[i + 1] << 8 : 0;
		v |= n > 2 ? (uint8_t)t.s[i + 2] : 0;
		for (size_t k = 0; k < 4; k++)
			out[k] = (char)(k > n ? '=' : alphabet[v >> (18 - 6 * k) & 63]);
		buf_add(&b, out, 4);
	}
	return stdlib_give_text(c, &b, ret);
}

int stdlib_to_base64(struct stdlib_call *c, struct value **ret)
{
	return to_base64(c, std_alphabet, ret);
}

int stdlib_to_base64_url(struct stdlib_call *c, struct value **ret)
{
	return to_base64(c, url_alphabet, ret);
}

/* Line ends are skipped, padding is required; *ret_at is the first byte that is wrong. */
static bool decode_base64(const char *s, size_t n, const char *alphabet, struct buf *b,
			  size_t *ret_at)
{
	uint32_t v = 0, digits = 0, padding = 0;

	for (size_t i = 0; i < n; i++) {
		const char *p = s[i] ? strchr(alphabet, s[i]) : NULL;

		*ret_at = i;
		if (s[i] == '\n' || s[i] == '\r')
			continue;
		if (s[i] == '=' && digits >= 2 && digits + padding < 4) {
			padding++;
			continue;
		}
		if (!p || padding)
			return false;
		v = v << 6 | (uint32_t)(p - alphabet);
		if (++digits < 4)
			continue;
		buf_add(b, (uint8_t[]){(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 3);
		v = digits = 0;
	}
	*ret_at = n;
	if (digits && digits + padding != 4)
		return false;
	v <<= 6 * padding;
	if (digits)
		buf_add(b, (uint8_t[]){(uint8_t)(v >> 16), (uint8_t)(v >> 8)}, digits - 1);
	return true;
}

static int from_base64(struct stdlib_call *c, const char *alphabet, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t;
	size_t where = 0;
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	if (!decode_base64(t.s, t.len, alphabet, &b, &where))
		return stdlib_reject(c, 0, "illegal base64 data at input byte %zu", where);
	return stdlib_give_text(c, &b, ret);
}

int stdlib_from_base64(struct stdlib_call *c, struct value **ret)
{
	return from_base64(c, std_alphabet, ret);
}

int stdlib_from_base64_url(struct stdlib_call *c, struct value **ret)
{
	return from_base64(c, url_alphabet, ret);
}

int stdlib_url_encode(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t;
	int r = stdlib_text(c, 0, &t);

	for (size_t i = 0; r >= 0 && i < t.len && !b.failed; i++) {
		unsigned char ch = (unsigned char)t.s[i];

		if (((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || (ch >= '0' && ch <= '9') ||
		    (ch && strchr("-_.~", ch)))
			buf_add_u8(&b, ch);
		else if (ch == ' ')
			buf_add_u8(&b, '+');
		else
			buf_printf(&b, "%%%02X", ch);
	}
	return r < 0 ? r : stdlib_give_text(c, &b, ret);
}

static int hex(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int stdlib_url_decode(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t;
	int r = stdlib_text(c, 0, &t);

	for (size_t i = 0; r >= 0 && i < t.len && !b.failed; i++) {
		int high = i + 2 < t.len ? hex((unsigned char)t.s[i + 1]) : -1;
		int low = i + 2 < t.len ? hex((unsigned char)t.s[i + 2]) : -1;

		if (t.s[i] == '%' && (high < 0 || low < 0))
			return stdlib_reject(c, 0, "invalid URL escape \"%.*s\"",
					     (int)MIN(t.len - i, 3u), t.s + i);
		if (t.s[i] == '%') {
			buf_add_u8(&b, (uint8_t)(high << 4 | low));
			i += 2;
		} else {
			buf_add_u8(&b, t.s[i] == '+' ? ' ' : (uint8_t)t.s[i]);
		}
	}
	return r < 0 ? r : stdlib_give_text(c, &b, ret);
}

static int from_data(struct stdlib_call *c,
		     int (*parse)(const char *s, size_t n, struct value **ret, char *why,
				  size_t size),
		     struct value **ret)
{
	struct stdlib_text t;
	char why[200];
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	r = parse(t.s, t.len, ret, why, sizeof(why));
	return r < 0 && r != -ENOMEM ? stdlib_reject(c, 0, "cannot be parsed: %s", why) : r;
}

int stdlib_from_json(struct stdlib_call *c, struct value **ret)
{
	return from_data(c, data_from_json, ret);
}

int stdlib_from_yaml(struct stdlib_call *c, struct value **ret)
{
	return from_data(c, data_from_yaml, ret);
}

/* What JSON has no form for: functions, and capsules unless they are plain text. */
static const struct value *not_json(const struct value *v)
{
	const struct value *bad = NULL;
	size_t len;
	bool secret;

	switch (v->kind) {
	case VALUE_NULL:
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BOOL:
		return NULL;
	case VALUE_ARRAY:
		for (size_t i = 0; i < v->n_items && !bad; i++)
			bad = not_json(v->items[i]);
		return bad;
	case VALUE_OBJECT:
		for (size_t i = 0; i < v->n_fields && !bad; i++)
			bad = not_json(v->fields[i].value);
		return bad;
	case VALUE_FUNCTION:
		return v;
	case VALUE_CAPSULE:
		return value_text(v, &len, &secret) && !secret ? NULL : v;
	}
	return v;
}

int stdlib_to_json(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	const struct value *bad;

	if (c->args[0]->kind != VALUE_OBJECT)
		return stdlib_mismatch(c, 0, "", "object", c->args[0]);
	bad = not_json(c->args[0]);
	if (bad)
		return stdlib_reject(c, 0, "holds a %s, which cannot be written as JSON",
				     bad->kind == VALUE_CAPSULE ? bad->type->name
								: value_kind_name(bad));
	data_to_json(c->args[0], &b);
	return stdlib_give_text(c, &b, ret);
}

int stdlib_json_path(struct stdlib_call *c, struct value **ret)
{
	_cleanup_value_ struct value *v = NULL;
	struct stdlib_text json, path;
	char why[300];
	int r = stdlib_text(c, 0, &json);

	r = r < 0 ? r : stdlib_text(c, 1, &path);
	if (r < 0)
		return r;
	r = data_from_json(json.s, json.len, &v, why, sizeof(why));
	if (r < 0)
		return r == -ENOMEM ? r : stdlib_reject(c, 0, "cannot be parsed: %s", why);
	r = json_path(v, path.s, path.len, ret, why, sizeof(why));
	return r < 0 && r != -ENOMEM ? stdlib_reject(c, 1, "is no JSONPath: %s", why) : r;
}
