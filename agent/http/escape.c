/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/escape.h"

#include <string.h>

void http_escape(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_add_u8(b, c);
		else
			buf_printf(b, "%%%02X", c);
	}
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

size_t http_unescape(const char *s, size_t n, bool plus, char *to)
{
	const char *end = s + n;
	char *p = to;

	for (; s < end; s++) {
		bool code =
			*s == '%' && end - s > 2 && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0;

		*p++ = code		   ? (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]))
		       : plus && *s == '+' ? ' '
					   : *s;
		s += code ? 2 : 0;
	}
	*p = '\0';
	return (size_t)(p - to);
}
