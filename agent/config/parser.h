/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to syntax tree (grammar: grafana/alloy syntax/parser, read at 66ebea856dff). The parser
 * goes on after an error and reports at most one per line.
 */
#pragma once

#include "agent/config/ast.h"

#define PARSER_MAX_NESTING 200	       /* of brackets, blocks and prefix operators */
#define PARSER_MAX_HEIGHT  1000	       /* of an expression's tree: a + b + c + ... */
#define PARSER_MAX_BYTES   (64u << 20) /* of syntax tree per file */

/*
 * 0 with *ret, which then owns the source. -EBADMSG when something was reported to d (a file that
 * does not parse is not used in part), -ENOMEM, -E2BIG over PARSER_MAX_BYTES: the source stays
 * the caller's, and d points into it.
 */
int parser_parse(struct source *source, struct diag_list *d, struct ast_file **ret);
struct ast_file *ast_free(struct ast_file *f);
DEFINE_CLEANUP(struct ast_file *, ast_free)
