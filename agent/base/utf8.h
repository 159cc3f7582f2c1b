/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8: decoding and encoding, and what the writers need: symbol and process names are bytes that
 * somebody else chose, and every output format wants valid text. Cleaning replaces what is not
 * text; fitting shortens a name to terminal columns. No normalisation, no bidirectional layout.
 */
#pragma once

#include "agent/base/buf.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd"
#define UTF8_ELLIPSIS	 "\xe2\x80\xa6"

/* Length (1..4) of the well-formed sequence at s (RFC 3629: no surrogates, no overlong forms), or
 * 0 when the byte there starts none. n must be at least 1. */
size_t utf8_decode(const char *s, size_t n, uint32_t *ret_code);
/* Writes the character to `to` and returns its length (1..4). code is at most U+10FFFF. */
size_t utf8_encode(uint32_t code, char to[4]);
/* Appends the n bytes as valid UTF-8: each invalid byte and each NUL becomes U+FFFD. Stops before
 * the character that would make it longer than max bytes. */
void utf8_clean(struct buf *out, const char *s, size_t n, size_t max);
/* True when utf8_clean() would copy the bytes unchanged. */
bool utf8_is_clean(const char *s, size_t n, size_t max);
/* Control characters (C0, DEL, C1, and those that reorder text) can speak to a terminal. */
bool utf8_is_control(uint32_t code);
/* Terminal columns of the text as utf8_fit() prints it. */
unsigned int utf8_columns(const char *s);
/* Appends s in at most `columns` columns, an ellipsis in the middle when it is longer. Control
 * characters and invalid bytes become U+FFFD. Returns the columns used. */
unsigned int utf8_fit(struct buf *out, const char *s, unsigned int columns);
