/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct buf: a growable byte buffer with a maximum that is given at birth. Appending never fails
 * loudly: on overflow or lack of memory the buffer becomes `failed`, frees its bytes and ignores
 * further appends, so that a writer checks once at the end.
 */
#pragma once

#include "agent/base/macro.h"

struct buf {
	uint8_t *data;
	size_t len, cap, max;
	int failed; /* 0, -E2BIG (over max) or -ENOMEM */
};

#define BUF_INIT(maximum) ((struct buf){.max = (maximum)})

void buf_done(struct buf *b);
/* Empties without giving the memory back. */
void buf_reset(struct buf *b);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_add_u8(struct buf *b, uint8_t v);
void buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
/* Room for n bytes at the end, counted as written; NULL when failed. Valid until the next append.
 */
void *buf_grow(struct buf *b, size_t n);
/* The text with a terminating NUL that is not counted in len; "" when failed. */
const char *buf_cstr(struct buf *b);
/* Transfers the bytes to the caller (free()); b is empty afterwards. NULL when failed. */
uint8_t *buf_take(struct buf *b, size_t *ret_len);

#define _cleanup_buf_ _cleanup_(buf_done)
