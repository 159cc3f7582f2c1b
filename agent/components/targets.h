/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct targets: the targets of a profiler, found by process or by container, and the labels of
 * the series that a target's profiles go to. Rules: pyroscope.ebpf of Grafana Alloy, 66ebea856dff.
 */
#pragma once

#include "agent/base/hash.h"
#include "agent/config/value.h"
#include "agent/labels.h"

/* What has come of a target since it was listed first. */
struct target_stats {
	uint64_t samples, profiles;
	uint64_t last_ms;   /* of the last profile, CLOCK_REALTIME; 0: none yet */
	uint32_t processes; /* that were sampled in the last interval with any */
};

struct target {
	struct value *labels;	  /* all of them, as they were listed: an object of strings */
	uint32_t pid;		  /* 0: not by process */
	const char *container_id; /* among the labels; NULL: not by container */
	/* Which process the pid was when it was listed (field 22 of /proc/PID/stat): not a later
	 * one that got the same id. 0: none so far. */
	uint64_t start_ticks;
	uint64_t
		gone_ms; /* when that process was found to be gone, CLOCK_MONOTONIC; 0: it is not */
	struct target_stats stats;
};

struct targets {
	struct target *v;
	size_t n, cap, unusable;  /* unusable: neither a process nor a container */
	struct hash by_pid;	  /* pid -> index */
	struct hash by_container; /* hash of the id -> index, the string decides */
};

void targets_done(struct targets *t);
/* A new index. list: as OPTION_TARGETS stores it; NULL: none. 0 or -ENOMEM. */
int targets_new(const struct value *list, struct targets *ret);
/*
 * `fresh`, which becomes empty, takes the place of what is in t. A target of the same process or
 * container keeps its stats, with the same labels also its process. `retired` gets those that are
 * not there any more: what was sampled of them is theirs.
 */
void targets_replace(struct targets *t, struct targets *fresh, struct targets *retired);
/* Is there a target in both that would get another series? */
bool targets_renamed(const struct targets *t, const struct targets *fresh, const char *prefix);
/*
 * By process, else by container (NULL or "": none); NULL when there is none. start_ns: when the
 * process started, since boot; 0: unknown.
 */
struct target *targets_find(const struct targets *t, uint32_t pid, uint64_t start_ns,
			    const char *container_id);
/*
 * Finds out which processes the pids are that are none so far. `listed`: the list is fresh; then
 * a process that has been gone for longer than discoveries take to notice makes room for the one
 * that has its id now.
 */
void targets_bind(struct targets *t, bool listed);

/*
 * The labels of the series: those of the target that do not start with "__", service_name,
 * __name__ process_cpu, and __process_pid__ or __container_id__, for rules on the way (what sends
 * drops them). `prefix` is what a name from Kubernetes begins with: "ebpf". -ENOMEM.
 */
int targets_series(const struct target *t, const char *prefix, struct label_set *ret);
