/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct intern: each distinct string once, named by a dense u32 id. Id 0 is always "".
 * Strings live until intern_done(); pointers stay valid while the table grows.
 */
#pragma once

#include "agent/base/hash.h"

struct intern {
	char **blocks; /* owned: chunks the strings are packed into */
	const char **strings;
	size_t n_strings, cap_strings, n_blocks, block_used, block_size;
	size_t bytes;	     /* what the strings take, for budgets */
	struct hash by_hash; /* hash of the bytes -> id, collisions chained by next[] */
	uint32_t *next;
};

#define INTERN_INVALID UINT32_MAX

void intern_done(struct intern *t);
/* The id of the n bytes at s (no NUL inside is assumed; copied), INTERN_INVALID without memory. */
uint32_t intern_bytes(struct intern *t, const char *s, size_t n);
uint32_t intern_str(struct intern *t, const char *s);
/* The same without adding: INTERN_INVALID when it is not there. */
uint32_t intern_find(const struct intern *t, const char *s, size_t n);
/* Borrowed; "" for an id that was never given out. */
const char *intern_get(const struct intern *t, uint32_t id);
