/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receive/push_decode.h"

#include <errno.h>
#include <string.h>

#include "agent/export/proto.h"

struct decoder {
	push_decode_fn fn; /* NULL: only look whether all is right */
	void *data;
	size_t samples;
	char *why;
	size_t size;
};

static int bad(const struct decoder *d, const char *what)
{
	(void)snprintf(d->why, d->size, "%s", what);
	return -EBADMSG;
}

static int too_many(const struct decoder *d, const char *what)
{
	(void)snprintf(d->why, d->size, "too many %s in one request", what);
	return -E2BIG;
}

/* A copy of the text; NULL: out of memory, or it holds a NUL (*ret_nul). */
static char *copy_text(const struct cursor *c, bool *ret_nul)
{
	size_t n = cursor_left(c);
	char *s;

	*ret_nul = n && memchr(c->p, 0, n);
	if (*ret_nul)
		return NULL;
	s = malloc(n + 1);
	if (s) {
		if (n)
			memcpy(s, c->p, n);
		s[n] = '\0';
	}
	return s;
}

/* types.v1.LabelPair */
static int take_label(const struct decoder *d, struct cursor c, struct label_set *labels)
{
	_cleanup_free_ char *name = NULL, *value = NULL;
	struct cursor texts[2] = {0};
	struct proto_field f;
	bool nul = false, nul_value = false;

	while (proto_next(&c, &f)) {
		if (f.number < 1 || f.number > 2)
			continue;
		if (f.wire != PROTO_BYTES)
			return bad(d, "malformed label");
		texts[f.number - 1] = f.bytes;
	}
	if (c.bad)
		return bad(d, "malformed label");
	name = copy_text(&texts[0], &nul);
	value = copy_text(&texts[1], &nul_value);
	if (nul || nul_value)
		return bad(d, "a label contains a NUL byte");
	if (!name || !value)
		return -ENOMEM;
	if (!*name)
		return bad(d, "a label has no name");
	label_set_put(labels, name, value);
	return labels->failed ? -ENOMEM : 0;
}

/* push.v1.RawSample */
static int take_sample(struct decoder *d, struct cursor c, const struct label_set *labels)
{
	struct cursor profile = {0};
	struct proto_field f;

	if (++d->samples > PUSH_DECODE_SAMPLES)
		return too_many(d, "profiles");
	while (proto_next(&c, &f)) {
		if (f.number != 1)
			continue;
		if (f.wire != PROTO_BYTES)
			return bad(d, "malformed sample");
		profile = f.bytes;
	}
	if (c.bad)
		return bad(d, "malformed sample");
	return d->fn ? d->fn(labels, profile.p ? profile.p : (const uint8_t *)"",
			     cursor_left(&profile), d->data)
		     : 0;
}

/* push.v1.RawProfileSeries: labels may stand behind the samples. */
static int take_series(struct decoder *d, const struct cursor *series)
{
	_cleanup_labels_ struct label_set labels = {0};
	struct cursor c = *series;
	struct proto_field f;
	int r = 0;

	while (proto_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.wire != PROTO_BYTES)
			return bad(d, "malformed series");
		if (f.number == 1)
			r = take_label(d, f.bytes, &labels);
		if (r < 0)
			return r;
		if (labels.n > PUSH_DECODE_LABELS)
			return too_many(d, "labels");
	}
	if (c.bad)
		return bad(d, "malformed series");
	c = *series;
	while (r >= 0 && proto_next(&c, &f)) {
		if (f.number == 2)
			r = take_sample(d, f.bytes, &labels);
	}
	return r;
}

static int decode(struct decoder *d, const void *body, size_t n)
{
	struct cursor c = cursor_of(body, n);
	struct proto_field f;

	d->samples = 0;
	while (proto_next(&c, &f)) {
		int r;

		if (f.number != 1)
			continue;
		if (f.wire != PROTO_BYTES)
			return bad(d, "malformed request");
		r = take_series(d, &f.bytes);
		if (r < 0)
			return r;
	}
	return c.bad ? bad(d, "malformed request: this is no push.v1.PushRequest") : 0;
}

int push_decode_proto(const void *body, size_t n, push_decode_fn fn, void *data, char *why,
		      size_t size)
{
	struct decoder d = {.data = data, .why = why, .size = size};
	int r = decode(&d, body, n);

	d.fn = fn;
	return r < 0 ? r : decode(&d, body, n);
}
