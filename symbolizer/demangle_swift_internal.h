/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the reader of Swift's names. Its mangling is a program for a stack machine:
 * identifiers and types are pushed, operators (letters) pop what they need. A node is the text of
 * what it names, and as much of its kind as the operators ask for. demangle_swift_stack.c is the
 * machine, demangle_swift_types.c has the operators for types, demangle_swift.c those for what a
 * symbol names. Whatever does not fit sets `failed`, and everything goes on without effect.
 */
#pragma once

#include "symbolizer/demangle_swift.h"

#define SWIFT_STACK_MAX	 128
#define SWIFT_SUBST_MAX	 256
#define SWIFT_WORDS_MAX	 26
#define SWIFT_TEXT_MAX	 8192
#define SWIFT_NUMBER_MAX 4096

enum swift_kind {
	SWIFT_IDENT,
	SWIFT_TYPE,   /* types and protocols */
	SWIFT_ENTITY, /* functions, variables: what a symbol names, and a context */
	SWIFT_MODULE,
	SWIFT_MARK,	  /* '_' before the first element of a list */
	SWIFT_EMPTY,	  /* 'y', a list without elements */
	SWIFT_ANNOTATION, /* async, throws and the like before a function's type is closed */
	SWIFT_VARIADIC,
	SWIFT_SIGNATURE,
	SWIFT_REQUIREMENT,
};

struct swift_node {
	uint8_t kind;
	uint8_t n;	    /* SWIFT_TYPE: elements of a tuple, or parameters of a function */
	uint16_t at, bytes; /* in text */
};

struct swift {
	const char *p, *end;
	bool labels, failed;
	bool old;  /* 4.x */
	bool done; /* the rest of the name is not of interest */
	size_t n_stack, n_subst, n_words, n_text;
	struct swift_node stack[SWIFT_STACK_MAX], subst[SWIFT_SUBST_MAX];
	struct {
		const char *s;
		size_t n;
	} words[SWIFT_WORDS_MAX];
	char text[SWIFT_TEXT_MAX];
};

/* ---- demangle_swift_stack.c ---- */

/* Text is added behind what was added before; at swift_node_end() it becomes a node. */
void swift_add(struct swift *s, const char *p, size_t n);
void swift_adds(struct swift *s, const char *p);
void swift_add_node(struct swift *s, const struct swift_node *n);
struct swift_node swift_node_begin(const struct swift *s, enum swift_kind kind);
void swift_node_end(struct swift *s, struct swift_node *n);
void swift_push(struct swift *s, struct swift_node n);
void swift_push_text(struct swift *s, enum swift_kind kind, const char *text);
/* Keeps the top for substitutions. */
void swift_remember(struct swift *s);
/* The top, if it is of that kind; take: anything else is a failure. */
bool swift_pop(struct swift *s, enum swift_kind kind, struct swift_node *ret);
bool swift_drop(struct swift *s, enum swift_kind kind);
struct swift_node swift_take(struct swift *s, enum swift_kind kind);
struct swift_node swift_take_context(struct swift *s);

char swift_next(struct swift *s);
bool swift_next_if(struct swift *s, char c);
/* -1: there is none. */
int swift_natural(struct swift *s);
/* "_" is 0, "0_" is 1. */
int swift_index_of(struct swift *s);
/* What is behind its letter in a list of letters and names; NULL: not there. */
const char *swift_name_of(const char *const *list, size_t n, char c);

static inline bool swift_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool swift_is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool swift_is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* ---- demangle_swift_types.c: operators, by what they are for ---- */

void swift_identifier(struct swift *s);
void swift_operator_name(struct swift *s);
void swift_local_name(struct swift *s);
void swift_standard(struct swift *s);
void swift_substitutions(struct swift *s);
void swift_nominal(struct swift *s);
void swift_archetype(struct swift *s);
void swift_bound_generic(struct swift *s);
void swift_tuple(struct swift *s);
void swift_protocol_list(struct swift *s);
void swift_function_type(struct swift *s);
void swift_special_type(struct swift *s);
void swift_annotation(struct swift *s);
void swift_builtin(struct swift *s);
void swift_requirement(struct swift *s);
void swift_signature(struct swift *s);
void swift_signature_with_counts(struct swift *s);
void swift_generic_parameter(struct swift *s);
/* Result, parameters and annotations; how many parameters there are. */
uint8_t swift_take_function_type(struct swift *s);
