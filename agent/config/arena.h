/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct arena: memory that is given back all at once, with a maximum. The syntax tree of one
 * configuration file lives in one.
 */
#pragma once

#include "agent/base/macro.h"

struct arena {
	struct arena_block *blocks; /* owned list, newest first */
	size_t used, max;	    /* bytes given out, and how many may be */
};

#define ARENA_INIT(maximum) ((struct arena){.max = (maximum)})

void arena_done(struct arena *a);
/* Zeroed and aligned for any type; NULL over the maximum or without memory. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy of n bytes with a NUL behind them; NULL as above. */
char *arena_strndup(struct arena *a, const char *s, size_t n);
