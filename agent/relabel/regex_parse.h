/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the parser share: the items, and the classes and escapes. */
#pragma once

#include "agent/relabel/regex_internal.h"

enum {
	REGEX_FOLD = 1 << 0,   /* (?i) */
	REGEX_LINES = 1 << 1,  /* (?m) */
	REGEX_DOT_NL = 1 << 2, /* (?s) */
	REGEX_LAZY = 1 << 3,   /* (?U) */
};

struct regex_parser {
	struct regex *re;
	struct regex_tree *tree;
	const char *all, *s, *end; /* the expression; what is not read yet */
	uint16_t flags;
	uint32_t *stack; /* nodes */
	size_t depth, stack_cap;
	const char *what, *at, *at_end; /* the first error */
};

/* Returns -EINVAL. */
int regex_error(struct regex_parser *p, const char *what, const char *at, const char *end);
/* The next character; UNICODE_INVALID at the end. */
int regex_next(struct regex_parser *p, uint32_t *ret);
/* Takes set. */
int regex_push_class(struct regex_parser *p, struct runes *set, bool negate);

/* regex_class.c */
/* [...] */
int regex_class(struct regex_parser *p);
/* \d, \pL and their kin added to set: 1; 0: p->s is at something else. */
int regex_escape_class(struct regex_parser *p, struct runes *set);
/* Any other escape: one character. */
int regex_escape(struct regex_parser *p, uint32_t *ret);
