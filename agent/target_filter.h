/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct target_filter: keeps the kernel's filter (bpf/types.h, enum filter_mode) the same as a
 * list of targets: their processes by id and start, and the control groups of their containers,
 * whichever of target and group comes first. So processes that no target names end after two
 * look-ups, in the kernel.
 */
#pragma once

#include "agent/components/targets.h"
#include "agent/containers.h"
#include "agent/profiler.h"

struct target_filter {
	struct profiler *profiler;     /* borrowed, as the targets */
	const struct targets *targets; /* at the same place when they change */
	struct containers *containers;
	struct hash pids;    /* in the kernel now: pid -> start_ticks */
	struct hash cgroups; /* in the kernel now: cgroup id -> the sync that last met it */
	uint64_t syncs;
	bool syncing, everything, full_logged;
};

/* Until the first sync nothing is let through. 0 or a negative errno. */
int target_filter_init(struct target_filter *f, struct loop *loop, struct profiler *p,
		       const struct targets *targets);
void target_filter_done(struct target_filter *f);
/* The targets are others. everything: the whole host is profiled, nothing is filtered. */
void target_filter_sync(struct target_filter *f, bool everything);

/* Running containers: those that targets name, and fn for each other one. A container with groups
 * in two hierarchies may count twice. */
struct target_filter_counts {
	size_t matched, unmatched;
};
struct target_filter_counts target_filter_count(const struct target_filter *f,
						void (*unmatched)(const char *id, void *data),
						void *data);
