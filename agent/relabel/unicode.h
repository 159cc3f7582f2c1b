/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What relabelling must know of Unicode 15.0.0, with the meanings of Go's package unicode: simple
 * case mappings, simple folding, and the classes that \p{...} names.
 */
#pragma once

#include "agent/base/macro.h"

#define UNICODE_MAX	0x10ffffu
#define UNICODE_INVALID 0xfffdu /* stands for a byte that is no UTF-8 */

/* One to one; characters without a mapping stay. */
uint32_t unicode_to_lower(uint32_t c);
uint32_t unicode_to_upper(uint32_t c);
/* The next one of the characters that are equal when case does not matter; c itself when alone. */
uint32_t unicode_fold(uint32_t c);
/* Calls fn for every character of first..last whose unicode_fold() is another one. */
void unicode_foldable(uint32_t first, uint32_t last, void (*fn)(uint32_t c, void *data),
		      void *data);

/* A letter or a decimal digit (categories L and Nd). */
bool unicode_is_alnum(uint32_t c);
/*
 * Calls fn for the ranges, in ascending order, of a category ("Lu", or "L" for all that begin
 * with it), a script ("Greek"), or "Any". -ENOENT: there is no such class.
 */
int unicode_class(const char *name, size_t n, void (*fn)(uint32_t lo, uint32_t hi, void *data),
		  void *data);

/* The character at s (n > 0) and its length; what is no UTF-8 is UNICODE_INVALID of length 1. */
uint32_t unicode_decode(const char *s, size_t n, size_t *ret_len);
/* Writes at most 4 bytes; returns their number. */
size_t unicode_encode(uint32_t c, char *to);
