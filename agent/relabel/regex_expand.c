/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: $1, ${1}, $name, ${name}, $$ (Go: Regexp.Expand). */
#include <string.h>

#include "agent/relabel/regex_internal.h"
#include "agent/relabel/unicode.h"

struct reference {
	const char *name;
	size_t len;
	int64_t number; /* -1: a name */
	const char *rest;
};

/* At s, behind the dollar. False when it is no reference, and the dollar is a dollar. */
static bool parse(const char *s, const char *end, struct reference *ret)
{
	bool brace = s < end && *s == '{';

	s += brace;
	ret->name = s;
	while (s < end) {
		size_t k;
		uint32_t c = unicode_decode(s, (size_t)(end - s), &k);

		if (c != '_' && !unicode_is_alnum(c))
			break;
		s += k;
	}
	ret->len = (size_t)(s - ret->name);
	if (!ret->len || (brace && (s == end || *s != '}')))
		return false;
	ret->rest = s + brace;
	ret->number = 0;
	for (size_t i = 0; i < ret->len && ret->number >= 0; i++) {
		if (ret->name[i] < '0' || ret->name[i] > '9' || ret->number >= 100000000)
			ret->number = -1;
		else
			ret->number = ret->number * 10 + (ret->name[i] - '0');
	}
	if (ret->name[0] == '0' && ret->len > 1)
		ret->number = -1;
	return true;
}

/* The group, or -1: there is none, or it is not in the match. */
static int64_t find(const struct regex *re, const struct regex_scratch *x,
		    const struct reference *ref)
{
	if (ref->number >= 0)
		return (size_t)ref->number < x->n_groups && x->groups[2 * ref->number] >= 0
			       ? ref->number
			       : -1;
	/* Several groups may have one name: the first one that is in the match. */
	for (size_t i = 1; i < re->n_groups; i++) {
		if (re->names[i] && strlen(re->names[i]) == ref->len &&
		    !memcmp(re->names[i], ref->name, ref->len) && x->groups[2 * i] >= 0)
			return (int64_t)i;
	}
	return -1;
}

void regex_expand(const struct regex *re, const struct regex_scratch *x, const char *s,
		  const char *template, size_t n, struct buf *out)
{
	const char *end = template + n;

	while (template <end) {
		const char *dollar = memchr(template, '$', (size_t)(end - template));
		struct reference ref;
		int64_t i;

		buf_add(out, template, (size_t)((dollar ? dollar : end) - template));
		if (!dollar)
			return;
		template = dollar + 1;
		if (template <end &&*template == '$') {
			buf_add_u8(out, '$');
			template ++;
			continue;
		}
		if (!parse(template, end, &ref)) {
			buf_add_u8(out, '$');
			continue;
		}
		template = ref.rest;
		i = find(re, x, &ref);
		if (i >= 0)
			buf_add(out, s + x->groups[2 * i],
				(size_t)(x->groups[2 * i + 1] - x->groups[2 * i]));
	}
}
