/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions, by precedence climbing:
 *   ||  &&  (== != < <= > >=)  (+ -)  (* / %)  ^ (right)  unary - !  postfix . [] ()
 */
#include <errno.h>

#include "agent/config/parser_internal.h"

#define PREC_POW 6

static struct ast_expr *parse_binary(struct parser *p, int least);

static struct ast_expr *expr_new(struct parser *p, enum ast_kind kind, uint32_t start)
{
	struct ast_expr *x = parser_alloc(p, sizeof(*x));

	if (x) {
		x->kind = kind;
		x->op = p->tok.kind;
		x->start = start;
		x->end = p->tok.end;
	}
	return x;
}

/* The evaluator recurses as deep as the tree is high. */
static struct ast_expr *expr_grow(struct parser *p, struct ast_expr *x)
{
	uint32_t h = 0;

	if (!x)
		return NULL;
	h = MAX(h, x->left ? x->left->height : 0);
	h = MAX(h, x->right ? x->right->height : 0);
	for (const struct ast_expr *e = x->first; e; e = e->next)
		h = MAX(h, e->height);
	x->height = h + 1;
	if (x->height > PARSER_MAX_HEIGHT && !p->failed) {
		lexer_error(&p->lexer, x->start, x->end,
			    "expression has more than %d operations in a row", PARSER_MAX_HEIGHT);
		p->failed = -EBADMSG;
	}
	return x;
}

/* Comma-separated items up to `until`, which is consumed. */
static struct ast_expr *parse_list(struct parser *p, enum token_kind until, const char *what,
				   struct ast_expr *(*item)(struct parser *), uint32_t *ret_end)
{
	struct ast_expr *first = NULL, **tail = &first;

	while (p->tok.kind != until && p->tok.kind != TOKEN_EOF && !p->failed) {
		uint32_t before = p->tok.start;
		struct ast_expr *x = item(p);

		if (x) {
			*tail = x;
			tail = &x->next;
		}
		if (p->tok.kind == until || p->tok.kind == TOKEN_EOF)
			break;
		if (p->tok.kind != TOKEN_COMMA) {
			parser_error(p, "missing ',' in %s", what);
			/* A line end is taken for the comma; anything else ends the list unless it
			 * can start the next item. */
			if (p->tok.kind != TOKEN_TERMINATOR && (p->tok.start == before || !x))
				return first;
			if (p->tok.kind != TOKEN_TERMINATOR)
				continue;
		}
		parser_next(p);
	}
	*ret_end = p->tok.end;
	if (p->tok.kind == until)
		parser_next(p);
	else
		parser_error(p, "expected %s, got %s", token_name(until), token_name(p->tok.kind));
	return first;
}

static struct ast_expr *parse_field(struct parser *p)
{
	const char *text = p->lexer.source->text + p->tok.start;
	uint32_t n = p->tok.end - p->tok.start;
	struct ast_expr *x;

	if (p->tok.kind != TOKEN_IDENT && p->tok.kind != TOKEN_STRING) {
		parser_error(p, "expected field name (string or identifier), got %s",
			     token_name(p->tok.kind));
		return NULL;
	}
	x = expr_new(p, AST_FIELD, p->tok.start);
	if (!x)
		return NULL;
	/* A quoted key is taken as it stands: escapes in it are not decoded. */
	if (p->tok.kind == TOKEN_STRING && n >= 2 && (text[0] == '"' || text[0] == '`'))
		x->name = parser_text(p, p->tok.start + 1, p->tok.end - 1);
	else
		x->name = parser_text(p, p->tok.start, p->tok.end);
	parser_next(p);
	if (p->tok.kind == TOKEN_LCURLY) {
		parser_error(p, "cannot use a block as an expression");
		return NULL;
	}
	if (p->tok.kind != TOKEN_ASSIGN) {
		parser_error(p, "expected =, got %s", token_name(p->tok.kind));
		return NULL;
	}
	parser_next(p);
	x->left = parser_expr(p);
	if (x->left)
		x->end = x->left->end;
	return x->left && x->name ? expr_grow(p, x) : NULL;
}

static struct ast_expr *parse_bracketed(struct parser *p, enum ast_kind kind)
{
	struct ast_expr *x = expr_new(p, kind, p->tok.start);

	if (!x || !parser_enter(p))
		return NULL;
	parser_next(p);
	if (kind == AST_ARRAY) {
		x->first = parse_list(p, TOKEN_RBRACK, "expression list", parser_expr, &x->end);
	} else if (kind == AST_OBJECT) {
		x->first = parse_list(p, TOKEN_RCURLY, "field list", parse_field, &x->end);
	} else {
		x->left = parser_expr(p);
		x->end = p->tok.end;
		if (p->tok.kind == TOKEN_RPAREN)
			parser_next(p);
		else
			parser_error(p, "expected ), got %s", token_name(p->tok.kind));
		if (!x->left)
			x = NULL;
	}
	parser_leave(p);
	return expr_grow(p, x);
}

static struct ast_expr *parse_primary(struct parser *p)
{
	struct ast_expr *x;

	switch ((int)p->tok.kind) {
	case TOKEN_IDENT:
		x = expr_new(p, AST_IDENT, p->tok.start);
		if (x)
			x->name = parser_text(p, p->tok.start, p->tok.end);
		parser_next(p);
		return x && x->name ? expr_grow(p, x) : NULL;
	case TOKEN_NUMBER:
	case TOKEN_FLOAT:
	case TOKEN_STRING:
	case TOKEN_BOOL:
	case TOKEN_NULL:
		x = expr_new(p, AST_LITERAL, p->tok.start);
		parser_next(p);
		return expr_grow(p, x);
	case TOKEN_LBRACK:
		return parse_bracketed(p, AST_ARRAY);
	case TOKEN_LCURLY:
		return parse_bracketed(p, AST_OBJECT);
	case TOKEN_LPAREN:
		return parse_bracketed(p, AST_PAREN);
	}
	parser_error(p, "expected expression, got %s", token_name(p->tok.kind));
	if (p->tok.kind == TOKEN_ILLEGAL)
		parser_next(p);
	return NULL;
}

static struct ast_expr *parse_access(struct parser *p, struct ast_expr *left)
{
	struct ast_expr *x;

	parser_next(p);
	if (p->tok.kind != TOKEN_IDENT) {
		parser_error(p, "expected identifier, got %s", token_name(p->tok.kind));
		return NULL;
	}
	x = expr_new(p, AST_ACCESS, left->start);
	if (!x)
		return NULL;
	x->left = left;
	x->name = parser_text(p, p->tok.start, p->tok.end);
	parser_next(p);
	return x->name ? expr_grow(p, x) : NULL;
}

static struct ast_expr *parse_index_or_call(struct parser *p, struct ast_expr *left)
{
	bool call = p->tok.kind == TOKEN_LPAREN;
	struct ast_expr *x = expr_new(p, call ? AST_CALL : AST_INDEX, left->start);

	if (!x || !parser_enter(p))
		return NULL;
	x->left = left;
	parser_next(p);
	if (call) {
		x->first = parse_list(p, TOKEN_RPAREN, "expression list", parser_expr, &x->end);
	} else {
		x->right = parser_expr(p);
		x->end = p->tok.end;
		if (p->tok.kind == TOKEN_RBRACK)
			parser_next(p);
		else
			parser_error(p, "expected ], got %s", token_name(p->tok.kind));
		if (!x->right)
			x = NULL;
	}
	parser_leave(p);
	return expr_grow(p, x);
}

static struct ast_expr *parse_postfix(struct parser *p)
{
	struct ast_expr *x = parse_primary(p);

	while (x && !p->failed) {
		if (p->tok.kind == TOKEN_DOT)
			x = parse_access(p, x);
		else if (p->tok.kind == TOKEN_LBRACK || p->tok.kind == TOKEN_LPAREN)
			x = parse_index_or_call(p, x);
		else
			break;
	}
	return x;
}

static struct ast_expr *parse_unary(struct parser *p)
{
	struct ast_expr *x;

	if (p->tok.kind != TOKEN_SUB && p->tok.kind != TOKEN_NOT)
		return parse_postfix(p);
	x = expr_new(p, AST_UNARY, p->tok.start);
	if (!x || !parser_enter(p))
		return NULL;
	parser_next(p);
	x->left = parse_unary(p);
	parser_leave(p);
	if (!x->left)
		return NULL;
	x->end = x->left->end;
	return expr_grow(p, x);
}

static int precedence(enum token_kind kind)
{
	switch ((int)kind) {
	case TOKEN_OR:
		return 1;
	case TOKEN_AND:
		return 2;
	case TOKEN_EQ:
	case TOKEN_NEQ:
	case TOKEN_LT:
	case TOKEN_LTE:
	case TOKEN_GT:
	case TOKEN_GTE:
		return 3;
	case TOKEN_ADD:
	case TOKEN_SUB:
		return 4;
	case TOKEN_MUL:
	case TOKEN_DIV:
	case TOKEN_MOD:
		return 5;
	case TOKEN_POW:
		return PREC_POW;
	}
	return 0;
}

static struct ast_expr *parse_right(struct parser *p, int prec)
{
	struct ast_expr *x;

	if (prec != PREC_POW)
		return parse_binary(p, prec + 1);
	/* Right-associative: recurses once per operator. */
	if (!parser_enter(p))
		return NULL;
	x = parse_binary(p, prec);
	parser_leave(p);
	return x;
}

static struct ast_expr *parse_binary(struct parser *p, int least)
{
	struct ast_expr *left = parse_unary(p);

	while (left && !p->failed) {
		int prec = precedence(p->tok.kind);
		struct ast_expr *x;

		if (!prec || prec < least)
			break;
		x = expr_new(p, AST_BINARY, left->start);
		if (!x)
			break;
		parser_next(p);
		x->left = left;
		x->right = parse_right(p, prec);
		left = x->right ? x : NULL;
		if (left) {
			x->end = x->right->end;
			left = expr_grow(p, x);
		}
	}
	return left;
}

struct ast_expr *parser_expr(struct parser *p)
{
	return parse_binary(p, 1);
}
