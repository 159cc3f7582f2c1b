/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/relabel/unicode.h"

#include <errno.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "agent/relabel/unicode_tables.h"

/* Whether c is in one of the runs; *ret is then what it maps to. */
static bool map(const struct unicode_run *runs, size_t n, uint32_t c, uint32_t *ret)
{
	size_t at = PARTITION_POINT(mid, 0, n, runs[mid].last < c);

	if (at == n || c < runs[at].first || (c - runs[at].first) % runs[at].stride)
		return false;
	*ret = c + (uint32_t)runs[at].distance;
	return true;
}

uint32_t unicode_to_lower(uint32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	(void)map(unicode_lower, unicode_lower_n, c, &c);
	return c;
}

uint32_t unicode_to_upper(uint32_t c)
{
	if (c < 0x80)
		return c >= 'a' && c <= 'z' ? c - 32 : c;
	(void)map(unicode_upper, unicode_upper_n, c, &c);
	return c;
}

uint32_t unicode_fold(uint32_t c)
{
	uint32_t to;

	if (map(unicode_orbits, unicode_orbits_n, c, &to))
		return to;
	to = unicode_to_lower(c);
	return to != c ? to : unicode_to_upper(c);
}

static void foldable_of(const struct unicode_run *runs, size_t n, uint32_t first, uint32_t last,
			void (*fn)(uint32_t c, void *data), void *data)
{
	for (size_t i = 0; i < n && runs[i].first <= last; i++) {
		for (uint32_t c = runs[i].first; c <= MIN(runs[i].last, last);
		     c += runs[i].stride) {
			if (c >= first && unicode_fold(c) != c)
				fn(c, data);
		}
	}
}

void unicode_foldable(uint32_t first, uint32_t last, void (*fn)(uint32_t c, void *data), void *data)
{
	foldable_of(unicode_lower, unicode_lower_n, first, last, fn, data);
	foldable_of(unicode_upper, unicode_upper_n, first, last, fn, data);
	foldable_of(unicode_orbits, unicode_orbits_n, first, last, fn, data);
}

static uint8_t value_of(const uint32_t *starts, size_t n, uint32_t c)
{
	return (uint8_t)starts[PARTITION_POINT(mid, 1, n, starts[mid] >> 8 <= c) - 1];
}

bool unicode_is_alnum(uint32_t c)
{
	const char *name;

	if (c < 0x80)
		return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
	name = unicode_category_names[value_of(unicode_categories, unicode_categories_n, c)];
	return name[0] == 'L' || !strcmp(name, "Nd");
}

/* The ranges of all values whose name begins with `name`, or is it (whole). */
static int ranges_of(const uint32_t *starts, size_t n, const char *const *names, size_t n_names,
		     const char *name, size_t len, void (*fn)(uint32_t, uint32_t, void *),
		     void *data)
{
	bool wanted[256] = {false}, any = false;

	for (size_t i = 1; i < n_names; i++) {
		wanted[i] = strlen(names[i]) >= len && !memcmp(names[i], name, len) &&
			    (!names[i][len] || (names == unicode_category_names && len == 1));
		any = any || wanted[i];
	}
	if (!any)
		return -ENOENT;
	for (size_t i = 0; i < n; i++) {
		uint32_t first = starts[i] >> 8;

		if (!wanted[starts[i] & 0xff])
			continue;
		while (i + 1 < n && wanted[starts[i + 1] & 0xff])
			i++;
		fn(first, i + 1 < n ? (starts[i + 1] >> 8) - 1 : UNICODE_MAX, data);
	}
	return 0;
}

int unicode_class(const char *name, size_t n, void (*fn)(uint32_t lo, uint32_t hi, void *data),
		  void *data)
{
	if (!n)
		return -ENOENT;
	if (n == 3 && !memcmp(name, "Any", 3)) {
		fn(0, UNICODE_MAX, data);
		return 0;
	}
	if (n <= 2 && !ranges_of(unicode_categories, unicode_categories_n, unicode_category_names,
				 unicode_category_names_n, name, n, fn, data))
		return 0;
	return ranges_of(unicode_scripts, unicode_scripts_n, unicode_script_names,
			 unicode_script_names_n, name, n, fn, data);
}

uint32_t unicode_decode(const char *s, size_t n, size_t *ret_len)
{
	uint32_t c = 0;

	*ret_len = 1;
	if (!((unsigned char)*s & 0x80))
		return (unsigned char)*s;
	*ret_len = utf8_decode(s, n, &c);
	if (*ret_len)
		return c;
	*ret_len = 1;
	return UNICODE_INVALID;
}

size_t unicode_encode(uint32_t c, char *to)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i > 1; i--, c >>= 6)
		to[i - 1] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(lead[n] | c);
	return n;
}
