/* SPDX-License-Identifier: Apache-2.0 */
/* Line tables and strings of code objects, as the kernel half copied them out of a process. */
#include <string.h>

#include "agent/base/cursor.h"
#include "agent/base/utf8.h"
#include "unwinders/python_internal.h"

/* ---- Lines ---- */

/* Each finds the line of an offset: true, or false at the end of the table. */

/* To 3.9, co_lnotab: pairs of bytes: how far the address goes on, how far the line (signed). The
 * last line goes on to the end of the code. */
static bool line_of_pairs(struct cursor c, uint64_t offset, uint32_t *line)
{
	uint64_t at = 0;

	while (cursor_left(&c) >= 2) {
		at += cursor_u8(&c);
		if (at > offset)
			return true;
		*line += (uint32_t)(int8_t)cursor_u8(&c);
	}
	return false;
}

/* 3.10, co_linetable: pairs: the length of a range, and its line, as the difference to the last one
 * that had a line; -128: it has none (Objects/lnotab_notes.txt). */
static bool line_of_ranges(struct cursor c, uint64_t offset, uint32_t *line)
{
	uint64_t end = 0;

	while (cursor_left(&c) >= 2) {
		int8_t by;

		end += cursor_u8(&c);
		by = (int8_t)cursor_u8(&c);
		if (by != -128)
			*line += (uint32_t)by;
		if (offset < end)
			return true;
	}
	return false;
}

/* Six bits a byte, the lowest first; bit 6: there are more. */
static uint32_t get_varint(struct cursor *c)
{
	uint32_t v = 0, shift = 0;
	uint8_t b;

	do {
		b = cursor_u8(c);
		v |= shift < 32 ? (uint32_t)(b & 63) << shift : 0;
		shift += 6;
	} while ((b & 64) && !c->bad);
	return v;
}

static uint32_t get_signed(struct cursor *c)
{
	uint32_t v = get_varint(c);

	return v & 1 ? -(v >> 1) : v >> 1;
}

/* From 3.11 on, the location table (Objects/locations.md; later InternalDocs/code_objects.md):
 * entries begin with a byte that has its highest bit set, a code and a length. */
static bool line_of_locations(struct cursor c, uint64_t offset, uint32_t *line)
{
	enum { ONE_LINE0 = 10, ONE_LINE2 = 12, NO_COLUMNS = 13, LONG = 14 };
	uint64_t end = 0;

	while (cursor_left(&c)) {
		uint8_t first = cursor_u8(&c);
		unsigned int code = (first >> 3) & 15;

		end += 2 * ((first & 7) + 1u);
		if (code >= ONE_LINE0 && code <= ONE_LINE2)
			*line += code - ONE_LINE0;
		else if (code == NO_COLUMNS || code == LONG)
			*line += get_signed(&c);
		if (c.bad)
			return false;
		if (offset < end)
			return true;
		while (cursor_left(&c) && !(c.p[0] & 0x80))
			cursor_u8(&c);
	}
	return false;
}

uint32_t python_line(unsigned int version, const uint8_t *table, size_t bytes, bool cut,
		     uint32_t first_line, uint64_t offset)
{
	struct cursor c = cursor_of(table, bytes);
	uint32_t line = first_line;
	bool found;

	if (version < 0x030a)
		found = line_of_pairs(c, offset, &line);
	else if (version == 0x030a)
		found = line_of_ranges(c, offset, &line);
	else
		found = line_of_locations(c, offset, &line);
	if (!found && (cut || version >= 0x030a))
		return first_line;
	return line;
}

/* ---- Strings ---- */

static uint32_t char_at(const uint8_t *bytes, size_t i, unsigned int width)
{
	uint32_t v = 0;

	memcpy(&v, bytes + i * width, width);
	return v;
}

void python_utf8(const struct python_string *s, const uint8_t *bytes, char *to, size_t size)
{
	static const char more[] = "...";
	unsigned int width = s->width == 2 || s->width == 4 ? s->width : 1;
	size_t n = s->bytes / width, at = 0;
	bool cut = s->chars > n;

	for (size_t i = 0; i < n; i++) {
		uint32_t code = char_at(bytes, i, width);

		/* A lone surrogate stands for a byte that is no text; controls speak to terminals.
		 */
		if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || utf8_is_control(code))
			code = 0xfffd;
		if (at + 4 + sizeof(more) > size) {
			cut = true;
			break;
		}
		at += utf8_encode(code, to + at);
	}
	memcpy(to + at, cut ? more : "", cut ? sizeof(more) : 1);
}
