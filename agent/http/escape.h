/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding of URLs and forms (RFC 3986, 2.1; RFC 6749, appendix B). */
#pragma once

#include "agent/base/buf.h"

/* Appends s with everything but letters, digits and "-._~" encoded. */
void http_escape(struct buf *b, const char *s);
/*
 * The n bytes at s decoded into `to`, which has room for n + 1; a NUL is put behind. A '%' that
 * begins no code stands for itself. plus: '+' is a blank, as in forms. Returns the length.
 */
size_t http_unescape(const char *s, size_t n, bool plus, char *to);
