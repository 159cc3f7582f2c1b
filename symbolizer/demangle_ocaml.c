/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/demangle_ocaml.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Without "_123" at the end, which numbers the definitions of a unit. */
static size_t without_stamp(const char *name)
{
	size_t n = strlen(name), digits = n;

	while (digits && is_digit(name[digits - 1]))
		digits--;
	if (digits < n && digits > 1 && name[digits - 1] == '_' && name[digits - 2] != '_')
		return digits - 1;
	return n;
}

bool demangle_ocaml(const char *name, struct buf *to)
{
	bool nested = false;
	size_t n;

	if (strncmp(name, "caml", 4) != 0 || name[4] < 'A' || name[4] > 'Z')
		return false;
	name += 4;
	n = without_stamp(name);
	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (name[i] == '$' && n - i > 2 && (high = hex_digit(name[i + 1])) >= 0 &&
		    (low = hex_digit(name[i + 2])) >= 0) {
			buf_add_u8(to, (uint8_t)(high << 4 | low));
			i += 2;
		} else if (name[i] == '_' && i + 1 < n && name[i + 1] == '_' && i + 2 < n) {
			buf_add_u8(to, '.');
			nested = true;
			i++;
		} else {
			nested |= name[i] == '.';
			buf_add_u8(to, (uint8_t)name[i]);
		}
	}
	/* What has no unit before it may be anybody's C function. */
	return nested && !to->failed;
}
