/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct cursor: reads untrusted bytes. Every read is checked; the first one that would leave the
 * range sets `bad`, returns 0 and keeps the position, and everything after it returns 0 as well.
 * A parser therefore checks `bad` where it matters, not after each field. Little-endian.
 */
#pragma once

#include <string.h>

#include "agent/base/macro.h"

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct cursor cursor_of(const void *data, size_t len)
{
	/* There is no NULL + 0 in C. */
	return (struct cursor){.p = data, .end = len ? (const uint8_t *)data + len : data};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->bad ? 0 : (size_t)(c->end - c->p);
}

/* The next n bytes, or NULL. */
static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || (size_t)(c->end - c->p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

#define CURSOR_DEFINE(bits)                                           \
	static inline uint##bits##_t cursor_u##bits(struct cursor *c) \
	{                                                             \
		uint##bits##_t v = 0;                                 \
		const uint8_t *p = cursor_bytes(c, sizeof(v));        \
		if (p)                                                \
			memcpy(&v, p, sizeof(v));                     \
		return v;                                             \
	}
CURSOR_DEFINE(8)
CURSOR_DEFINE(16)
CURSOR_DEFINE(32)
CURSOR_DEFINE(64)
#undef CURSOR_DEFINE

/* LEB128; more than 64 bits of value, or 10 bytes, is bad. */
static inline uint64_t cursor_uleb128(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		uint8_t b = cursor_u8(c);

		if (c->bad)
			return 0;
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

static inline int64_t cursor_sleb128(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		uint8_t b = cursor_u8(c);

		if (c->bad)
			return 0;
		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			if ((b & 0x40) && shift + 7 < 64)
				v |= ~UINT64_C(0) << (shift + 7);
			return (int64_t)v;
		}
	}
	c->bad = true;
	return 0;
}

/* A NUL-terminated string inside the range, at most max bytes long; NULL (and bad) otherwise. */
static inline const char *cursor_cstr(struct cursor *c, size_t max)
{
	const char *s = (const char *)c->p;
	const void *nul;

	if (c->bad)
		return NULL;
	nul = memchr(s, 0, MIN((size_t)(c->end - c->p), max + 1));
	if (!nul) {
		c->bad = true;
		return NULL;
	}
	c->p = (const uint8_t *)nul + 1;
	return s;
}

static inline void cursor_skip(struct cursor *c, size_t n)
{
	(void)cursor_bytes(c, n);
}

/* The next n bytes as a cursor of their own, skipped in c. */
static inline struct cursor cursor_sub(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);

	if (!p)
		return (struct cursor){.bad = true};
	return cursor_of(p, n);
}
