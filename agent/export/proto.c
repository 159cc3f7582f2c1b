/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/proto.h"

void proto_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	} while (v);
	bytes[n - 1] &= 0x7f;
	buf_add(b, bytes, n);
}

void proto_uint(struct buf *b, uint32_t field, uint64_t v)
{
	if (!v)
		return;
	proto_varint(b, (uint64_t)field << 3 | PROTO_VARINT);
	proto_varint(b, v);
}

void proto_bytes(struct buf *b, uint32_t field, const void *p, size_t n)
{
	proto_varint(b, (uint64_t)field << 3 | PROTO_BYTES);
	proto_varint(b, n);
	buf_add(b, p, n);
}

bool proto_next(struct cursor *c, struct proto_field *ret)
{
	struct proto_field f = {0};
	uint64_t tag;

	if (!cursor_left(c))
		return false;
	tag = cursor_uleb128(c);
	if (tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1)
		c->bad = true;
	f.number = (uint32_t)(tag >> 3);
	switch (tag & 7) {
	case PROTO_VARINT:
		f.wire = PROTO_VARINT;
		f.value = cursor_uleb128(c);
		break;
	case PROTO_FIXED64:
		f.wire = PROTO_FIXED64;
		f.value = cursor_u64(c);
		break;
	case PROTO_BYTES:
		f.wire = PROTO_BYTES;
		f.bytes = cursor_sub(c, cursor_uleb128(c));
		break;
	case PROTO_FIXED32:
		f.wire = PROTO_FIXED32;
		f.value = cursor_u32(c);
		break;
	default:
		c->bad = true;
	}
	if (c->bad)
		return false;
	*ret = f;
	return true;
}
