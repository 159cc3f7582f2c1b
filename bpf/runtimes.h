/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The runtimes that are built, by number. The list is the option `runtimes` of the build; nothing
 * else names them all.
 */
#pragma once

#include "bpf/types.h"

enum runtime_id {
	RUNTIME_NONE = 0,
#define RUNTIME(name, NAME) RUNTIME_##NAME,
#include "bpf/runtimes.inc"
#undef RUNTIME
	RUNTIME_MAX,
};
/* Room for their counters; four bits of a frame word. */
#define RUNTIMES_ROOM	  16
#define RUNTIME_STATS_MAX 16
_Static_assert(RUNTIME_MAX <= RUNTIMES_ROOM, "four bits");

/* A reason that every runtime has, as code 0: the frames of a loop that were not captured. */
#define RUNTIME_REASON_UNSEEN 0
