/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/parser.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/config/parser_internal.h"

#define NAME_MAX_BYTES 256

static void parse_body(struct parser *p, enum token_kind until, struct ast_body *body);

struct ast_file *ast_free(struct ast_file *f)
{
	if (!f)
		return NULL;
	arena_done(&f->arena);
	source_free(f->source);
	free(f);
	return NULL;
}

void parser_next(struct parser *p)
{
	p->tok = lexer_next(&p->lexer);
}

void parser_error(struct parser *p, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	/* The lexer has said what is wrong with an illegal token. */
	if (p->tok.kind == TOKEN_ILLEGAL && p->lexer.diags->n_errors)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lexer_error(&p->lexer, p->tok.start, p->tok.end, "%s", text);
}

bool parser_enter(struct parser *p)
{
	if (p->depth < PARSER_MAX_NESTING) {
		p->depth++;
		return true;
	}
	parser_error(p, "nested more than %d levels deep", PARSER_MAX_NESTING);
	/* Nothing sensible follows: without this, every level would look for its own end. */
	p->lexer.pos = p->lexer.source->len;
	p->lexer.terminate = false;
	parser_next(p);
	p->failed = p->failed ? p->failed : -EBADMSG;
	return false;
}

void parser_leave(struct parser *p)
{
	p->depth--;
}

void *parser_alloc(struct parser *p, size_t n)
{
	void *m = arena_alloc(p->arena, n);

	if (!m && !p->failed)
		p->failed = p->arena->used + n > p->arena->max ? -E2BIG : -ENOMEM;
	return m;
}

const char *parser_text(struct parser *p, uint32_t start, uint32_t end)
{
	char *s = parser_alloc(p, end - start + 1);

	if (s)
		memcpy(s, p->lexer.source->text + start, end - start);
	return s;
}

static const char *tok_text(const struct parser *p, uint32_t *ret_len)
{
	*ret_len = p->tok.end - p->tok.start;
	return p->lexer.source->text + p->tok.start;
}

/* To the end of the statement: a terminator outside of brackets that were opened on the way. */
static void skip_statement(struct parser *p)
{
	size_t open = 0;

	for (;; parser_next(p)) {
		switch ((int)p->tok.kind) {
		case TOKEN_EOF:
			return;
		case TOKEN_TERMINATOR:
			if (!open)
				return;
			break;
		case TOKEN_LCURLY:
		case TOKEN_LBRACK:
		case TOKEN_LPAREN:
			open++;
			break;
		case TOKEN_RCURLY:
			if (!open)
				return;
			open--;
			break;
		case TOKEN_RBRACK:
		case TOKEN_RPAREN:
			open -= open ? 1 : 0;
			break;
		}
	}
}

static void parse_label(struct parser *p, struct ast_stmt *s)
{
	uint32_t n;
	const char *text = tok_text(p, &n);

	if (text[0] != '"')
		parser_error(p,
			     "expected block label to be a double quoted string, but got \"%.*s\"",
			     (int)MIN(n, 100u), text);
	else if (n > 2 && !token_is_identifier(text + 1, n - 2))
		parser_error(p, "expected block label to be a valid identifier, but got \"%.*s\"",
			     (int)MIN(n - 2, 100u), text + 1);
	else if (n > 2)
		s->label = parser_text(p, p->tok.start + 1, p->tok.end - 1);
	s->has_label = true;
	s->header_end = p->tok.end;
	parser_next(p);
}

/* ident{.ident} ["label"]; false (reported) when it is none. */
static bool parse_header(struct parser *p, struct ast_stmt *s)
{
	_cleanup_buf_ struct buf name = BUF_INIT(NAME_MAX_BYTES);

	for (;;) {
		uint32_t n;
		const char *text = tok_text(p, &n);

		if (p->tok.kind != TOKEN_IDENT) {
			parser_error(p, "expected identifier, got %s", token_name(p->tok.kind));
			return false;
		}
		buf_add(&name, text, n);
		s->header_end = p->tok.end;
		parser_next(p);
		if (p->tok.kind != TOKEN_DOT)
			break;
		buf_add_u8(&name, '.');
		parser_next(p);
	}
	if (name.failed) {
		lexer_error(&p->lexer, s->start, s->header_end, "name is longer than %d bytes",
			    NAME_MAX_BYTES);
		return false;
	}
	s->name = arena_strndup(p->arena, buf_cstr(&name), name.len);
	if (!s->name) {
		p->failed = p->failed ? p->failed : -ENOMEM;
		return false;
	}
	if (p->tok.kind == TOKEN_STRING) {
		parse_label(p, s);
	} else if (p->tok.kind != TOKEN_LCURLY && p->tok.kind != TOKEN_ASSIGN &&
		   strchr(s->name, '.')) {
		parser_error(p, "expected block label, got %s", token_name(p->tok.kind));
		return false;
	}
	return true;
}

static void parse_attribute(struct parser *p, struct ast_stmt *s)
{
	if (strchr(s->name, '.'))
		lexer_error(
			&p->lexer, s->start, s->header_end,
			"attribute names may only consist of a single identifier with no \".\"");
	else if (s->has_label)
		lexer_error(&p->lexer, s->start, s->header_end,
			    "attribute names may not have labels");
	parser_next(p);
	s->value = parser_expr(p);
	if (s->value)
		s->end = s->value->end;
}

static void parse_block(struct parser *p, struct ast_stmt *s)
{
	s->is_block = true;
	s->body.start = p->tok.start;
	if (!parser_enter(p))
		return;
	parser_next(p);
	parse_body(p, TOKEN_RCURLY, &s->body);
	s->body.end = s->end = p->tok.end;
	if (p->tok.kind == TOKEN_RCURLY)
		parser_next(p);
	else
		parser_error(p, "expected }, got %s", token_name(p->tok.kind));
	parser_leave(p);
}

static struct ast_stmt *parse_statement(struct parser *p)
{
	struct ast_stmt *s = parser_alloc(p, sizeof(*s));

	if (!s)
		return NULL;
	s->start = p->tok.start;
	if (!parse_header(p, s)) {
		skip_statement(p);
		return NULL;
	}
	s->end = s->header_end;
	if (p->tok.kind == TOKEN_ASSIGN) {
		parse_attribute(p, s);
	} else if (p->tok.kind == TOKEN_LCURLY) {
		parse_block(p, s);
	} else if (!s->has_label && !strchr(s->name, '.')) {
		parser_error(p, "expected attribute assignment or block body, got %s",
			     token_name(p->tok.kind));
		skip_statement(p);
	} else {
		parser_error(p, "expected block body, got %s", token_name(p->tok.kind));
		skip_statement(p);
	}
	return s;
}

static void parse_body(struct parser *p, enum token_kind until, struct ast_body *body)
{
	struct ast_stmt **tail = &body->first;

	while (p->tok.kind != TOKEN_EOF && p->tok.kind != until && !p->failed) {
		struct ast_stmt *s;

		if (p->tok.kind == TOKEN_TERMINATOR) {
			parser_next(p);
			continue;
		}
		s = parse_statement(p);
		if (s) {
			*tail = s;
			tail = &s->next;
		}
		if (p->tok.kind == until || p->tok.kind == TOKEN_EOF)
			break;
		if (p->tok.kind != TOKEN_TERMINATOR) {
			parser_error(p, "expected TERMINATOR, got %s", token_name(p->tok.kind));
			skip_statement(p);
			/* A closing brace too many would stop the top level here. */
			if (p->tok.kind != TOKEN_RCURLY || until == TOKEN_RCURLY)
				continue;
		}
		parser_next(p);
	}
}

int parser_parse(struct source *source, struct diag_list *d, struct ast_file **ret)
{
	_cleanup_(ast_freep) struct ast_file *f = calloc(1, sizeof(*f));
	size_t before = d->n_errors;
	struct parser p;

	if (!f)
		return -ENOMEM;
	f->arena = ARENA_INIT(PARSER_MAX_BYTES);
	p = (struct parser){.lexer = lexer_of(source, d), .arena = &f->arena};
	parser_next(&p);
	f->body.end = source->len;
	parse_body(&p, TOKEN_EOF, &f->body);
	if (p.failed)
		return p.failed;
	if (d->n_errors > before)
		return -EBADMSG;
	f->source = source;
	*ret = TAKE_PTR(f);
	return 0;
}
