/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/demangle_go.h"

#include <string.h>

#define SHAPE "go.shape."

/* The bytes of the bracket at s up to its partner; 0: it has none. */
static size_t bracket_length(const char *s)
{
	size_t depth = 0;

	for (size_t i = 0; s[i]; i++) {
		depth += s[i] == '[';
		if (s[i] == ']' && !--depth)
			return i + 1;
	}
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "_0" behind a shape, before what ends it: the index of the parameter. */
static size_t index_length(const char *s, const char *end)
{
	size_t n = 1;

	if (*s != '_')
		return 0;
	while (s + n < end && is_digit(s[n]))
		n++;
	return n > 1 && s + n < end && (s[n] == ',' || s[n] == ']') ? n : 0;
}

static void add_types(const char *s, size_t n, struct buf *to)
{
	const char *end = s + n;

	while (s < end) {
		size_t skip =
			!strncmp(s, SHAPE, strlen(SHAPE)) ? strlen(SHAPE) : index_length(s, end);

		if (skip)
			s += skip;
		else
			buf_add_u8(to, (uint8_t)*s++);
	}
}

bool demangle_go(const char *name, bool types, struct buf *to)
{
	const char *shape = strstr(name, SHAPE), *open = strchr(name, '[');
	size_t n;

	if (!shape || !open || open > shape)
		return false;
	while (open && *open) {
		buf_add(to, name, (size_t)(open - name));
		n = bracket_length(open);
		if (!n)
			return false;
		if (types || !memmem(open, n, SHAPE, strlen(SHAPE)))
			add_types(open, n, to);
		else
			buf_adds(to, "[...]");
		name = open + n;
		open = strchr(name, '[');
	}
	buf_adds(to, name);
	return !to->failed;
}
