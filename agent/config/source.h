/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct source: the text of one configuration file, and where its lines begin. Text is UTF-8;
 * a file that starts with a UTF-16 byte order mark is converted when it is read. Positions are
 * byte offsets everywhere; lines and columns (1-based, in bytes) are made for people only.
 */
#pragma once

#include "agent/base/macro.h"

#define SOURCE_MAX (16u << 20)

struct source {
	char *name; /* as it is shown */
	char *text; /* with a NUL behind it, which is not part of it */
	uint32_t len;
	uint32_t *lines; /* offset of the first byte of each line */
	size_t n_lines;
};

/* A part of a source, [start, end). source NULL: no position. */
struct span {
	const struct source *source; /* borrowed */
	uint32_t start, end;
};

/* Copies. 0, -ENOMEM, or -E2BIG over SOURCE_MAX. */
int source_new(const char *name, const char *text, size_t len, struct source **ret);
/* Reads a regular file, or for "-" standard input, which is called "stdin". A negative errno of
 * open/read, -E2BIG over SOURCE_MAX, -EISDIR. */
int source_open(const char *path, struct source **ret);
struct source *source_free(struct source *s);
DEFINE_CLEANUP(struct source *, source_free)

void source_position(const struct source *s, uint32_t offset, uint32_t *ret_line,
		     uint32_t *ret_col);
/* The text of line (1-based) without its line end; "" with *ret_len 0 beyond the last line. */
const char *source_line(const struct source *s, uint32_t line, size_t *ret_len);
