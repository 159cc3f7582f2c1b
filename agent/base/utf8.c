/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/utf8.h"

#include <string.h>

size_t utf8_decode(const char *s, size_t n, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *b = (const uint8_t *)s;
	uint32_t code;
	size_t len;

	if (b[0] < 0x80) {
		*ret_code = b[0];
		return 1;
	}
	if (b[0] < 0xc2 || b[0] > 0xf4)
		return 0;
	len = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	code = b[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (b[i] & 0x3f);
	}
	if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return len;
}

size_t utf8_encode(uint32_t code, char to[4])
{
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		to[i] = (char)(0x80 | (code & 0x3f));
	to[0] = (char)(first[n] | code);
	return n;
}

bool utf8_is_clean(const char *s, size_t n, size_t max)
{
	uint32_t code;

	if (n > max)
		return false;
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_decode(s + i, n - i, &code);
		if (!len || !code)
			return false;
	}
	return true;
}

/* How many bytes at the start are ASCII other than NUL; most texts are nothing else. */
static size_t utf8_plain(const char *s, size_t n)
{
	const uint64_t ones = UINT64_MAX / 0xff, highs = ones << 7;
	size_t i = 0;

	for (uint64_t w; i + sizeof(w) <= n; i += sizeof(w)) {
		memcpy(&w, s + i, sizeof(w));
		if (((w - ones) | w) & highs)
			break;
	}
	while (i < n && (uint8_t)s[i] && (uint8_t)s[i] < 0x80)
		i++;
	return i;
}

void utf8_clean(struct buf *out, const char *s, size_t n, size_t max)
{
	size_t used = 0;

	for (size_t i = 0; i < n;) {
		size_t plain = utf8_plain(s + i, MIN(n - i, max - used)), len, add;
		uint32_t code = 0;
		const char *from;

		buf_add(out, s + i, plain);
		used += plain;
		i += plain;
		if (i == n)
			return;
		len = utf8_decode(s + i, n - i, &code);
		from = len && code ? s + i : UTF8_REPLACEMENT;
		add = len && code ? len : strlen(UTF8_REPLACEMENT);
		if (used + add > max)
			return;
		buf_add(out, from, add);
		used += add;
		i += MAX(len, 1u);
	}
}

bool utf8_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
	       code == 0xfeff;
}

/* Coarse: the blocks that terminals draw over two columns (Unicode 15 EastAsianWidth W and F) and
 * the combining marks that sit on the character before them. */
static unsigned int utf8_width(uint32_t code)
{
	static const struct {
		uint32_t first, last;
		unsigned int width;
	} ranges[] = {
		{0x0300, 0x036f, 0},   {0x1100, 0x115f, 2},   {0x200b, 0x200d, 0},
		{0x20d0, 0x20ff, 0},   {0x2e80, 0x303e, 2},   {0x3041, 0xa4cf, 2},
		{0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},
		{0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
		{0x1f300, 0x1f64f, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges) && code >= ranges[i].first; i++)
		if (code <= ranges[i].last)
			return ranges[i].width;
	return 1;
}

/* One printed character: its bytes, and how far it moved in the input. */
struct utf8_char {
	const char *bytes;
	size_t len, skip;
	unsigned int width;
};

static struct utf8_char utf8_next(const char *s, size_t n)
{
	uint32_t code = 0;
	size_t len = utf8_decode(s, n, &code);

	if (!len || utf8_is_control(code))
		return (struct utf8_char){UTF8_REPLACEMENT, 3, MAX(len, 1u), 1};
	return (struct utf8_char){s, len, len, utf8_width(code)};
}

unsigned int utf8_columns(const char *s)
{
	unsigned int columns = 0;

	for (size_t n = strlen(s); n;) {
		struct utf8_char c = utf8_next(s, n);

		columns += c.width;
		s += c.skip;
		n -= c.skip;
	}
	return columns;
}

/* Appends the characters whose columns lie completely inside [from, to) of the text. */
static unsigned int utf8_slice(struct buf *out, const char *s, unsigned int from, unsigned int to)
{
	unsigned int at = 0, used = 0;

	for (size_t n = strlen(s); n;) {
		struct utf8_char c = utf8_next(s, n);

		if (at >= from && at + c.width <= to && (c.width || at > from || !from)) {
			buf_add(out, c.bytes, c.len);
			used += c.width;
		}
		at += c.width;
		s += c.skip;
		n -= c.skip;
	}
	return used;
}

unsigned int utf8_fit(struct buf *out, const char *s, unsigned int columns)
{
	unsigned int all = utf8_columns(s), head, tail, used;

	if (all <= columns)
		return utf8_slice(out, s, 0, UINT32_MAX);
	if (!columns)
		return 0;
	/* The end of a qualified name tells more than its middle, the start most. */
	head = columns / 2;
	tail = columns - 1 - head;
	used = utf8_slice(out, s, 0, head);
	buf_adds(out, UTF8_ELLIPSIS);
	return used + 1 + utf8_slice(out, s, all - tail, UINT32_MAX);
}
