/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct lexer: source text to tokens of the Alloy language (grafana/alloy syntax/scanner, read at
 * 66ebea856dff), including the terminator that a line end stands for after an operand or a closing
 * bracket. Tokens are spans; text is decoded by the functions at the end.
 */
#pragma once

#include "agent/config/diag.h"

enum token_kind {
	TOKEN_ILLEGAL,
	TOKEN_EOF,
	TOKEN_TERMINATOR,
	TOKEN_IDENT,
	TOKEN_NUMBER,
	TOKEN_FLOAT,
	TOKEN_STRING, /* also raw strings */
	TOKEN_BOOL,
	TOKEN_NULL,
	TOKEN_OR,
	TOKEN_AND,
	TOKEN_NOT,
	TOKEN_ASSIGN,
	TOKEN_EQ,
	TOKEN_NEQ,
	TOKEN_LT,
	TOKEN_LTE,
	TOKEN_GT,
	TOKEN_GTE,
	TOKEN_ADD,
	TOKEN_SUB,
	TOKEN_MUL,
	TOKEN_DIV,
	TOKEN_MOD,
	TOKEN_POW,
	TOKEN_LCURLY,
	TOKEN_RCURLY,
	TOKEN_LPAREN,
	TOKEN_RPAREN,
	TOKEN_LBRACK,
	TOKEN_RBRACK,
	TOKEN_COMMA,
	TOKEN_DOT,
	TOKEN_MAX,
};

struct token {
	enum token_kind kind;
	uint32_t start, end;
};

struct lexer {
	const struct source *source; /* borrowed */
	struct diag_list *diags;     /* borrowed */
	uint32_t pos;
	uint32_t error_line; /* the last line an error was reported for: one a line */
	bool terminate;	     /* a line end here is a terminator */
};

struct lexer lexer_of(const struct source *s, struct diag_list *d);
/* After the end: TOKEN_EOF, for ever. Reports what is wrong itself and returns TOKEN_ILLEGAL. */
struct token lexer_next(struct lexer *l);
/* Reports an error unless the line of `start` has one already. */
void lexer_error(struct lexer *l, uint32_t start, uint32_t end, const char *fmt, ...)
	_printf_(4, 5);

/* As error messages call it: IDENT, NUMBER, or the punctuation itself. */
const char *token_name(enum token_kind kind);
bool token_is_identifier(const char *s, size_t n);
/*
 * The value of a string token (with its quotes), allocated and NUL-terminated; it may hold NUL
 * bytes. NULL without memory. The lexer has checked the escapes.
 */
char *token_string(const char *s, size_t n, size_t *ret_len);
