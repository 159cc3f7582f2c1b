/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/base64.h"

#include <errno.h>

static int digit(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+'	      ? 62
	       : c == '/'	      ? 63
				      : -1;
}

int base64_decode(const char *s, size_t n, struct buf *out)
{
	unsigned int have = 0, padding = 0;
	uint32_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		int d = digit(s[i]);

		if (s[i] == '\n' || s[i] == '\r')
			continue;
		if (s[i] == '=') {
			if (++padding > 2 || have < 2)
				return -EBADMSG;
			continue;
		}
		if (d < 0 || padding)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)d;
		if (++have < 4)
			continue;
		buf_add(out, (uint8_t[]){bits >> 16 & 0xff, bits >> 8 & 0xff, bits & 0xff}, 3);
		have = 0;
		bits = 0;
	}
	if (have == 1 || (have ? have + padding != 4 : padding != 0))
		return -EBADMSG;
	if (have == 2)
		buf_add_u8(out, bits >> 4 & 0xff);
	if (have == 3)
		buf_add(out, (uint8_t[]){bits >> 10 & 0xff, bits >> 2 & 0xff}, 2);
	return 0;
}
