/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void buf_done(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
}

static bool buf_fail(struct buf *b, int r)
{
	buf_done(b);
	b->failed = r;
	return false;
}

static bool buf_reserve(struct buf *b, size_t n)
{
	size_t cap;
	uint8_t *p;

	if (b->failed)
		return false;
	if (n > b->max || b->len > b->max - n)
		return buf_fail(b, -E2BIG);
	if (b->len + n < b->cap)
		return true;
	/* One byte more than asked, so that buf_cstr() can always terminate. */
	cap = MAX(b->cap * 2, b->len + n + 1);
	cap = MAX(cap, 64u);
	p = realloc(b->data, cap);
	if (!p)
		return buf_fail(b, -ENOMEM);
	b->data = p;
	b->cap = cap;
	return true;
}

void *buf_grow(struct buf *b, size_t n)
{
	void *p;

	if (!buf_reserve(b, n))
		return NULL;
	p = b->data + b->len;
	b->len += n;
	return p;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	void *to = n ? buf_grow(b, n) : NULL;

	if (to)
		memcpy(to, p, n);
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_add_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && buf_reserve(b, (size_t)n)) {
		(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

const char *buf_cstr(struct buf *b)
{
	if (!buf_reserve(b, 0) || !b->data)
		return "";
	b->data[b->len] = '\0';
	return (const char *)b->data;
}

uint8_t *buf_take(struct buf *b, size_t *ret_len)
{
	uint8_t *p;

	if (b->failed)
		return NULL;
	(void)buf_cstr(b);
	p = b->data;
	*ret_len = b->len;
	b->data = NULL;
	b->len = b->cap = 0;
	return p;
}
