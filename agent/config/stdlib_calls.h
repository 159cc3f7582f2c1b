/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the standard library, by file; what they share to take their arguments. */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/stdlib.h"

/* Borrowed from the argument, or from `number`. */
struct stdlib_text {
	const char *s;
	size_t len;
	char number[NUMBER_TEXT];
};

/* The i-th argument where a string is wanted: strings, numbers, null, and text that is not secret.
 * -EINVAL (reported). */
int stdlib_text(struct stdlib_call *c, size_t i, struct stdlib_text *ret);
/* The same for a value inside of the i-th argument, at `path` (".name", "[3]"). */
int stdlib_text_of(struct stdlib_call *c, size_t i, const char *path, const struct value *v,
		   struct stdlib_text *ret);
/* Reports that the i-th argument is none of `want`; -EINVAL. */
int stdlib_mismatch(struct stdlib_call *c, size_t i, const char *path, const char *want,
		    const struct value *got);
/* Reports at the i-th argument, which the message begins with; -EINVAL. */
int stdlib_reject(struct stdlib_call *c, size_t i, const char *fmt, ...) _printf_(3, 4);
/* -ENOMEM when v is NULL. */
int stdlib_give(struct value *v, struct value **ret);
/* The text of b; -EINVAL (reported) when it has become too long. */
int stdlib_give_text(struct stdlib_call *c, struct buf *b, struct value **ret);

/* stdlib_array.c */
int stdlib_coalesce(struct stdlib_call *c, struct value **ret);
int stdlib_combine_maps(struct stdlib_call *c, struct value **ret);
int stdlib_concat(struct stdlib_call *c, struct value **ret);
int stdlib_group_by(struct stdlib_call *c, struct value **ret);

/* stdlib_encoding.c */
int stdlib_from_base64(struct stdlib_call *c, struct value **ret);
int stdlib_from_base64_url(struct stdlib_call *c, struct value **ret);
int stdlib_from_json(struct stdlib_call *c, struct value **ret);
int stdlib_from_yaml(struct stdlib_call *c, struct value **ret);
int stdlib_json_path(struct stdlib_call *c, struct value **ret);
int stdlib_to_base64(struct stdlib_call *c, struct value **ret);
int stdlib_to_base64_url(struct stdlib_call *c, struct value **ret);
int stdlib_to_json(struct stdlib_call *c, struct value **ret);
int stdlib_url_decode(struct stdlib_call *c, struct value **ret);
int stdlib_url_encode(struct stdlib_call *c, struct value **ret);

/* stdlib_string.c */
int stdlib_format(struct stdlib_call *c, struct value **ret);
int stdlib_join(struct stdlib_call *c, struct value **ret);
int stdlib_nonsensitive(struct stdlib_call *c, struct value **ret);
int stdlib_path_join(struct stdlib_call *c, struct value **ret);
int stdlib_replace(struct stdlib_call *c, struct value **ret);
int stdlib_split(struct stdlib_call *c, struct value **ret);
int stdlib_to_lower(struct stdlib_call *c, struct value **ret);
int stdlib_to_upper(struct stdlib_call *c, struct value **ret);
int stdlib_trim(struct stdlib_call *c, struct value **ret);
int stdlib_trim_prefix(struct stdlib_call *c, struct value **ret);
int stdlib_trim_space(struct stdlib_call *c, struct value **ret);
int stdlib_trim_suffix(struct stdlib_call *c, struct value **ret);
