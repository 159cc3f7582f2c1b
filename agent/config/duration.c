/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {
	{"ns", 1},
	{"us", 1000},
	{"\xc2\xb5s", 1000},
	{"\xce\xbcs", 1000},
	{"ms", 1000000},
	{"s", 1000000000},
	{"m", INT64_C(60000000000)},
	{"h", INT64_C(3600000000000)},
};

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static int64_t unit_ns(const char *s, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) == n && !memcmp(units[i].name, s, n))
			return units[i].ns;
	}
	return 0;
}

/* One "12.5ms" of the text: adds to *ns and moves *s. The reason when it is none. */
static const char *parse_part(const char **s, int64_t *ns)
{
	int64_t whole = 0, unit, part;
	double fraction = 0, scale = 1;
	bool any = digit(**s);
	size_t n;

	for (; digit(**s); ++*s) {
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, **s - '0', &whole))
			return "out of range";
	}
	if (**s == '.') {
		for (++*s; digit(**s); ++*s) {
			any = true;
			scale /= 10;
			fraction += (**s - '0') * scale;
		}
	}
	if (!any)
		return "not a number with a unit";
	n = strcspn(*s, ".0123456789");
	if (!n)
		return "missing unit";
	unit = unit_ns(*s, n);
	if (!unit)
		return "unknown unit";
	*s += n;
	if (__builtin_mul_overflow(whole, unit, &part) ||
	    __builtin_add_overflow(part, (int64_t)(fraction * (double)unit + 0.5), &part) ||
	    __builtin_add_overflow(*ns, part, ns))
		return "out of range";
	return NULL;
}

int duration_parse(const char *s, int64_t *ret_ns, const char **ret_why)
{
	bool negative = *s == '-';
	int64_t ns = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (!strcmp(s, "0")) {
		*ret_ns = 0;
		return 0;
	}
	if (!*s) {
		*ret_why = "empty";
		return -EINVAL;
	}
	while (*s) {
		const char *why = parse_part(&s, &ns);

		if (why) {
			*ret_why = why;
			return -EINVAL;
		}
	}
	*ret_ns = negative ? -ns : ns;
	return 0;
}

void duration_format(int64_t ns, char *to, size_t size)
{
	int64_t s = ns / 1000000000;

	if (ns < 1000000000)
		(void)snprintf(to, size, "%" PRId64 "ms", ns / 1000000);
	else if (s < 60)
		(void)snprintf(to, size, "%.1fs", (double)ns / 1e9);
	else if (s < 3600)
		(void)snprintf(to, size, "%" PRId64 "m%" PRId64 "s", s / 60, s % 60);
	else
		(void)snprintf(to, size, "%" PRId64 "h%" PRId64 "m", s / 3600, s % 3600 / 60);
}
