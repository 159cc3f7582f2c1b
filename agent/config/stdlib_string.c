/* SPDX-License-Identifier: Apache-2.0 */
/* string.*, file.*, and convert.nonsensitive(): strings in, strings out, as Go's packages do. */
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <wctype.h>

#include "agent/base/utf8.h"
#include "agent/config/stdlib_calls.h"
#include "agent/config/string_format.h"

int stdlib_nonsensitive(struct stdlib_call *c, struct value **ret)
{
	size_t len;
	bool secret;
	const char *text = value_text(c->args[0], &len, &secret);

	if (!text)
		return stdlib_mismatch(c, 0, "", "secret", c->args[0]);
	return stdlib_give(value_string(text, len), ret);
}

static bool holds_secret(const struct value *v)
{
	bool secret = false;
	size_t len;

	if (v->kind == VALUE_CAPSULE)
		return value_text(v, &len, &secret) && secret;
	for (size_t i = 0; v->kind == VALUE_ARRAY && i < v->n_items && !secret; i++)
		secret = holds_secret(v->items[i]);
	for (size_t i = 0; v->kind == VALUE_OBJECT && i < v->n_fields && !secret; i++)
		secret = holds_secret(v->fields[i].value);
	return secret;
}

int stdlib_format(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t;
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	for (size_t i = 1; i < c->n; i++) {
		if (holds_secret(c->args[i]))
			return stdlib_reject(
				c, i, "is a secret: secrets may not be converted into strings");
	}
	string_format(t.s, t.len, c->args + 1, c->n - 1, &b);
	return stdlib_give_text(c, &b, ret);
}

int stdlib_join(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	const struct value *list = c->args[0];
	struct stdlib_text sep, t;
	char path[32];
	int r = stdlib_text(c, 1, &sep);

	if (list->kind != VALUE_ARRAY && list->kind != VALUE_NULL)
		return stdlib_mismatch(c, 0, "", "array", list);
	for (size_t i = 0; r >= 0 && list->kind == VALUE_ARRAY && i < list->n_items; i++) {
		(void)snprintf(path, sizeof(path), "[%zu]", i);
		r = stdlib_text_of(c, 0, path, list->items[i], &t);
		if (r < 0)
			break;
		buf_add(&b, sep.s, i ? sep.len : 0);
		buf_add(&b, t.s, t.len);
	}
	return r < 0 ? r : stdlib_give_text(c, &b, ret);
}

/* The length of the character at s, 1 for a byte that is none. */
static size_t rune_at(const struct stdlib_text *t, size_t i)
{
	uint32_t code;

	return MAX(utf8_decode(t->s + i, t->len - i, &code), 1u);
}

/* An empty separator stands between all characters. */
int stdlib_split(struct stdlib_call *c, struct value **ret)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	struct stdlib_text t, sep;
	int r = stdlib_text(c, 0, &t);

	r = r < 0 ? r : stdlib_text(c, 1, &sep);
	if (r < 0)
		return r;
	for (size_t i = 0, n; !sep.len && i < t.len && !l.failed; i += n) {
		n = rune_at(&t, i);
		value_list_add(&l, NULL, value_string(t.s + i, n));
	}
	for (size_t i = 0; sep.len && i <= t.len && !l.failed;) {
		const char *p = memmem(t.s + i, t.len - i, sep.s, sep.len);
		size_t end = p ? (size_t)(p - t.s) : t.len;

		value_list_add(&l, NULL, value_string(t.s + i, end - i));
		i = p ? end + sep.len : t.len + 1;
	}
	if (l.failed && l.n >= VALUE_MAX_ITEMS)
		return eval_fail(c->eval, c->expr, "array has more than %u elements",
				 VALUE_MAX_ITEMS);
	return stdlib_give(value_array(&l), ret);
}

int stdlib_replace(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t, old, with;
	int r = stdlib_text(c, 0, &t);

	r = r < 0 ? r : stdlib_text(c, 1, &old);
	r = r < 0 ? r : stdlib_text(c, 2, &with);
	if (r < 0)
		return r;
	for (size_t i = 0, n; i <= t.len && !b.failed; i += n) {
		const char *p = old.len ? memmem(t.s + i, t.len - i, old.s, old.len) : NULL;

		/* Nothing is found before each character and at the end. */
		if (!old.len) {
			n = i < t.len ? rune_at(&t, i) : 1;
			buf_add(&b, with.s, with.len);
			buf_add(&b, t.s + i, i < t.len ? n : 0);
			continue;
		}
		n = p ? (size_t)(p - t.s) - i : t.len - i;
		buf_add(&b, t.s + i, n);
		buf_add(&b, with.s, p ? with.len : 0);
		n += p ? old.len : 1;
	}
	return stdlib_give_text(c, &b, ret);
}

static int map_case(struct stdlib_call *c, wint_t (*map)(wint_t, locale_t), struct value **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(VALUE_MAX_STRING);
	struct stdlib_text t;
	locale_t locale;
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	/* Letters of all scripts; only ASCII where the C library has no such locale. */
	locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!locale)
		locale = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	if (!locale)
		return -ENOMEM;
	for (size_t i = 0, n; i < t.len && !b.failed; i += n) {
		uint32_t code;
		char text[4];

		n = utf8_decode(t.s + i, t.len - i, &code);
		code = n ? (uint32_t)map((wint_t)code, locale) : 0xfffd;
		n = MAX(n, 1u);
		buf_add(&b, text, utf8_encode(code, text));
	}
	freelocale(locale);
	return stdlib_give_text(c, &b, ret);
}

int stdlib_to_lower(struct stdlib_call *c, struct value **ret)
{
	return map_case(c, towlower_l, ret);
}

int stdlib_to_upper(struct stdlib_call *c, struct value **ret)
{
	return map_case(c, towupper_l, ret);
}

/* Whether the n bytes at s are a character of the set. */
static bool in_set(const struct stdlib_text *set, const char *s, size_t n)
{
	for (size_t i = 0; i < set->len; i += rune_at(set, i)) {
		if (rune_at(set, i) == n && !memcmp(set->s + i, s, n))
			return true;
	}
	return false;
}

/* Where the last character of t begins. */
static size_t last_rune(const struct stdlib_text *t)
{
	for (size_t i = t->len - 1; i + 4 > t->len; i--) {
		if (((unsigned char)t->s[i] & 0xc0) != 0x80)
			return rune_at(t, i) == t->len - i ? i : t->len - 1;
		if (!i)
			break;
	}
	return t->len - 1;
}

static int trim(struct stdlib_call *c, const struct stdlib_text *set, struct value **ret)
{
	struct stdlib_text t;
	int r = stdlib_text(c, 0, &t);

	if (r < 0)
		return r;
	while (t.len && in_set(set, t.s, rune_at(&t, 0))) {
		size_t n = rune_at(&t, 0);

		t.s += n;
		t.len -= n;
	}
	while (t.len) {
		size_t last = last_rune(&t);

		if (!in_set(set, t.s + last, t.len - last))
			break;
		t.len = last;
	}
	return stdlib_give(value_string(t.s, t.len), ret);
}

int stdlib_trim(struct stdlib_call *c, struct value **ret)
{
	struct stdlib_text set;
	int r = stdlib_text(c, 1, &set);

	return r < 0 ? r : trim(c, &set, ret);
}

/* What Unicode calls white space. */
int stdlib_trim_space(struct stdlib_call *c, struct value **ret)
{
	static const char blanks[] =
		" \t\n\v\f\r\xc2\x85\xc2\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
		"\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
	const struct stdlib_text set = {.s = blanks, .len = sizeof(blanks) - 1};

	return trim(c, &set, ret);
}

static int trim_end(struct stdlib_call *c, bool front, struct value **ret)
{
	struct stdlib_text t, part;
	int r = stdlib_text(c, 0, &t);

	r = r < 0 ? r : stdlib_text(c, 1, &part);
	if (r < 0)
		return r;
	if (part.len <= t.len && !memcmp(front ? t.s : t.s + t.len - part.len, part.s, part.len)) {
		t.len -= part.len;
		t.s += front ? part.len : 0;
	}
	return stdlib_give(value_string(t.s, t.len), ret);
}

int stdlib_trim_prefix(struct stdlib_call *c, struct value **ret)
{
	return trim_end(c, true, ret);
}

int stdlib_trim_suffix(struct stdlib_call *c, struct value **ret)
{
	return trim_end(c, false, ret);
}

/* Goes back over the last element of the path in b; false when there is none to go back over. */
static bool go_back(struct buf *b, bool rooted)
{
	size_t end = b->len;

	while (end && b->data[end - 1] != '/')
		end--;
	if (b->len <= (rooted ? 1u : 0u) || (b->len - end == 2 && !memcmp(b->data + end, "..", 2)))
		return rooted;
	b->len = end > (rooted ? 1u : 0u) ? end - 1 : end;
	return true;
}

/* The elements that are not empty, with one slash between them and without "." and "..". */
int stdlib_path_join(struct stdlib_call *c, struct value **ret)
{
	_cleanup_buf_ struct buf all = BUF_INIT(VALUE_MAX_STRING), b = BUF_INIT(VALUE_MAX_STRING);
	bool rooted;
	const char *s;

	for (size_t i = 0; i < c->n; i++) {
		struct stdlib_text t;
		int r = stdlib_text(c, i, &t);

		if (r < 0)
			return r;
		buf_add(&all, "/", t.len && all.len ? 1 : 0);
		buf_add(&all, t.s, t.len);
	}
	if (all.failed)
		return stdlib_give_text(c, &all, ret);
	s = buf_cstr(&all);
	rooted = *s == '/';
	buf_add(&b, "/", rooted);
	while (*s) {
		size_t n = strcspn(s, "/");

		if (n == 2 && !memcmp(s, "..", 2) && go_back(&b, rooted)) {
			s += n;
		} else if (n && !(n == 1 && *s == '.')) {
			buf_add(&b, "/", b.len > (rooted ? 1u : 0u) ? 1 : 0);
			buf_add(&b, s, n);
			s += n;
		} else {
			s += n;
		}
		s += *s == '/';
	}
	if (!b.len && all.len)
		buf_adds(&b, ".");
	return stdlib_give_text(c, &b, ret);
}
