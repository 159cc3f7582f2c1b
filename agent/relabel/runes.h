/* SPDX-License-Identifier: Apache-2.0 */
/* struct runes: a set of characters as ranges, as regular expressions write them. */
#pragma once

#include "agent/base/macro.h"

struct rune_range {
	uint32_t lo, hi;
};

struct runes {
	struct rune_range *v;
	size_t n, cap;
	int failed; /* -ENOMEM */
};

void runes_done(struct runes *s);
/* In any order; runes_clean() makes it sorted and disjoint. */
void runes_add(struct runes *s, uint32_t lo, uint32_t hi);
/* With all that differ from one of them only in case. */
void runes_add_folded(struct runes *s, uint32_t lo, uint32_t hi);
/* All of `from` (clean), or all that are not in it. */
void runes_add_set(struct runes *s, const struct runes *from, bool negated);
void runes_clean(struct runes *s);
/* Of a clean set; it stays clean. */
void runes_negate(struct runes *s);
