/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From counted stacks to a struct profile: each frame word gets its mapping, address and name.
 * Names are looked up now, once per distinct frame of the interval, in the tables of the files.
 */
#pragma once

#include "agent/export/profile.h"
#include "agent/files.h"
#include "agent/stacks.h"
#include "agent/tasks.h"
#include "bpf/runtimes.h"
#include "symbolizer/demangle.h"

struct jit_names;
struct runtimes;
struct kallsyms;

/* What names were found for, each frame as often as it was sampled. */
struct naming_stats {
	uint64_t frames, named;	       /* without those that stand for a missing part */
	uint64_t reasons[REASON_MAX];  /* samples with such a frame */
	uint64_t unnamed[UNNAMED_MAX]; /* native frames without a name, as often as sampled */
	/* Frames of runtimes, and samples with something missing in them. */
	uint64_t managed[RUNTIMES_ROOM], managed_named[RUNTIMES_ROOM],
		managed_reasons[RUNTIMES_ROOM];
};

struct naming {
	struct files *files; /* borrowed, as all here */
	struct tasks *tasks;
	struct runtimes *runtimes; /* NULL: frames of interpreters have no names */
	struct jit_names *jit;	   /* NULL: code without a file keeps its addresses */
	struct kallsyms *kallsyms; /* NULL: kernel frames keep their addresses */
	enum demangle_mode demangle;
	uint64_t period_ns;
	struct naming_stats *stats; /* added to; NULL: not wanted */
};

/* Adds every sample of the interval to p. 0 or -ENOMEM. */
int naming_fill(const struct naming *n, const struct stacks *stacks, struct profile *p);
