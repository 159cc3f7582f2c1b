/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct regex: regular expressions with the syntax, the meaning and the error texts of Go's
 * package regexp (RE2 syntax; Go 1.24, regexp/syntax with Perl flags), because that is what
 * relabelling rules are written for.
 *
 * Why not PCRE2 behind a checker: the checker must be a complete parser of Go's syntax anyway;
 * what is left of a matcher are the few hundred lines of regex_match.c. A backtracking matcher
 * would need limits that refuse expressions which cost nothing in Go, differs in bytes that are no
 * UTF-8 (Go: each is U+FFFD) and in loops around what may be empty, and its case tables are
 * those of another version of Unicode. Here the time is linear in the text: every pair of
 * instruction and position is looked at once at most, whatever the expression is.
 *
 * Limits where Go has larger ones: REGEX_MAX_EXPRESSION, REGEX_MAX_PROGRAM.
 */
#pragma once

#include "agent/base/buf.h"

#define REGEX_MAX_EXPRESSION (256u << 10)
#define REGEX_MAX_PROGRAM    (1u << 18) /* instructions */
#define REGEX_MAX_RANGES     (1u << 18) /* of all character classes together */

struct regex;

/*
 * Compiles expr (any bytes) as regexp.Compile() does. -EINVAL with Go's message in why, such as
 * "error parsing regexp: missing closing ): `(`"; -ENOMEM.
 */
int regex_new(const char *expr, size_t n, struct regex **ret, char *why, size_t size);
/* The same for ^(?s:expr)$: the whole text must match, and a dot matches newlines too. */
int regex_new_whole(const char *expr, size_t n, struct regex **ret, char *why, size_t size);
struct regex *regex_free(struct regex *re);
DEFINE_CLEANUP(struct regex *, regex_free)

/* What matching needs besides; zeroed at first, reused, one for any number of expressions. */
struct regex_scratch {
	int32_t *groups; /* of the last match: start and end of each group, -1: not in it */
	size_t n_groups; /* with group 0, the whole match */
	struct regex_work *work;
};
void regex_scratch_done(struct regex_scratch *x);

/*
 * Searches the leftmost match, among those the one that the expression prefers. 1: x->groups is
 * set; 0: there is none; -E2BIG: it would take more than *budget steps (5 to 10 ns each), or more
 * than 64 MiB of memory; -ENOMEM. The steps that were taken are subtracted from *budget. n is at
 * most INT32_MAX.
 */
int regex_match(const struct regex *re, struct regex_scratch *x, const char *s, size_t n,
		uint64_t *budget);
/*
 * Appends the template with $1, ${1}, $name, ${name} replaced by the groups of the last match
 * against s (Regexp.Expand): the longest name counts, one that does not exist is empty, $$ is a
 * dollar.
 */
void regex_expand(const struct regex *re, const struct regex_scratch *x, const char *s,
		  const char *template, size_t n, struct buf *out);

/* For tests: only the matcher that needs little memory, which long texts are matched with. */
int regex_match_long(const struct regex *re, struct regex_scratch *x, const char *s, size_t n,
		     uint64_t *budget);
