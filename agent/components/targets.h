/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct targets: the targets of a profiler, found by process or by container, and the labels of
 * the series that a target's profiles go to. Rules: pyroscope.ebpf of Grafana Alloy, 66ebea856dff.
 */
#pragma once

#include "agent/base/hash.h"
#include "agent/config/value.h"
#include "agent/labels.h"

struct target {
	struct label_set labels; /* all of them */
	uint32_t pid;		 /* 0: not by process */
	char *container_id;	 /* NULL: not by container */
};

struct targets {
	struct target *v;
	size_t n, unusable;	  /* unusable: neither a process nor a container */
	struct hash by_pid;	  /* pid -> index */
	struct hash by_container; /* hash of the id -> index, the string decides */
};

void targets_done(struct targets *t);
/* list: as OPTION_TARGETS stores it; NULL: none. Replaces what was there; keeps it on failure. */
int targets_set(struct targets *t, const struct value *list);
/* By process, else by container (NULL or "": none); NULL when there is none. */
const struct target *targets_find(const struct targets *t, uint32_t pid, const char *container_id);

/*
 * The labels of the series: those of the target that do not start with "__", service_name, and
 * __name__ process_cpu. `prefix` is what a name from Kubernetes begins with: "ebpf". -ENOMEM.
 */
int targets_series(const struct target *t, const char *prefix, struct label_set *ret);
