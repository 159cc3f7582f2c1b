/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_encode.h"

#include <errno.h>
#include <string.h>

#include "agent/http/escape.h"

/* The length of the UTF-8 sequence at s, or 0 when it is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (!n || s[0] > 0xf4 || left < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* Into a buffer of size `size`; true when something had to be cut. */
static bool clean_value(const char *value, char *to, size_t size)
{
	const unsigned char *s = (const unsigned char *)value;
	size_t left = strlen(value), n = 0;

	while (left) {
		size_t k = utf8_length(s, left), step = k ? k : 1;

		/* U+FFFD stands for what is no UTF-8. */
		if (n + (k ? k : 3) >= size)
			break;
		memcpy(to + n, k ? (const char *)s : "\xef\xbf\xbd", k ? k : 3);
		n += k ? k : 3;
		s += step;
		left -= step;
	}
	to[n] = '\0';
	return left > 0;
}

static void clean_name(const char *name, char *to, size_t size)
{
	size_t n = 0;

	for (; *name && n + 1 < size; name++) {
		char c = *name;
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '_' || c == '.';

		to[n++] = ok ? c : '_';
	}
	to[n] = '\0';
}

static bool is_private(const char *name)
{
	return !strncmp(name, "__", 2) && strcmp(name, "__name__") != 0 &&
	       strcmp(name, "__delta__") != 0;
}

static void put(struct label_set *set, const char *name, const char *value,
		struct push_label_losses *losses)
{
	char clean[PUSH_MAX_LABEL_NAME + 1], text[PUSH_MAX_LABEL_VALUE + 1];

	if (!*name || !*value)
		return;
	clean_name(name, clean, sizeof(clean));
	losses->cut += clean_value(value, text, sizeof(text));
	label_set_put(set, clean, text);
}

static void put_all(struct label_set *set, const struct label *v, size_t n,
		    struct push_label_losses *losses)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_private(v[i].name))
			put(set, v[i].name, v[i].value, losses);
	}
}

/* The last ones by name go first; what identifies the profile stays. */
static void drop_excess(struct label_set *set, struct push_label_losses *losses)
{
	for (size_t i = set->n; i > 0 && set->n > PUSH_MAX_LABELS; i--) {
		const char *name = set->v[i - 1].name;

		if (strcmp(name, "__name__") != 0 && strcmp(name, "service_name") != 0) {
			label_set_remove(set, name);
			losses->dropped++;
		}
	}
}

int push_labels(const struct label *in, size_t n, const struct label_set *external,
		struct label_set *ret, struct push_label_losses *ret_losses)
{
	_cleanup_labels_ struct label_set set = {0};
	struct push_label_losses losses = {0};

	put_all(&set, in, n, &losses);
	put_all(&set, external->v, external->n, &losses);
	drop_excess(&set, &losses);
	if (set.failed)
		return -ENOMEM;
	if (!label_set_get(&set, "__name__"))
		return -EINVAL;
	*ret = set;
	set = (struct label_set){0};
	*ret_losses = losses;
	return 0;
}

static size_t varint_size(uint64_t v)
{
	size_t n = 1;

	while (v >>= 7)
		n++;
	return n;
}

static void put_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_u8(b, (uint8_t)(v | 0x80));
	buf_add_u8(b, (uint8_t)v);
}

/* A length-delimited field has wire type 2; all of ours are. */
static void put_header(struct buf *b, uint32_t field, size_t len)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, len);
}

static size_t field_size(size_t len)
{
	return 1 + varint_size(len) + len; /* field numbers are below 16 */
}

static size_t pair_size(const struct label *l)
{
	return field_size(strlen(l->name)) + field_size(strlen(l->value));
}

void push_encode(const struct label_set *labels, const uint8_t *pprof, size_t bytes, struct buf *b)
{
	size_t sample = field_size(bytes), series = field_size(sample);

	for (size_t i = 0; i < labels->n; i++)
		series += field_size(pair_size(&labels->v[i]));
	put_header(b, 1, series); /* PushRequest.series */
	for (size_t i = 0; i < labels->n; i++) {
		const struct label *l = &labels->v[i];

		put_header(b, 1, pair_size(l)); /* RawProfileSeries.labels */
		put_header(b, 1, strlen(l->name));
		buf_adds(b, l->name);
		put_header(b, 2, strlen(l->value));
		buf_adds(b, l->value);
	}
	put_header(b, 2, sample); /* RawProfileSeries.samples */
	put_header(b, 1, bytes);  /* RawSample.raw_profile */
	buf_add(b, pprof, bytes);
}

/* ---- /ingest ------------------------------------------------------------------------------ */

/* The server's text form knows no quotes. */
static void add_value(struct buf *b, const char *s)
{
	_cleanup_free_ char *copy = strdup(s);

	for (char *c = copy; copy && (c = strpbrk(c, ",{}"));)
		*c = '_';
	http_escape(b, copy ? copy : "");
}

/* Whether the pair's key, decoded as a server does, is `name`. */
static bool has_key(const char *s, size_t n, const char *name)
{
	const char *equals = memchr(s, '=', n);
	size_t len = equals ? (size_t)(equals - s) : n;
	char key[64];

	if (len >= sizeof(key))
		return false; /* at most three bytes for each of the few that name has */
	http_unescape(s, len, true, key);
	return !strcmp(key, name);
}

char *push_ingest_query(const struct label_set *labels, const char *query)
{
	_cleanup_buf_ struct buf b = BUF_INIT(PUSH_MAX_QUERY);
	const char *name = label_set_get(labels, "__name__");
	bool any = false;

	buf_adds(&b, "name=");
	add_value(&b, name ? name : "");
	http_escape(&b, "{");
	for (size_t i = 0; i < labels->n; i++) {
		if (!strcmp(labels->v[i].name, "__name__"))
			continue;
		http_escape(&b, any ? "," : "");
		add_value(&b, labels->v[i].name);
		http_escape(&b, "=");
		add_value(&b, labels->v[i].value);
		any = true;
	}
	http_escape(&b, "}");
	while (*query) {
		size_t n = strcspn(query, "&");

		if (n && !has_key(query, n, "name")) {
			buf_adds(&b, "&");
			buf_add(&b, query, n);
		}
		query += n + (query[n] == '&');
	}
	return b.failed ? NULL : strdup(buf_cstr(&b));
}
