/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names that every expression may use: constants and functions, in one table. Adding a
 * function is adding a line to the table in stdlib.c.
 */
#pragma once

#include "agent/config/eval.h"

struct stdlib_call {
	struct eval *eval;
	const struct ast_expr *expr; /* the call */
	struct value **args;	     /* borrowed */
	size_t n;
};

struct stdlib_entry {
	const char *name; /* "sys.env": the part before the dot is an object */
	size_t min, max;  /* arguments; max SIZE_MAX: any number */
	/* NULL: a constant, made by `constant`. */
	int (*call)(struct stdlib_call *c, struct value **ret);
	struct value *(*constant)(void);
	const char *instead; /* deprecated: what to write now */
	bool reads;	     /* parses its argument: which must be there to say what comes out */
};

/* Whether a traversal may begin with this name. */
bool stdlib_has(const char *name);
/* A new reference: an object for the first part of a dotted name. NULL without memory. */
struct value *stdlib_get(const char *name);
/* The replacement of a deprecated name, or NULL. */
const char *stdlib_instead(const char *name);
/* Checks the number of arguments and calls. -EINVAL is reported. */
int stdlib_call(const struct stdlib_entry *fn, struct stdlib_call *c, struct value **ret);
