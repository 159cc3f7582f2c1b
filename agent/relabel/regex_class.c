/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes and escapes of Go's regular expressions. */
#include <errno.h>
#include <string.h>

#include "agent/relabel/regex_parse.h"
#include "agent/relabel/unicode.h"

#define BAD_RANGE "invalid character class range"

/* ASCII classes; the ranges are pairs of characters. */
struct named {
	const char *name, *ranges;
};

static const struct named perl[] = {
	{"d", "09"},
	{"s", "\t\n\f\r  "},
	{"w", "09AZ__az"},
};

static const struct named posix[] = {
	{"alnum", "09AZaz"},
	{"alpha", "AZaz"},
	{"ascii", "\x01\x7f"},
	{"blank", "\t\t  "},
	{"cntrl", "\x01\x1f\x7f\x7f"},
	{"digit", "09"},
	{"graph", "!~"},
	{"lower", "az"},
	{"print", " ~"},
	{"punct", "!/:@[`{~"},
	{"space", "\t\r  "},
	{"upper", "AZ"},
	{"word", "09AZ__az"},
	{"xdigit", "09AFaf"},
};

static void add_named(struct regex_parser *p, const struct named *k, bool negated,
		      struct runes *set)
{
	struct runes own = {0};
	bool from_nul = !strcmp(k->name, "ascii") || !strcmp(k->name, "cntrl");

	if (from_nul)
		runes_add(&own, 0, 0);
	for (const char *c = k->ranges; *c; c += 2) {
		if (p->flags & REGEX_FOLD)
			runes_add_folded(&own, (unsigned char)c[0], (unsigned char)c[1]);
		else
			runes_add(&own, (unsigned char)c[0], (unsigned char)c[1]);
	}
	runes_clean(&own);
	runes_add_set(set, &own, negated);
	runes_done(&own);
}

static void add_range(uint32_t lo, uint32_t hi, void *data)
{
	runes_add(data, lo, hi);
}

static void add_range_folded(uint32_t lo, uint32_t hi, void *data)
{
	runes_add_folded(data, lo, hi);
}

/* \p{Greek}, \pN, \P{^Greek} */
static int unicode_escape(struct regex_parser *p, struct runes *set)
{
	const char *start = p->s, *name = p->s + 2, *name_end, *brace;
	const char *all_end = p->end;
	bool negated = p->s[1] == 'P';
	struct runes own = {0};
	uint32_t c;
	int r;

	p->s += 2;
	r = regex_next(p, &c);
	if (r < 0)
		return r;
	name_end = p->s;
	if (c == '{') {
		brace = memchr(start, '}', (size_t)(p->end - start));
		if (!brace) {
			while (p->s < p->end) {
				if (regex_next(p, &c) < 0)
					return -EINVAL;
			}
			return regex_error(p, BAD_RANGE, start, p->end);
		}
		p->end = brace;
		while (p->s < brace) {
			if (regex_next(p, &c) < 0)
				return -EINVAL;
		}
		p->end = all_end;
		name++;
		name_end = brace;
		p->s = brace + 1;
	}
	if (name < name_end && *name == '^') {
		negated = !negated;
		name++;
	}
	if (unicode_class(name, (size_t)(name_end - name),
			  p->flags & REGEX_FOLD ? add_range_folded : add_range, &own) < 0)
		return regex_error(p, BAD_RANGE, start, p->s);
	runes_clean(&own);
	runes_add_set(set, &own, negated);
	runes_done(&own);
	return 1;
}

int regex_escape_class(struct regex_parser *p, struct runes *set)
{
	char c = p->end - p->s >= 2 && *p->s == '\\' ? p->s[1] : 0;

	if (c == 'p' || c == 'P')
		return unicode_escape(p, set);
	for (size_t i = 0; i < ARRAY_SIZE(perl); i++) {
		if (c && (c | 0x20) == perl[i].name[0]) {
			add_named(p, &perl[i], c < 'a', set);
			p->s += 2;
			return 1;
		}
	}
	return 0;
}

static int hex(uint32_t c)
{
	if (c >= '0' && c <= '9')
		return (int)c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (int)c - 'a' + 10 : -1;
}

/* Behind "\x": two digits, or any number in braces. 0 when it is wrong. */
static int hex_escape(struct regex_parser *p, uint32_t *ret)
{
	uint32_t c, value = 0;
	size_t digits = 0;
	int high, low;

	if (p->s == p->end)
		return 0;
	if (regex_next(p, &c) < 0)
		return -EINVAL;
	if (c != '{') {
		high = hex(c);
		if (regex_next(p, &c) < 0)
			return -EINVAL;
		low = hex(c);
		*ret = (uint32_t)(high * 16 + low);
		return high >= 0 && low >= 0;
	}
	while (p->s < p->end) {
		if (regex_next(p, &c) < 0)
			return -EINVAL;
		if (c == '}') {
			*ret = value;
			return digits > 0;
		}
		low = hex(c);
		if (low < 0)
			return 0;
		value = value * 16 + (uint32_t)low;
		if (value > UNICODE_MAX)
			return 0;
		digits++;
	}
	return 0;
}

static uint32_t octal_escape(struct regex_parser *p, uint32_t first)
{
	uint32_t value = first - '0';

	for (int i = 1; i < 3 && p->s < p->end && *p->s >= '0' && *p->s <= '7'; i++)
		value = value * 8 + (uint32_t)(*p->s++ - '0');
	return value;
}

int regex_escape(struct regex_parser *p, uint32_t *ret)
{
	static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
	const char *start = p->s++, *at;
	uint32_t c;
	int r;

	if (p->s == p->end)
		return regex_error(p, "trailing backslash at end of expression", p->s, p->s);
	if (regex_next(p, &c) < 0)
		return -EINVAL;
	if (c == '0' || (c >= '1' && c <= '7' && p->s < p->end && *p->s >= '0' && *p->s <= '7')) {
		*ret = octal_escape(p, c);
		return 0;
	}
	if (c == 'x') {
		r = hex_escape(p, ret);
		if (r)
			return r < 0 ? r : 0;
	} else if (c < 0x80 && (at = c ? strchr(from, (int)c) : NULL)) {
		*ret = (unsigned char)to[at - from];
		return 0;
	} else if (c < 0x80 && !unicode_is_alnum(c)) {
		*ret = c;
		return 0;
	}
	return regex_error(p, "invalid escape sequence", start, p->s);
}

/* [:alpha:] added to set: 1; 0: there is none. */
static int posix_class(struct regex_parser *p, struct runes *set)
{
	const char *start = p->s, *name, *end;
	bool negated;

	if (p->end - p->s <= 2 || p->s[0] != '[' || p->s[1] != ':')
		return 0;
	end = memmem(p->s + 2, (size_t)(p->end - p->s - 2), ":]", 2);
	if (!end)
		return 0;
	negated = p->s[2] == '^';
	name = p->s + (negated ? 3 : 2);
	p->s = end + 2;
	for (size_t i = 0; i < ARRAY_SIZE(posix); i++) {
		if (end > name && strlen(posix[i].name) == (size_t)(end - name) &&
		    !memcmp(posix[i].name, name, (size_t)(end - name))) {
			add_named(p, &posix[i], negated, set);
			return 1;
		}
	}
	return regex_error(p, BAD_RANGE, start, p->s);
}

static int class_char(struct regex_parser *p, const char *class, uint32_t *ret)
{
	if (p->s == p->end)
		return regex_error(p, "missing closing ]", class, p->end);
	return *p->s == '\\' ? regex_escape(p, ret) : regex_next(p, ret);
}

/* A character, or a range of them. */
static int class_range(struct regex_parser *p, const char *class, struct runes *set)
{
	const char *start = p->s;
	uint32_t lo, hi;

	if (class_char(p, class, &lo) < 0)
		return -EINVAL;
	hi = lo;
	/* In [a-] it stands for itself. */
	if (p->end - p->s >= 2 && p->s[0] == '-' && p->s[1] != ']') {
		p->s++;
		if (class_char(p, class, &hi) < 0)
			return -EINVAL;
		if (hi < lo)
			return regex_error(p, BAD_RANGE, start, p->s);
	}
	if (p->flags & REGEX_FOLD)
		runes_add_folded(set, lo, hi);
	else
		runes_add(set, lo, hi);
	return 0;
}

int regex_class(struct regex_parser *p)
{
	const char *start = p->s++;
	bool negated = p->s < p->end && *p->s == '^', first = true;
	struct runes set = {0};
	int r = 0;

	p->s += negated;
	/* The first one may be a "]". */
	for (; r >= 0 && (p->s == p->end || *p->s != ']' || first); first = false) {
		r = posix_class(p, &set);
		if (!r)
			r = regex_escape_class(p, &set);
		if (!r)
			r = class_range(p, start, &set);
		/* Many classes in one: the memory is what counts in the end. */
		if (set.n > REGEX_MAX_RANGES)
			runes_clean(&set);
		if (r >= 0 && set.n > REGEX_MAX_RANGES)
			r = regex_error(p, "expression too large", p->all, p->end);
	}
	if (r < 0) {
		runes_done(&set);
		return r;
	}
	p->s++;
	return regex_push_class(p, &set, negated);
}
