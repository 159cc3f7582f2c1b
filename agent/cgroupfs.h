/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct cgroupfs: a hierarchy of control groups, opened at its root as the host sees it. There
 * are two that may tell containers apart: the one of version 2, and that of one controller of
 * version 1. Inside a container what is mounted ends at the container's own group; then the
 * hierarchy is opened anew, without mounting it anywhere, if the agent may.
 */
#pragma once

#include "agent/base/macro.h"

#define CGROUPFS_MAX	   2
#define CGROUPFS_DEPTH_MAX 24 /* kind in Docker with systemd: 8 */

struct cgroupfs {
	int fd;		/* the directory */
	char path[256]; /* its name for system calls that take no fd; valid while fd is open */
	uint64_t bit;	/* CGROUP_ID_V1 or 0: what the ids of its groups carry (bpf/types.h) */
	bool partial;	/* it begins at the agent's own group: others are not to be seen */
};

/*
 * Makes /proc/PID/cgroup and cgroupfs_open() show what the host shows, by joining the cgroup
 * namespace of the host's processes, when the agent sees them (else that of process 1). 1: joined;
 * 0: there is nothing to do; a negative errno: paths stay relative to the agent's own group.
 * Single-threaded programs only, once, at the start.
 */
int cgroupfs_join_host(void);

/*
 * The controller whose version 1 hierarchy tells containers apart on this host ("memory"...); NULL
 * when it has none. Ids are counted per hierarchy, so the kernel's side must mean the same one.
 */
const char *cgroupfs_controller(void);

/*
 * That of version 1, if there is one, comes first. The count, at most CGROUPFS_MAX; 0: no control
 * groups at all. To be closed by cgroupfs_close().
 */
int cgroupfs_open(struct cgroupfs ret[CGROUPFS_MAX]);
void cgroupfs_close(struct cgroupfs *c, size_t n);

/*
 * Calls fn for each group directly in the directory `path`. It ends with what fn returns when that
 * is negative. 0, or a negative errno.
 */
int cgroupfs_children(const char *path, int (*fn)(const char *name, void *data), void *data);
/*
 * The id of a group and whether it has groups below it; may_have_children is true when unknown.
 * path: from the directory `root` on, "" is that one.
 */
int cgroupfs_stat(int root, const char *path, uint64_t *ret_ino, bool *ret_may_have_children);
