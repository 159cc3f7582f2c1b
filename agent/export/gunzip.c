/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/gunzip.h"

#include <errno.h>
#include <zlib.h>

static void end(z_stream *z)
{
	(void)inflateEnd(z);
}

int gunzip(struct buf *to, const void *data, size_t n)
{
	_cleanup_(end) z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n};
	uint8_t chunk[16u << 10];
	int state;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return -ENOMEM;
	do {
		z.next_out = chunk;
		z.avail_out = sizeof(chunk);
		state = inflate(&z, Z_NO_FLUSH);
		buf_add(to, chunk, sizeof(chunk) - z.avail_out);
		if (to->failed)
			return to->failed;
		if (state == Z_STREAM_END && z.avail_in)
			state = inflateReset(&z);
	} while (state == Z_OK);
	if (state == Z_MEM_ERROR)
		return -ENOMEM;
	return state == Z_STREAM_END ? 0 : -EBADMSG;
}
