/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct value: an immutable, reference-counted value of the Alloy language. Constructors take
 * over what they are given also when they fail, so that calls can be nested; they return NULL
 * without memory, and value_array()/value_object()/value_string() also over their limits.
 */
#pragma once

#include "agent/base/macro.h"

#define VALUE_MAX_ITEMS	 (1u << 20) /* elements of an array, fields of an object */
#define VALUE_MAX_STRING (16u << 20)

enum value_kind {
	VALUE_NULL,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_BOOL,
	VALUE_ARRAY,
	VALUE_OBJECT,
	VALUE_FUNCTION,
	VALUE_CAPSULE,
};

/* In the order in which operators widen them. */
enum number_kind { NUMBER_UINT, NUMBER_INT, NUMBER_FLOAT };

struct number {
	enum number_kind kind;
	union {
		uint64_t u;
		int64_t i;
		double f;
	};
};

/* Something opaque that components hand each other. Two of one type are the same kind of thing. */
struct capsule_type {
	const char *name;
	void (*free)(void *data);		     /* NULL: the data is borrowed */
	bool (*equal)(const void *a, const void *b); /* NULL: same pointer */
};

struct value_field {
	const char *key; /* text of a struct value_key; NULL in an array's list */
	struct value *value;
};

/* Objects share the text of their keys. */
struct value_key {
	uint32_t refs; /* VALUE_KEY_STATIC: it is part of the program, and not counted */
	char text[];
};
#define VALUE_KEY_STATIC UINT32_MAX
#define VALUE_KEY_STRUCT(s)           \
	struct {                      \
		uint32_t refs;        \
		char text[sizeof(s)]; \
	}
/* A const struct value_key * for a literal: in a function, and in a table outside of functions. */
#define VALUE_KEY(s)                                                           \
	({                                                                     \
		static const VALUE_KEY_STRUCT(s) _key = {VALUE_KEY_STATIC, s}; \
		(const struct value_key *)&_key;                               \
	})
#define VALUE_KEY_CONST(s) \
	((const struct value_key *)&(const VALUE_KEY_STRUCT(s)){VALUE_KEY_STATIC, s})

/* One allocation: text, elements and fields follow it. */
struct value {
	uint32_t refs;
	enum value_kind kind;
	union {
		bool b;
		struct number n;
		struct {
			char *s; /* NUL-terminated, may hold NUL bytes */
			size_t len;
		};
		struct {
			struct value **items;
			size_t n_items;
		};
		struct {
			struct value_field *fields; /* sorted by key, each key once */
			size_t n_fields;
		};
		const struct stdlib_entry *fn;
		struct {
			const struct capsule_type *type;
			void *data;
		};
	};
};

/* A string that is not to be shown; its data is an allocated C string. */
extern const struct capsule_type capsule_secret;
/* Text from a file or a server, which its owner may have declared a secret. */
struct optional_secret {
	bool secret;
	size_t len;
	char text[]; /* NUL-terminated, may hold NUL bytes */
};
/* A struct optional_secret: as one of the two kinds of text it is converted, compared and added. */
extern const struct capsule_type capsule_optional_secret;
/* Where profiles go; its data is a borrowed struct receiver *. */
extern const struct capsule_type capsule_receiver;

struct value *value_ref(struct value *v);
/* Accepts NULL; returns NULL. */
struct value *value_unref(struct value *v);
DEFINE_CLEANUP(struct value *, value_unref)
#define _cleanup_value_ _cleanup_(value_unrefp)

struct value *value_null(void);
struct value *value_bool(bool b);
struct value *value_number(struct number n);
struct value *value_int(int64_t i);
struct value *value_string(const char *s, size_t len);
struct value *value_cstr(const char *s);
struct value *value_function(const struct stdlib_entry *fn);
struct value *value_capsule(const struct capsule_type *type, void *data);
struct value *value_secret(const char *s);
struct value *value_optional_secret(const char *s, size_t len, bool secret);
/*
 * The text of a string, a secret or an optional secret, borrowed; NULL when v is none of them.
 * *ret_secret: it may go nowhere but into another secret.
 */
const char *value_text(const struct value *v, size_t *ret_len, bool *ret_secret);

#define VALUE_LIST_FEW 24 /* a target has about so many fields */

/* Collects what value_array() or value_object() will own; zero-initialised. */
struct value_list {
	size_t n, cap; /* cap 0: the items are in few */
	bool failed;
	struct value_field *many;
	struct value_field few[VALUE_LIST_FEW];
};
void value_list_done(struct value_list *l);
/* Takes v, copies key. v NULL makes the list failed. */
void value_list_add(struct value_list *l, const char *key, struct value *v);
/* The same without a copy. */
void value_list_put(struct value_list *l, const struct value_key *key, struct value *v);
/* The same field as another object or list has: more references, no copies. */
void value_list_share(struct value_list *l, const struct value_field *f);
void value_list_share_all(struct value_list *l, const struct value *object);
/* Borrowed: what is in it so far. */
const struct value_field *value_list_get(const struct value_list *l, size_t i);
/* Empty the list. A key that comes twice keeps its last value. */
struct value *value_array(struct value_list *l);
struct value *value_object(struct value_list *l);

/* An object with the fields of both; those of b win. NULL without memory. */
struct value *value_merge(const struct value *a, const struct value *b);

/* Borrowed; NULL when there is none. */
struct value *value_get(const struct value *object, const char *key);
bool value_equal(const struct value *a, const struct value *b);
/* null, number, string, bool, array, object, function, capsule. */
const char *value_kind_name(const struct value *v);
double number_float(struct number n);
/* As the language prints it where a string is wanted: never with an exponent. */
void number_format(struct number n, char *to, size_t size);
#define NUMBER_TEXT 400
/*
 * The fewest digits that read back as f (finite), as %e writes them; returns how many are behind
 * the point.
 */
int number_digits(double f, char *to, size_t size, int *ret_exponent);
#define NUMBER_DIGITS 40
