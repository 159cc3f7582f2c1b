/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/debuglink.h"

#include <elf.h>
#include <string.h>

#include <zlib.h>

#include "agent/base/cursor.h"
#include "symbolizer/objfile.h"

#define CRC_STEP (1u << 20)

/* A name with a NUL; longer ones are nobody's. */
static bool name_read(struct cursor *c, char to[TABLE_LINK_BYTES])
{
	const char *s = cursor_cstr(c, TABLE_LINK_BYTES - 1);

	if (!s || !*s)
		return false;
	memcpy(to, s, strlen(s) + 1);
	return true;
}

/* By the headers alone: the section may be compressed, and large. */
static bool has_debug_info(const struct objfile *o)
{
	struct objfile_section s;

	for (uint32_t i = 0; i < objfile_section_count(o); i++) {
		if (objfile_section_header(o, i, &s) == 0 && s.type != SHT_NOBITS && s.size &&
		    (!strcmp(s.name, ".debug_info") || !strcmp(s.name, ".zdebug_info")))
			return true;
	}
	return false;
}

void debuglink_read(struct objfile *o, struct table_info *info)
{
	struct objfile_section s;
	struct cursor c;

	if (has_debug_info(o))
		info->flags |= TABLE_HAS_DEBUG;
	if (objfile_section_by_name(o, ".gnu_debuglink", &s) == 0 && s.data) {
		c = cursor_of(s.data, (size_t)s.size);
		/* The checksum is behind the name, at the next multiple of four. */
		if (name_read(&c, info->debuglink)) {
			cursor_skip(&c, (size_t)(s.data - c.p) & 3);
			info->debuglink_crc = cursor_u32(&c);
		}
		if (c.bad || strchr(info->debuglink, '/'))
			memset(info->debuglink, 0, sizeof(info->debuglink));
	}
	if (objfile_section_by_name(o, ".gnu_debugaltlink", &s) == 0 && s.data) {
		c = cursor_of(s.data, (size_t)s.size);
		if (name_read(&c, info->altlink)) {
			info->alt_id_bytes = (uint32_t)MIN(cursor_left(&c), sizeof(info->alt_id));
			memcpy(info->alt_id, c.p, info->alt_id_bytes);
		}
	}
}

uint32_t debuglink_crc(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uLong crc = crc32(0, NULL, 0);

	for (size_t i = 0; i < bytes; i += CRC_STEP)
		crc = crc32(crc, p + i, (uInt)MIN(bytes - i, CRC_STEP));
	return (uint32_t)crc;
}
