/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The runtimes that are built, by number, and what is known of the code that some of them make. The
 * list is the option `runtimes` of the build; nothing else names them all.
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

/*
 * What user space knows of the code without a file in a process. Unwind rows that the process has
 * registered are pages of a file that there is not: `file` (from FILE_ID_CODE on) belongs to this
 * process and to what it had registered when it was last read, offsets count from `start`.
 */
struct process_value {
	__u32 runtime; /* enum runtime_id */
	__u32 file;
	__u64 start, size; /* size 0: there are no rows */
};
_Static_assert(sizeof(struct process_value) == 24, "process_value");
