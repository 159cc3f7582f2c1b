/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this directory share: files in memory, tables made of them, other tools' view.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;
struct table;

/* The bytes of a file (free()); the test fails when it can not be read. */
uint8_t *fixture_read(const char *path, size_t *ret_bytes);
/* The table that the child would write for the file; NULL and *ret_r < 0 when it names nothing. */
struct table *fixture_table(const char *path, int *ret_r);
struct table *fixture_table_of(struct objfile *o, int *ret_r);
/* A table from a copy of the bytes, as the agent would open it; NULL when it is refused. */
struct table *fixture_table_open(const void *bytes, size_t n, bool verify);

/* A symbol as nm(1) prints it. */
struct fixture_symbol {
	uint64_t start, size;
	char type;
	char *name; /* without a version */
};
struct fixture_symbols {
	struct fixture_symbol *v; /* code symbols only, by address */
	size_t n;
};
/* Output of nm with an option ("-D" or ""). */
void fixture_nm(const char *path, const char *option, struct fixture_symbols *ret);
void fixture_symbols_done(struct fixture_symbols *s);
/* The innermost sized symbol's start that covers addr (UINT64_MAX: none), as the file tells. */
uint64_t fixture_covering(const struct fixture_symbols *s, uint64_t addr);
bool fixture_is_name_at(const struct fixture_symbols *s, uint64_t start, const char *name);
/* The same numbers in each run. */
uint64_t fixture_random(uint64_t *state);
