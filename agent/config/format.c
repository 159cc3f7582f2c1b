/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax tree gives the tokens and what stands between them; the comments come from the source
 * between two tokens. Where there is a comment, the line breaks around it are those of the source.
 */
#include "agent/config/format.h"

#include <errno.h>
#include <string.h>

#include "agent/config/format_layout.h"

struct format {
	const struct source *source;
	struct layout layout;
	uint32_t pos;	    /* of the source: what is before it was written */
	uint32_t last_line; /* where it ends */
	bool number;	    /* a number was written last */
};

/* A token: its text, where it was in the source, and where it goes. */
struct piece {
	const char *text;
	size_t len;
	uint32_t start, end; /* in the source */
	enum gap gap;
	uint32_t indent;
	uint32_t comment_indent; /* of comments on lines of their own before it */
};

static uint32_t line_of(const struct format *f, uint32_t offset)
{
	uint32_t line, col;

	source_position(f->source, offset, &line, &col);
	return line;
}

static uint32_t comment_end(const struct source *s, uint32_t start)
{
	const char *p = s->text + start, *end;

	if (p[1] == '/') {
		end = memchr(p, '\n', s->len - start);
		return end ? (uint32_t)(end - s->text) : s->len;
	}
	end = memmem(p + 2, s->len - start - 2, "*/", 2);
	return end ? (uint32_t)(end - s->text) + 2 : s->len;
}

/* The next comment before `until`; false when there is none. */
static bool next_comment(const struct format *f, uint32_t until, uint32_t *ret_start,
			 uint32_t *ret_end)
{
	const struct source *s = f->source;

	for (uint32_t i = f->pos; i + 1 < s->len && i < until; i++) {
		if (s->text[i] != '/' || (s->text[i + 1] != '/' && s->text[i + 1] != '*'))
			continue;
		*ret_start = i;
		*ret_end = comment_end(s, i);
		return true;
	}
	return false;
}

/* Without blanks at the end of its lines. */
static void add_comment(struct format *f, enum gap gap, uint32_t indent, const char *s, size_t n)
{
	while (n) {
		const char *end = memchr(s, '\n', n);
		size_t len = end ? (size_t)(end - s) : n, used = len;

		while (used && strchr(" \t\r", s[used - 1]))
			used--;
		layout_add(&f->layout, gap, indent, s, used);
		gap = GAP_NONE;
		if (end)
			layout_add(&f->layout, gap, indent, "\n", 1);
		n -= end ? len + 1 : n;
		s += end ? len + 1 : 0;
	}
}

static enum gap lines_between(uint32_t from, uint32_t to)
{
	return to > from + 1 ? GAP_BLANK : to > from ? GAP_BREAK : GAP_NONE;
}

/* Comments before p; the gap that is left for p itself. */
static enum gap flush_comments(struct format *f, const struct piece *p)
{
	/* The end is on no line: it makes no difference whether one ends before it. */
	uint32_t line = p->start < f->source->len ? line_of(f, p->start) : UINT32_MAX;
	uint32_t start, end;
	enum gap gap = p->gap;

	while (next_comment(f, p->start, &start, &end)) {
		uint32_t at = line_of(f, start);
		enum gap before = lines_between(f->last_line, at);

		if (before == GAP_NONE)
			before = at == line ? GAP_SPACE : GAP_CELL;
		add_comment(f, before, p->comment_indent, f->source->text + start, end - start);
		f->pos = end;
		f->last_line = line_of(f, end > start ? end - 1 : end);
		gap = lines_between(f->last_line, line);
		if (gap == GAP_NONE)
			gap = GAP_SPACE;
		else if (gap == GAP_BREAK && p->gap <= GAP_LINE)
			gap = GAP_LINE;
	}
	return gap;
}

static void add(struct format *f, const struct piece *p)
{
	enum gap gap = flush_comments(f, p);

	layout_add(&f->layout, gap, p->indent, p->text, p->len);
	f->pos = MAX(f->pos, p->end);
	f->last_line = line_of(f, p->end > p->start ? p->end - 1 : p->start);
	f->number = false;
}

/* Punctuation, or a name, that is `len` bytes at `start` in the source. */
static void add_text(struct format *f, enum gap gap, uint32_t indent, uint32_t start,
		     const char *text)
{
	struct piece p = {.text = text, .len = strlen(text), .start = start, .gap = gap};

	p.end = start + (uint32_t)p.len;
	p.indent = p.comment_indent = indent;
	add(f, &p);
}

static void add_source(struct format *f, enum gap gap, uint32_t indent, uint32_t start,
		       uint32_t end)
{
	struct piece p = {.text = f->source->text + start, .len = end - start, .start = start};

	p.end = end;
	p.gap = gap;
	p.indent = p.comment_indent = indent;
	add(f, &p);
}

/* Past blanks and comments from `pos`. */
static uint32_t skip(const struct format *f, uint32_t pos)
{
	const struct source *s = f->source;

	while (pos < s->len) {
		if (strchr(" \t\r\n", s->text[pos]))
			pos++;
		else if (s->text[pos] == '/' && pos + 1 < s->len &&
			 (s->text[pos + 1] == '/' || s->text[pos + 1] == '*'))
			pos = comment_end(s, pos);
		else
			break;
	}
	return pos;
}

/* A comma directly behind what was written, wherever it is in the source. */
static void add_comma(struct format *f)
{
	layout_add(&f->layout, GAP_NONE, 0, ",", 1);
}

static void add_closing(struct format *f, enum gap gap, uint32_t indent, uint32_t end,
			const char *text)
{
	struct piece p = {.text = text, .len = 1, .start = end - 1, .end = end, .gap = gap};

	p.indent = indent;
	p.comment_indent = indent + 1;
	add(f, &p);
}

static void add_expr(struct format *f, enum gap gap, uint32_t indent, const struct ast_expr *x);

static bool same_line(const struct format *f, uint32_t a, uint32_t b)
{
	return line_of(f, a) == line_of(f, b);
}

/* Elements of an array or arguments of a call, and the closing bracket. */
static void add_list(struct format *f, uint32_t indent, uint32_t open, const struct ast_expr *x,
		     const char *close)
{
	uint32_t before = open;

	for (const struct ast_expr *i = x->first; i; i = i->next) {
		bool line = !same_line(f, before, i->start);

		add_expr(f,
			 line		 ? GAP_BREAK
			 : i == x->first ? GAP_NONE
					 : GAP_SPACE,
			 indent + line, i);
		before = i->end - 1;
		if (i->next)
			add_comma(f);
	}
	if (!x->first || same_line(f, before, x->end - 1)) {
		add_closing(f, GAP_NONE, indent, x->end, close);
		return;
	}
	add_comma(f);
	add_closing(f, GAP_BREAK, indent, x->end, close);
}

static void add_name(struct format *f, enum gap gap, uint32_t indent, const struct ast_expr *x)
{
	char first = f->source->text[x->start];
	size_t quotes = first == '"' || first == '`' ? 2 : 0;

	add_source(f, gap, indent, x->start, x->start + (uint32_t)(strlen(x->name) + quotes));
}

/* A field starts a new line where its name is on another line than the name before it. */
static void add_object(struct format *f, enum gap gap, uint32_t indent, const struct ast_expr *x)
{
	uint32_t before = x->start;
	bool aligned = false;

	add_text(f, gap, indent, x->start, "{");
	for (const struct ast_expr *i = x->first; i; i = i->next) {
		size_t lines;

		gap = i == x->first ? GAP_NONE : GAP_SPACE;
		if (!same_line(f, before, i->start))
			gap = aligned ? GAP_LINE : GAP_BREAK;
		add_name(f, gap, indent + 1, i);
		before = i->start;
		add_text(f, GAP_CELL, indent + 1, skip(f, f->pos), "=");
		lines = f->layout.n_lines;
		add_expr(f, GAP_SPACE, indent + 1, i->left);
		aligned = f->layout.n_lines == lines;
		if (i->next)
			add_comma(f);
	}
	if (!x->first || same_line(f, before, x->end - 1)) {
		add_closing(f, GAP_NONE, indent, x->end, "}");
		return;
	}
	add_comma(f);
	add_closing(f, GAP_BREAK, indent, x->end, "}");
}

static void add_access(struct format *f, enum gap gap, uint32_t indent, const struct ast_expr *x)
{
	add_expr(f, gap, indent, x->left);
	/* "1." would be another number. */
	add_text(f, f->number ? GAP_SPACE : GAP_NONE, indent, skip(f, x->left->end), ".");
	add_source(f, GAP_NONE, indent, x->end - (uint32_t)strlen(x->name), x->end);
}

static void add_expr(struct format *f, enum gap gap, uint32_t indent, const struct ast_expr *x)
{
	switch (x->kind) {
	case AST_LITERAL:
		add_source(f, gap, indent, x->start, x->end);
		f->number = x->op == TOKEN_NUMBER;
		return;
	case AST_IDENT:
		add_source(f, gap, indent, x->start, x->end);
		return;
	case AST_ARRAY:
		add_text(f, gap, indent, x->start, "[");
		add_list(f, indent, x->start, x, "]");
		return;
	case AST_OBJECT:
		add_object(f, gap, indent, x);
		return;
	case AST_FIELD:
		return;
	case AST_PAREN:
		add_text(f, gap, indent, x->start, "(");
		add_expr(f, GAP_NONE, indent, x->left);
		add_closing(f, GAP_NONE, indent, x->end, ")");
		return;
	case AST_ACCESS:
		add_access(f, gap, indent, x);
		return;
	case AST_INDEX:
		add_expr(f, gap, indent, x->left);
		add_text(f, GAP_NONE, indent, skip(f, x->left->end), "[");
		add_expr(f, GAP_NONE, indent, x->right);
		add_closing(f, GAP_NONE, indent, x->end, "]");
		return;
	case AST_CALL:
		add_expr(f, gap, indent, x->left);
		add_text(f, GAP_NONE, indent, skip(f, x->left->end), "(");
		add_list(f, indent, f->pos - 1, x, ")");
		return;
	case AST_UNARY:
		add_text(f, gap, indent, x->start, token_name(x->op));
		add_expr(f, GAP_NONE, indent, x->left);
		return;
	case AST_BINARY:
		add_expr(f, gap, indent, x->left);
		add_text(f, GAP_SPACE, indent, skip(f, x->left->end), token_name(x->op));
		add_expr(f, GAP_SPACE, indent, x->right);
		return;
	}
}

static void add_body(struct format *f, const struct ast_body *body, uint32_t indent);

static void add_block(struct format *f, enum gap gap, uint32_t indent, const struct ast_stmt *s)
{
	uint32_t label = s->header_end;

	struct piece name = {.text = s->name, .len = strlen(s->name), .start = s->start};

	/* The parts of the name may have had blanks and comments around their dots. */
	name.end = s->start + 1;
	name.gap = gap;
	name.indent = name.comment_indent = indent;
	add(f, &name);
	if (s->label) {
		label -= (uint32_t)strlen(s->label) + 2;
		add_source(f, GAP_SPACE, indent, label, s->header_end);
	}
	add_text(f, GAP_SPACE, indent, s->body.start, "{");
	add_body(f, &s->body, indent + 1);
	add_closing(f, s->body.first ? GAP_BREAK : GAP_SPACE, indent, s->body.end, "}");
}

static void add_body(struct format *f, const struct ast_body *body, uint32_t indent)
{
	uint32_t end = 0; /* the line where the last statement ends */
	bool aligned = false;

	for (const struct ast_stmt *s = body->first; s; s = s->next) {
		enum gap gap = GAP_BREAK;
		size_t lines;

		if (s != body->first && (s->is_block || line_of(f, s->start) > end + 1))
			gap = GAP_BLANK;
		else if (aligned)
			gap = GAP_LINE;
		if (s->is_block) {
			add_block(f, gap, indent, s);
			aligned = false;
		} else {
			add_source(f, gap, indent, s->start, s->start + (uint32_t)strlen(s->name));
			lines = f->layout.n_lines;
			add_text(f, GAP_CELL, indent, skip(f, s->header_end), "=");
			add_expr(f, GAP_SPACE, indent, s->value);
			aligned = f->layout.n_lines == lines;
		}
		end = line_of(f, s->end - 1);
	}
}

int format_file(const struct ast_file *file, struct buf *ret)
{
	struct format f = {.source = file->source, .last_line = 1};
	struct piece end = {.text = "", .start = file->source->len, .end = file->source->len};
	int r;

	layout_init(&f.layout);
	add_body(&f, &file->body, 0);
	(void)flush_comments(&f, &end);
	r = layout_write(&f.layout, ret);
	layout_done(&f.layout);
	return r < 0 ? r : ret->failed;
}
