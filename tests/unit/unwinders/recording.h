/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct recording: one interrupted thread, complete in itself: registers, mappings, the part of
 * the stack that its walk needs, the unwind rule of each frame, and what must come out, as frame
 * words and as names. A .rec file is one recording after the other. Made by record_stacks.c on a
 * running kernel, so independent of the machine it is replayed on.
 *
 *   struct recording_header, struct walk_regs, struct range [n_ranges],
 *   struct recording_rule [n_rules], u64 frames[n_frames], stack, struct recording_code [n_code],
 *   names (NUL-terminated, leaf first), padding to 8 bytes
 */
#pragma once

#include <errno.h>

#include "agent/base/cursor.h"
#include "unwinders/native.h"

#define RECORDING_MAGIC 0x3130434552485054ull /* "TPHREC01" */

struct recording_header {
	uint64_t magic;
	uint32_t bytes, regs_bytes; /* of the whole recording; of struct walk_regs */
	uint32_t n_ranges, n_rules, n_frames, stack_bytes;
	uint32_t names_bytes, n_code;
};

struct recording_rule {
	uint64_t frame, rule;
};

/* Of code without a file, what the walk looked at. */
#define RECORDING_CODE_BYTES 32
struct recording_code {
	uint64_t addr;
	uint8_t bytes[RECORDING_CODE_BYTES];
};

struct recording { /* borrows the bytes it was parsed from */
	const struct recording_header *h;
	const struct walk_regs *regs;
	const struct range *ranges;
	const struct recording_rule *rules;
	const uint64_t *frames;
	const uint8_t *stack;
	const struct recording_code *code;
	const char *names;
};

/* data: 8-byte aligned. The bytes of the recording, or -EBADMSG. */
static inline int recording_parse(const void *data, size_t bytes, struct recording *ret)
{
	struct cursor c = cursor_of(data, bytes);
	const struct recording_header *h = (const void *)cursor_bytes(&c, sizeof(*h));
	struct recording r = {.h = h};

	if (!h || h->magic != RECORDING_MAGIC || h->regs_bytes != sizeof(struct walk_regs) ||
	    h->bytes > bytes || h->bytes % 8 || h->stack_bytes % 8)
		return -EBADMSG;
	c = cursor_of((const uint8_t *)data + sizeof(*h), h->bytes - sizeof(*h));
	r.regs = (const void *)cursor_bytes(&c, sizeof(struct walk_regs));
	r.ranges = (const void *)cursor_bytes(&c, h->n_ranges * sizeof(struct range));
	r.rules = (const void *)cursor_bytes(&c, h->n_rules * sizeof(struct recording_rule));
	r.frames = (const void *)cursor_bytes(&c, h->n_frames * sizeof(uint64_t));
	r.stack = cursor_bytes(&c, h->stack_bytes);
	r.code = (const void *)cursor_bytes(&c, h->n_code * sizeof(struct recording_code));
	r.names = (const void *)cursor_bytes(&c, h->names_bytes);
	if (c.bad || !h->names_bytes || r.names[h->names_bytes - 1])
		return -EBADMSG;
	*ret = r;
	return (int)h->bytes;
}

/* A native_rule_fn; data is the recording. */
static inline int recording_rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	const struct recording *r = data;

	for (uint32_t i = 0; i < r->h->n_rules; i++) {
		if (r->rules[i].frame == frame) {
			*ret_rule = r->rules[i].rule;
			return 0;
		}
	}
	return -ENODATA;
}
