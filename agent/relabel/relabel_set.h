/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct relabel_set: the labels that rules work on, sorted by name. Strings are borrowed from the
 * caller or made by rules; those live until the set is reset. A label with an empty value is not
 * there (Prometheus model/labels).
 */
#pragma once

#include "agent/base/macro.h"

#define RELABEL_SET_MAX_BYTES (64u << 20) /* of strings that rules made */

struct relabel_label {
	const char *name, *value; /* C strings */
	size_t len;		  /* of the value */
	const void *origin;	  /* what the caller added with this value; NULL: a rule made it */
};

struct relabel_block;

struct relabel_set {
	struct relabel_label *v;
	size_t n, cap;
	struct relabel_block *blocks;
	size_t bytes;
	int failed; /* -ENOMEM, or -E2BIG: over RELABEL_SET_MAX_BYTES */
};

void relabel_set_done(struct relabel_set *s);
/* Empties; keeps memory for the next labels. */
void relabel_set_reset(struct relabel_set *s);
/* Borrows; replaces a value that is there; an empty one removes the label. */
void relabel_set_put(struct relabel_set *s, const char *name, const char *value, size_t len,
		     const void *origin);
/* NULL when it is not there. */
const struct relabel_label *relabel_set_get(const struct relabel_set *s, const char *name);
/* A copy of n bytes and a NUL that lives as long as the labels; NULL: failed. */
const char *relabel_set_keep(struct relabel_set *s, const void *p, size_t n);
