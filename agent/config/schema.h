/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct schema: the arguments of a block as a table of options, from which decoding, defaults,
 * validation, comparison and help come. A C struct with one field per option holds the result.
 */
#pragma once

#include "agent/config/ast.h"
#include "agent/config/eval.h"

struct receiver;

enum option_type {		    /* and the C type of the field */
		   OPTION_BOOL,	    /* bool */
		   OPTION_INT,	    /* int64_t */
		   OPTION_FLOAT,    /* double */
		   OPTION_STRING,   /* char *, owned; never NULL after schema_init() */
		   OPTION_SECRET,   /* the same; takes strings and secrets */
		   OPTION_DURATION, /* int64_t, nanoseconds */
		   OPTION_STRINGS,  /* struct schema_strings */
		   OPTION_MAP,	    /* struct schema_map */
		   OPTION_MULTIMAP, /* the same from map(list(secret)): a name may come several
				       times, or not at all */
		   OPTION_TARGETS,  /* struct value *, owned: array of objects of strings; NULL when
				       absent */
		   OPTION_RECEIVERS, /* struct schema_receivers */
		   OPTION_ANY,	     /* struct value *, owned; NULL when absent */
		   OPTION_BLOCK,     /* a struct that begins with `bool set` */
		   OPTION_BLOCKS,    /* struct schema_blocks */
};

enum option_flags {
	OPTION_REQUIRED = 1 << 0,
	OPTION_DEPRECATED = 1 << 1, /* accepted without effect, with a warning */
	OPTION_LATER = 1 << 2,	    /* not built yet: a warning when it is not the default */
	OPTION_REFUSED = 1 << 3,    /* not built yet: an error, as ignoring it would do harm */
	OPTION_LABELLED = 1 << 4,   /* the blocks have a label, which nobody has needed yet */
};

struct option {
	const char *name;
	enum option_type type;
	const char *value; /* the default, as text; NULL: zero or empty */
	unsigned int flags;
	size_t offset;
	const struct schema *block;
	const char *help; /* one line; for OPTION_REFUSED what to do instead */
	/* OPTION_STRING: 0, or -EINVAL with what is wrong with the text. May be NULL. */
	int (*check)(const char *text, char *ret_why, size_t size);
};

struct schema {
	size_t size; /* of the struct */
	const struct option *options;
	size_t n;
	/* 0, or -EINVAL with a message for the block as a whole. May be NULL. */
	int (*validate)(const void *args, char *ret_why, size_t size);
	const char *later; /* what is not built yet of the whole block: a warning. May be NULL. */
};

#define SCHEMA_MAX_OPTIONS 64

struct schema_strings {
	char **v;
	size_t n;
};

struct schema_pair {
	char *name, *value;
};

struct schema_map {
	struct schema_pair *v; /* sorted by name */
	size_t n;
};

struct schema_receivers {
	struct receiver **v; /* the array is owned, the receivers are borrowed */
	size_t n;
};

struct schema_blocks {
	void *v; /* n structs of the block's schema */
	size_t n;
};

/* Sets the defaults in a zeroed struct. 0 or -ENOMEM; schema_done() is due in any case. */
int schema_init(const struct schema *s, void *args);
void schema_done(const struct schema *s, void *args);
/*
 * Evaluates and stores the body over what schema_init() left. Everything that is wrong is
 * reported to e->diags. 0, -EINVAL (reported), -ENOMEM.
 */
int schema_decode(const struct schema *s, const struct ast_stmt *block, struct eval *e, void *args);
bool schema_equal(const struct schema *s, const void *a, const void *b);
/* schema_view.c: all options as a new object; secrets are capsules, durations text, a block that is
 * not there null. NULL without memory. */
struct value *schema_value(const struct schema *s, const void *args);

/* schema_value.c: one value into the field of an option. x is what the value was written as. */
int schema_store(const struct option *o, struct eval *e, const struct ast_expr *x, struct value *v,
		 void *field);
void schema_clear(const struct option *o, void *field);
