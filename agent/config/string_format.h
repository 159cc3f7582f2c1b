/* SPDX-License-Identifier: Apache-2.0 */
/*
 * string.format(): the verbs, flags and error texts of Go's fmt.Sprintf(), for the values of the
 * language (go1.24 fmt; numbers are int64, uint64 and float64, arrays []interface {}, objects
 * map[string]interface {}). What is wrong with a format is told in the text: "%!d(string=x)".
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/value.h"

/* Appends; b->failed says whether it had room. Secrets are shown as "(secret)". */
void string_format(const char *fmt, size_t n, struct value *const *args, size_t n_args,
		   struct buf *b);
/* Appends s in double quotes with the escapes of Go's strconv.Quote(). */
void string_quote(const char *s, size_t n, bool ascii, struct buf *b);
