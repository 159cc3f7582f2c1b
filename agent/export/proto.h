/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers' wire format, written and read by hand: tags, varints and length-delimited
 * fields, which is all that pprof and the push messages use. Writing goes into a struct buf,
 * reading comes from a struct cursor over untrusted bytes.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/base/cursor.h"

enum proto_wire { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

void proto_varint(struct buf *b, uint64_t v);
/* A varint field; nothing for 0, which is what an absent field means. */
void proto_uint(struct buf *b, uint32_t field, uint64_t v);
/* A length-delimited field (bytes, string, message), also when it is empty. */
void proto_bytes(struct buf *b, uint32_t field, const void *p, size_t n);

struct proto_field {
	uint32_t number;
	enum proto_wire wire;
	uint64_t value;	     /* varint, fixed32, fixed64 */
	struct cursor bytes; /* PROTO_BYTES */
};
/* The next field. False at the end or when c became bad: groups (which proto3 does not have),
 * field number 0 and lengths past the end are bad. */
bool proto_next(struct cursor *c, struct proto_field *ret);
