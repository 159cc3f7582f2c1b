/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of struct regex: the tree that regex_parse.c makes, the program regex_prog.c makes of it.
 */
#pragma once

#include "agent/relabel/regex.h"
#include "agent/relabel/runes.h"

#define REGEX_MAX_DEPTH	 1000 /* nested operators; Go: maxHeight */
#define REGEX_MAX_REPEAT 1000

enum re_op {
	RE_EMPTY,
	RE_RUNE,  /* arg: the character */
	RE_CLASS, /* arg: index of the class */
	RE_ANY,
	RE_ANY_NOT_NL,
	RE_LOOK,  /* arg: enum regex_look */
	RE_GROUP, /* arg: its number */
	RE_STAR,
	RE_PLUS,
	RE_QUEST,
	RE_REPEAT,
	RE_CONCAT,
	RE_ALTERNATE,
	RE_PAREN, /* only on the parser's stack, as the next one */
	RE_BAR,
};

enum regex_look {
	LOOK_BEGIN_LINE = 1 << 0,
	LOOK_END_LINE = 1 << 1,
	LOOK_BEGIN_TEXT = 1 << 2,
	LOOK_END_TEXT = 1 << 3,
	LOOK_WORD = 1 << 4,
	LOOK_NOT_WORD = 1 << 5,
};

struct re_node {
	uint8_t op;	  /* enum re_op */
	bool lazy;	  /* of repetitions */
	uint16_t height;  /* 1 without children */
	uint16_t flags;	  /* RE_PAREN: those that hold again behind it */
	int32_t min, max; /* RE_REPEAT; max -1: no limit */
	uint32_t arg;
	uint32_t child, next; /* nodes; 0: none */
};

struct regex_class {
	struct runes set;
	uint64_t ascii[2];
};

struct regex_tree {
	struct re_node *nodes; /* [0] is not used */
	size_t n, cap;
	uint32_t root;
};

enum inst_op {
	INST_FAIL,
	INST_MATCH,
	INST_ALT, /* out before arg */
	INST_CAP, /* arg: index in groups */
	INST_LOOK,
	INST_NOP,
	INST_RUNE,
	INST_CLASS,
	INST_ANY,
	INST_ANY_NOT_NL,
};

struct inst {
	uint8_t op; /* enum inst_op */
	uint32_t arg, out;
};

struct regex {
	struct regex_class *classes;
	size_t n_classes, cap_classes, n_ranges;
	char **names;	   /* by group number; NULL: has none */
	size_t n_groups;   /* with group 0 */
	struct inst *prog; /* [0] is INST_FAIL */
	uint32_t n_prog, start;
	bool anchored; /* matches at the start of the text only */
	/* What the text must begin with; whole: and be. */
	char *prefix;
	size_t prefix_len;
	bool prefix_whole;
	bool everything; /* matches any text whole, as all of its groups do */
};

/* -EINVAL with Go's message in why. Fills classes, names and n_groups of re. */
int regex_parse(const char *expr, size_t n, struct regex *re, struct regex_tree *ret, char *why,
		size_t size);
void regex_tree_done(struct regex_tree *t);
/* Writes Go's message: what is wrong, and with which part. */
void regex_say(const char *what, const char *at, size_t n, char *why, size_t size);
/* -E2BIG: too large. */
int regex_compile(struct regex *re, const struct regex_tree *t);
