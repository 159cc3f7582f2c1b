/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct layout: lines of cells, of which those that stand below each other are made equally wide.
 * Text is collected piece by piece; layout_write() aligns and writes it.
 */
#pragma once

#include "agent/base/buf.h"

/* What stands before a piece of text. */
enum gap {
	GAP_NONE,
	GAP_SPACE,
	GAP_CELL,  /* a blank at least: aligned with the lines around it */
	GAP_LINE,  /* a new line */
	GAP_BREAK, /* a new line that is not aligned with those before it */
	GAP_BLANK, /* the same, with an empty line between */
};

struct layout {
	struct buf text;
	struct layout_line *lines;
	struct layout_cell *cells;
	size_t n_lines, cap_lines, n_cells, cap_cells;
	bool failed;
};

void layout_init(struct layout *l);
void layout_done(struct layout *l);
/* Line breaks in the text are kept, and what follows them is not indented. */
void layout_add(struct layout *l, enum gap gap, uint32_t indent, const char *s, size_t n);
/* 0 or -ENOMEM; the buffer says whether it had room. */
int layout_write(struct layout *l, struct buf *ret);
