/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/live/push_profile.h"

#include <string.h>

static void put_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_u8(b, (uint8_t)(v | 0x80));
	buf_add_u8(b, (uint8_t)v);
}

static void put_bytes(struct buf *b, uint32_t field, const void *p, size_t n)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, n);
	buf_add(b, p, n);
}

/* One sample of 10 ms in one function, and a string that is as long as it has to be. */
void push_profile(struct buf *b, uint64_t value, uint64_t time_ns, size_t bytes)
{
	static const char *const strings[] = {"", "cpu", "nanoseconds", "main"};
	_cleanup_buf_ struct buf sample = BUF_INIT(64);
	char *filler = calloc(1, bytes + 1);

	memset(filler, 'x', bytes);
	put_bytes(b, 1, "\x08\x01\x10\x02", 4);	 /* sample_type cpu/nanoseconds */
	buf_add(&sample, "\x0a\x01\x01\x10", 4); /* location_id [1], value unpacked */
	put_varint(&sample, value);
	put_bytes(b, 2, sample.data, sample.len);
	put_bytes(b, 3, "\x08\x01\x38\x01", 4);			/* mapping 1 */
	put_bytes(b, 4, "\x08\x01\x10\x01\x22\x02\x08\x01", 8); /* location 1: function 1 */
	put_bytes(b, 5, "\x08\x01\x10\x03", 4);			/* function 1: "main" */
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		put_bytes(b, 6, strings[i], strlen(strings[i]));
	put_bytes(b, 6, filler, bytes);
	put_varint(b, 9 << 3); /* time_nanos */
	put_varint(b, time_ns);
	put_bytes(b, 11, "\x08\x01\x10\x02", 4); /* period_type */
	put_varint(b, 12 << 3);
	put_varint(b, 10000000);
	free(filler);
}
