/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/format_layout.h"

#include <errno.h>
#include <string.h>

#include "agent/base/utf8.h"

/* The last cell of a line is not padded. */
struct layout_cell {
	size_t start, len; /* in text */
	size_t width;	   /* of its column; 0: not known yet */
};

struct layout_line {
	size_t first, n; /* cells */
	uint32_t indent;
	bool blank; /* an empty line comes before it */
	bool run;   /* it belongs to the lines before it */
	bool verbatim;
};

void layout_init(struct layout *l)
{
	*l = (struct layout){.text = BUF_INIT(64u << 20)};
}

void layout_done(struct layout *l)
{
	buf_done(&l->text);
	free(l->lines);
	free(l->cells);
}

static bool grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return true;
	p = realloc(*array, want * size);
	if (!p)
		return false;
	*array = p;
	*cap = want;
	return true;
}

static void new_cell(struct layout *l)
{
	if (!l->n_lines ||
	    !grow((void **)&l->cells, l->n_cells, &l->cap_cells, sizeof(*l->cells))) {
		l->failed = true;
		return;
	}
	l->cells[l->n_cells++] = (struct layout_cell){.start = l->text.len};
	l->lines[l->n_lines - 1].n++;
}

static void new_line(struct layout *l, uint32_t indent, bool run, bool blank)
{
	if (!grow((void **)&l->lines, l->n_lines, &l->cap_lines, sizeof(*l->lines))) {
		l->failed = true;
		return;
	}
	l->lines[l->n_lines++] = (struct layout_line){
		.first = l->n_cells, .indent = indent, .run = run, .blank = blank};
	new_cell(l);
}

static void append(struct layout *l, const char *s, size_t n)
{
	if (l->failed)
		return;
	buf_add(&l->text, s, n);
	l->cells[l->n_cells - 1].len += n;
}

void layout_add(struct layout *l, enum gap gap, uint32_t indent, const char *s, size_t n)
{
	bool first = !l->n_lines;
	const char *end;

	if (first || gap >= GAP_LINE)
		new_line(l, indent, gap == GAP_LINE, !first && gap == GAP_BLANK);
	else if (gap == GAP_CELL)
		new_cell(l);
	else if (gap == GAP_SPACE)
		append(l, " ", 1);
	while ((end = memchr(s, '\n', n))) {
		append(l, s, (size_t)(end - s));
		n -= (size_t)(end - s) + 1;
		s = end + 1;
		new_line(l, 0, false, false);
		if (!l->failed)
			l->lines[l->n_lines - 1].verbatim = true;
	}
	append(l, s, n);
}

static size_t columns(const struct layout *l, const struct layout_cell *c)
{
	const char *s = (const char *)l->text.data + c->start;
	size_t count = 0, w;
	uint32_t code;

	for (size_t i = 0; i < c->len; i += MAX(w, 1u), count++)
		w = utf8_decode(s + i, c->len - i, &code);
	return count;
}

static bool has_column(const struct layout *l, size_t line, size_t column)
{
	return l->lines[line].n > column + 1;
}

/* The column of all lines that follow `line` without a gap is as wide as its widest cell. */
static void align(struct layout *l, size_t line, size_t column)
{
	size_t end = line, width = 0;

	do {
		width = MAX(width, columns(l, &l->cells[l->lines[end].first + column]));
		end++;
	} while (end < l->n_lines && l->lines[end].run &&
		 l->lines[end].indent == l->lines[line].indent && has_column(l, end, column));
	for (size_t i = line; i < end; i++)
		l->cells[l->lines[i].first + column].width = width + 1;
}

static void write_line(const struct layout *l, const struct layout_line *line, struct buf *b)
{
	buf_adds(b, line->blank ? "\n" : "");
	for (uint32_t i = 0; i < line->indent && !line->verbatim; i++)
		buf_add_u8(b, '\t');
	for (size_t i = 0; i < line->n; i++) {
		const struct layout_cell *c = &l->cells[line->first + i];

		buf_add(b, l->text.data + c->start, c->len);
		for (size_t k = i + 1 < line->n ? columns(l, c) : c->width; k < c->width; k++)
			buf_add_u8(b, ' ');
	}
	buf_add_u8(b, '\n');
}

int layout_write(struct layout *l, struct buf *ret)
{
	if (l->failed || l->text.failed)
		return -ENOMEM;
	for (size_t i = 0; i < l->n_lines; i++) {
		for (size_t k = 0; has_column(l, i, k); k++) {
			if (!l->cells[l->lines[i].first + k].width)
				align(l, i, k);
		}
		write_line(l, &l->lines[i], ret);
	}
	return 0;
}
