/* SPDX-License-Identifier: Apache-2.0 */
/* Finds containers by id in the mounted cgroup hierarchies. */
#pragma once

#include "agent/base/macro.h"
#include "discovery/cgroup.h"

#define CONTAINER_ID_BYTES (CGROUP_ID_MAX + 1)

struct container {
	char id[CONTAINER_ID_BYTES];
	uint64_t cgroup; /* its id: the inode number of its directory; CGROUP_ID_V1 (bpf/types.h) */
};

/*
 * The controller whose version 1 hierarchy tells containers apart on this host ("memory"...); NULL
 * when none is mounted. Inode numbers are counted per hierarchy, so the kernel and
 * containers_find() must mean the same one.
 */
const char *containers_controller(void);

/*
 * Containers whose id begins with `prefix`, one entry a hierarchy; the caller frees *ret. The
 * count, 0 when there is none, or a negative errno.
 */
int containers_find(const char *prefix, struct container **ret);
/* The same in the hierarchy that is mounted at root. */
int containers_find_below(const char *root, const char *prefix, struct container **ret);
