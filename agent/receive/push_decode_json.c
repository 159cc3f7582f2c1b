/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/config/data.h"
#include "agent/receive/push_decode.h"

static int bad(char *why, size_t size, const char *what)
{
	(void)snprintf(why, size, "%s", what);
	return -EBADMSG;
}

/* The field of an object by either of its names; NULL: not there, or null. */
static const struct value *field(const struct value *object, const char *name, const char *other)
{
	const struct value *v = value_get(object, name);

	if (!v && other)
		v = value_get(object, other);
	return v && v->kind != VALUE_NULL ? v : NULL;
}

/* The elements of a repeated field; not there: none. */
static int elements(const struct value *object, const char *name, const struct value **ret)
{
	static const struct value none = {.kind = VALUE_ARRAY};

	if (object->kind != VALUE_OBJECT)
		return -EBADMSG;
	*ret = field(object, name, NULL);
	if (!*ret)
		*ret = &none;
	return (*ret)->kind == VALUE_ARRAY ? 0 : -EBADMSG;
}

static const char *text(const struct value *object, const char *name)
{
	const struct value *v = field(object, name, NULL);

	if (!v)
		return "";
	return v->kind == VALUE_STRING && strlen(v->s) == v->len ? v->s : NULL;
}

static int take_labels(const struct value *series, struct label_set *labels, char *why, size_t size)
{
	const struct value *list;

	if (elements(series, "labels", &list) < 0)
		return bad(why, size, "labels must be an array");
	if (list->n_items > PUSH_DECODE_LABELS) {
		(void)snprintf(why, size, "too many labels in one request");
		return -E2BIG;
	}
	for (size_t i = 0; i < list->n_items; i++) {
		const char *name, *value;

		if (list->items[i]->kind != VALUE_OBJECT)
			return bad(why, size, "a label must be an object");
		name = text(list->items[i], "name");
		value = text(list->items[i], "value");
		if (!name || !*name || !value)
			return bad(why, size, "a label needs a name and a value without NUL bytes");
		label_set_put(labels, name, value);
	}
	return labels->failed ? -ENOMEM : 0;
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Base64 in the standard or the URL alphabet, padded or not. */
static bool from_base64(const char *s, size_t n, struct buf *to)
{
	uint32_t bits = 0, have = 0;
	uint8_t *out;
	size_t len = 0;

	while (n && s[n - 1] == '=')
		n--;
	out = buf_grow(to, n * 3 / 4);
	if (!out)
		return !n;
	for (size_t i = 0; i < n; i++) {
		int v = digit(s[i]);

		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[len++] = (uint8_t)(bits >> have);
		}
	}
	return n % 4 != 1;
}

struct run {
	push_decode_fn fn; /* NULL: only look whether all is right */
	void *data;
	size_t samples, bytes;
	struct buf profile;
	char *why;
	size_t size;
};

static int take_sample(struct run *d, const struct value *sample, const struct label_set *labels)
{
	const struct value *raw;

	if (sample->kind != VALUE_OBJECT)
		return bad(d->why, d->size, "a sample must be an object");
	raw = field(sample, "rawProfile", "raw_profile");
	if (raw && raw->kind != VALUE_STRING)
		return bad(d->why, d->size, "rawProfile must be a string of base64");
	buf_reset(&d->profile);
	if (raw && !from_base64(raw->s, raw->len, &d->profile))
		return d->profile.failed ? d->profile.failed
					 : bad(d->why, d->size, "rawProfile is no valid base64");
	d->bytes += d->profile.len;
	if (++d->samples > PUSH_DECODE_SAMPLES || d->bytes > PUSH_DECODE_PROFILES) {
		(void)snprintf(d->why, d->size, "too many profiles in one request");
		return -E2BIG;
	}
	return d->fn ? d->fn(labels, (const uint8_t *)buf_cstr(&d->profile), d->profile.len,
			     d->data)
		     : 0;
}

static int decode(struct run *d, const struct value *request)
{
	const struct value *all, *samples;

	d->samples = d->bytes = 0;
	if (elements(request, "series", &all) < 0)
		return bad(d->why, d->size, "series must be an array");
	for (size_t i = 0; i < all->n_items; i++) {
		_cleanup_labels_ struct label_set labels = {0};
		int r;

		if (elements(all->items[i], "samples", &samples) < 0)
			return bad(d->why, d->size, "samples must be an array");
		r = take_labels(all->items[i], &labels, d->why, d->size);
		for (size_t k = 0; k < samples->n_items && r >= 0; k++)
			r = take_sample(d, samples->items[k], &labels);
		if (r < 0)
			return r;
	}
	return 0;
}

int push_decode_json(const void *body, size_t n, push_decode_fn fn, void *data, char *why,
		     size_t size)
{
	struct run d = {
		.data = data, .profile = BUF_INIT(PUSH_DECODE_PROFILES), .why = why, .size = size};
	_cleanup_value_ struct value *request = NULL;
	int r = data_from_json(body, n, &request, why, size);

	if (r < 0)
		return r;
	r = decode(&d, request);
	d.fn = fn;
	if (r >= 0)
		r = decode(&d, request);
	buf_done(&d.profile);
	return r;
}
