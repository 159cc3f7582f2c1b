/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct process_scan: one walk over /proc, in steps, that tells of every process it can read.
 * Kernel threads (no executable) and processes that end meanwhile are left out.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/macro.h"
#include "discovery/cgroup.h"

struct process_options {
	bool exe, cwd, commandline, container_id, username, uid, cgroup_path;
};

/* Strings are borrowed for the call; "" where not asked for or unknown. */
struct process_info {
	uint32_t pid;
	uid_t uid;
	const char *exe, *cwd, *commandline, *username, *cgroup_path, *container_id;
};

typedef void (*process_fn)(const struct process_info *info, void *data);

struct process_scan;

/* proc: "/proc", or a directory of that shape. A negative errno when it cannot be listed. */
int process_scan_new(const char *proc, const struct process_options *o, struct process_scan **ret);
struct process_scan *process_scan_free(struct process_scan *s);
DEFINE_CLEANUP(struct process_scan *, process_scan_free)
/* Looks at up to `max` processes. 1: there are more; 0: done; a negative errno. */
int process_scan_step(struct process_scan *s, size_t max, process_fn fn, void *data);
/* Processes that exist but could not be read (for want of privileges, mostly). */
size_t process_scan_unreadable(const struct process_scan *s);
