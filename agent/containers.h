/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct containers: the containers that run on this host, each an id and its control group, kept
 * up to date from the moment the group is made (inotify on the directories of the hierarchies).
 * Work is per group that comes or goes, not per process and not per look. Which paths are
 * containers: discovery/cgroup.h.
 */
#pragma once

#include "agent/base/loop.h"
#include "discovery/cgroup.h"

#define CONTAINER_ID_BYTES   (CGROUP_ID_MAX + 1)
#define CONTAINERS_MAX	     16384 /* groups that are followed; those beyond are not seen */
#define CONTAINERS_BATCH_MS  20	   /* groups that come or go within that are looked at together */
#define CONTAINERS_BUSY_MS   250   /* ... at most, twice as long each time that more follow */
#define CONTAINERS_YOUNG_MS  2000  /* a container is searched for others inside once it is so old */
#define CONTAINERS_RESCAN_MS 5000  /* when the system has no room for watches */

struct container {
	char id[CONTAINER_ID_BYTES];
	uint64_t cgroup; /* its id: the inode number of its directory; CGROUP_ID_V1 (bpf/types.h) */
};

struct containers;

/* A container is there, or (there: false) is gone. One with groups in both hierarchies comes once,
 * or twice: with the two groups. */
typedef void (*containers_fn)(const struct container *c, bool there, void *data);

/*
 * Looks at all groups before it returns, calling fn for each container, and later from the loop
 * for each that comes or goes. fn must not free it. 0 or a negative errno.
 */
int containers_new(struct loop *l, containers_fn fn, void *data, struct containers **ret);
/* Accepts NULL; returns NULL. */
struct containers *containers_free(struct containers *cs);
DEFINE_CLEANUP(struct containers *, containers_free)
/* fn for all that are there now: when those that are wanted are others. */
void containers_each(const struct containers *cs, containers_fn fn, void *data);

struct containers_counts {
	size_t groups, containers; /* now */
	uint64_t made, removed;	   /* groups, so far */
	uint64_t rescans, unseen;  /* whole looks after the first; groups over CONTAINERS_MAX */
	bool polled;		   /* without watches, every CONTAINERS_RESCAN_MS */
	bool partial;		   /* only groups below the agent's own can be seen */
};
struct containers_counts containers_counts(const struct containers *cs);

/*
 * Once, without a loop: containers whose id begins with `prefix`, one entry a group; the
 * caller frees *ret. The count, 0 when there is none, or a negative errno.
 */
int containers_find(const char *prefix, struct container **ret);
/* The same in the hierarchy that is mounted at root. */
int containers_find_below(const char *root, const char *prefix, struct container **ret);
/* Follows the tree at `root` instead of the host's hierarchies. */
int containers_new_below(struct loop *l, const char *root, containers_fn fn, void *data,
			 struct containers **ret);
