/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions to values (operator rules: grafana/alloy syntax/vm, read at 66ebea856dff). What a
 * name means comes from the standard library and from traversals that the graph has resolved.
 */
#pragma once

#include "agent/config/ast.h"
#include "agent/config/value.h"

struct eval {
	const struct source *source; /* borrowed: of the expressions */
	struct diag_list *diags;     /* borrowed */
	/*
	 * What a name or a traversal of names (AST_IDENT, AST_ACCESS) stands for: 0 with a new
	 * reference, -ENOENT when it is none of the graph's, -EINVAL (reported). Asked for the
	 * longest traversal first. NULL: there are no such names.
	 */
	int (*lookup)(const struct ast_expr *x, struct eval *e, struct value **ret);
	void *data; /* for lookup */
	/* Nothing runs: what components export now is not what they will export. */
	bool check_only;
	size_t lookups;	 /* names that lookup has resolved so far */
	size_t unknowns; /* arguments whose value depends on them, other than targets and receivers
			  */
};

/* What a component of other telemetry exports, and what cannot be known yet: whatever is inside it
 * is such a thing, too. */
extern const struct capsule_type capsule_ignored;

/* A new reference. -EINVAL: reported to diags; -ENOMEM: not. */
int eval_expr(struct eval *e, const struct ast_expr *x, struct value **ret);
/* Reports at x; returns -EINVAL. */
int eval_fail(struct eval *e, const struct ast_expr *x, const char *fmt, ...) _printf_(3, 4);
/* The text of an expression as written, for messages: one line, cut when long. */
void eval_text(const struct eval *e, const struct ast_expr *x, char *to, size_t size);

/* eval_op.c. The operands are borrowed. */
int eval_binary(struct eval *e, const struct ast_expr *x, const struct value *a,
		const struct value *b, struct value **ret);
int eval_unary(struct eval *e, const struct ast_expr *x, const struct value *a, struct value **ret);
