/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a code object says of itself, read into a record: names, first line and line table, and the
 * hash of it all that stands for the code object in frame words. Like python_walk.h, which it
 * needs, it is compiled for the kernel and for the tests.
 */
#pragma once

#include "bpf/python_walk.h"

#ifdef PYTHON_WALK

/* The code object into s->object. 0; 1: it is none; 2: it is one of the interpreter's own, whose
 * frames nobody wants (_Py_InitCleanup, Python/specialize.c of 3.12 on): they have one string for
 * all names and no line. */
static __always_inline int python_read_code(WALK_ENV *e, struct python_state *s)
{
	if (walk_read(e, s->code + s->file.code_ob_type, s->object, PYTHON_CODE_BYTES) ||
	    *(__u64 *)s->object != s->load + s->file.code_type)
		return 1;
	if (*(__u32 *)(s->object + (s->file.code_line & 252)) == 0 &&
	    python_object(s, s->file.code_file) == python_object(s, s->file.code_name))
		return 2;
	return 0;
}

/* Of so many bytes, those that fit, whole characters; room is a power of two. */
static __always_inline __u64 python_bound(__u64 bytes, __u32 room)
{
	if (bytes >= room)
		bytes = room - 4;
	__asm__ volatile("" : "+r"(bytes)); /* the verifier follows the mask that comes now */
	return bytes;
}

static __always_inline void python_string(WALK_ENV *e, const struct python_state *s, __u64 at,
					  struct python_string *ret, __u8 *to, __u32 room)
{
	__u64 chars = python_word(e, at + s->file.string_length), bytes, data;
	__u32 state, kind;

	ret->width = 0;
	ret->bytes = 0;
	ret->chars = 0;
	if (walk_read(e, at + s->file.string_state, &state, 4))
		return;
	/* struct PyASCIIObject, state: kind (3 bits), compact, ascii. Others keep their characters
	 * elsewhere; the names of code are compact. */
	state >>= s->file.string_kind_bit & 31;
	kind = state & 7;
	if (!(state & 8) || (kind != 1 && kind != 2 && kind != 4) || chars >> 32)
		return;
	data = at + (state & 16 ? s->file.string_ascii : s->file.string_wide);
	bytes = python_bound(chars * kind, room);
	if (walk_read(e, data, to, bytes & (room - 1)))
		return;
	ret->chars = chars;
	ret->bytes = bytes;
	ret->width = kind;
}

static __always_inline __u64 python_hash(__u64 h, __u64 word)
{
	return stack_hash(h, word);
}

/* Of the line table the part that begins at `at`. */
#define PYTHON_HASH_BYTES 512
static __always_inline __u64 python_hash_some(const struct python_record *r, __u32 at, __u64 h)
{
	__u32 copied = r->table_copied;

	for (__u32 i = 0; i < PYTHON_HASH_BYTES; i += 8, at += 8) {
		__u64 word = *(const __u64 *)(r->table + (at & (PYTHON_TABLE_BYTES - 8)));

		if (at >= copied)
			break;
		if (copied - at < 8) /* what lies behind is of another record */
			word &= (1ULL << 8 * (copied - at)) - 1;
		h = python_hash(h, word);
	}
	return h;
}
#ifndef PYTHON_HASH_SOME
#define PYTHON_HASH_SOME(e, r, at, h) python_hash_some(r, at, h)
#endif

/* Fills the record of s->object but for its header; the frame's value, or 0: unreadable. */
static __always_inline __u64 python_describe(WALK_ENV *e, struct python_state *s,
					     struct python_record *r)
{
	__u64 table = python_object(s, s->file.code_table);
	__u64 length = python_word(e, table + s->file.bytes_length), h;
	__u32 copied = python_bound(length, PYTHON_TABLE_BYTES) & (PYTHON_TABLE_BYTES - 1);

	for (int i = 0; i < PYTHON_NAME_BYTES / 8; i++)
		((__u64 *)r->name_bytes)[i] = 0;
	for (int i = 0; i < PYTHON_PATH_BYTES / 8; i++)
		((__u64 *)r->path_bytes)[i] = 0;
	r->version = s->file.version;
	r->line = *(__u32 *)(s->object + (s->file.code_line & 252));
	python_string(e, s, python_object(s, s->file.code_name), &r->name, r->name_bytes,
		      PYTHON_NAME_BYTES);
	python_string(e, s, python_object(s, s->file.code_file), &r->path, r->path_bytes,
		      PYTHON_PATH_BYTES);
	if (!r->name.width || !r->path.width)
		return 0;
	if (walk_read(e, table + s->file.bytes_data, r->table, copied))
		copied = 0;
	r->table_bytes = length >> 32 ? 0xffffffff : length;
	r->table_copied = copied;
	h = python_hash(r->version, r->line);
	h = python_hash(h, (__u64)r->name.chars << 32 | r->path.chars);
	h = python_hash(h,
			(__u64)r->name.width << 40 | (__u64)r->path.width << 32 | r->table_bytes);
	for (int i = 0; i < PYTHON_NAME_BYTES / 8; i++)
		h = python_hash(h, ((__u64 *)r->name_bytes)[i]);
	for (int i = 0; i < PYTHON_PATH_BYTES / 8; i++)
		h = python_hash(h, ((__u64 *)r->path_bytes)[i]);
	for (__u32 at = 0; at < PYTHON_TABLE_BYTES; at += PYTHON_HASH_BYTES) {
		if (at >= copied)
			break;
		h = PYTHON_HASH_SOME(e, r, at, h);
	}
	h &= RUNTIME_VALUE_MASK;
	return h ?: 1;
}

#endif
