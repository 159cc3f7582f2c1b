/* SPDX-License-Identifier: Apache-2.0 */
/* Reads /proc/PID/maps, a line at a time. */
#pragma once

#include "agent/base/macro.h"

struct proc_mapping {
	uint64_t start, end, offset, inode;
	uint64_t device; /* major << 32 | minor, as this text has them */
	bool writable, executable;
	const char
		*path; /* as the kernel writes it: "" none, "[heap]", escaped; valid for the call */
};

/* proc_fd: /proc/PID. Calls fn for each mapping until it returns something else than 0, and returns
 * that; or -ESRCH, -EACCES. Of very many mappings only the first megabytes of text are read. */
int proc_maps_read(int proc_fd, int (*fn)(void *data, const struct proc_mapping *m), void *data);
/* One line without its end. -EBADMSG. */
int proc_maps_parse(char *line, struct proc_mapping *ret);
