/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the parser, statements and expressions, share. */
#pragma once

#include "agent/config/parser.h"

struct parser {
	struct lexer lexer;
	struct arena *arena; /* borrowed */
	struct token tok;    /* the next one */
	unsigned int depth;
	int failed; /* -ENOMEM, -E2BIG */
};

void parser_next(struct parser *p);
/* At the next token. */
void parser_error(struct parser *p, const char *fmt, ...) _printf_(2, 3);
/* Counts one level of nesting; false (reported) over the limit. parser_leave() undoes a true. */
bool parser_enter(struct parser *p);
void parser_leave(struct parser *p);
const char *parser_text(struct parser *p, uint32_t start, uint32_t end);
void *parser_alloc(struct parser *p, size_t n);
/* NULL when there is none (reported). */
struct ast_expr *parser_expr(struct parser *p);
