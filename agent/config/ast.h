/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax tree of one configuration file. Nodes live in the file's arena and point at their
 * source by offsets. Expression nodes are linked into lists by `next`: elements of an array,
 * fields of an object, arguments of a call.
 */
#pragma once

#include "agent/config/arena.h"
#include "agent/config/lexer.h"

enum ast_kind {
	AST_LITERAL, /* op says which; the value is in the source */
	AST_IDENT,   /* name */
	AST_ARRAY,   /* first: elements */
	AST_OBJECT,  /* first: AST_FIELD */
	AST_FIELD,   /* name, left */
	AST_PAREN,   /* left */
	AST_ACCESS,  /* left . name */
	AST_INDEX,   /* left [ right ] */
	AST_CALL,    /* left ( first... ) */
	AST_UNARY,   /* op left */
	AST_BINARY,  /* left op right */
};

struct ast_expr {
	enum ast_kind kind;
	enum token_kind op;
	uint32_t start, end;
	uint32_t height; /* of the tree below, bounded by the parser */
	const char *name;
	struct ast_expr *left, *right, *first, *next;
};

struct ast_body {
	struct ast_stmt *first;
	uint32_t start, end; /* of the braces; the whole file at the top level */
};

struct ast_stmt {
	struct ast_stmt *next;
	bool is_block, has_label;
	uint32_t start, end;
	uint32_t header_end;	/* of name and label */
	const char *name;	/* of a block: parts joined with dots */
	const char *label;	/* NULL: none, or "" */
	struct ast_expr *value; /* of an attribute */
	struct ast_body body;	/* of a block */
};

struct ast_file {
	struct source *source; /* owned */
	struct arena arena;
	struct ast_body body;
};
