/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct late: samples whose walk the kernel could not finish, because the rows of a file were not
 * loaded. They wait here, within a byte budget, for their files; then the walk is finished over
 * the copied stack and the sample is counted like any other.
 */
#pragma once

#include "agent/files.h"
#include "agent/stacks.h"

struct late;

int late_new(struct files *files, struct stacks *stacks, size_t max_bytes, struct late **ret);
struct late *late_free(struct late *l);
DEFINE_CLEANUP(struct late *, late_free)

/* Walks on at once where possible, else queues a copy. */
void late_add(struct late *l, const struct event_late *e);
/* Goes on with what waited for files. */
void late_resume(struct late *l);
/* Counts what still waits as it is, cut for `reason`. */
void late_give_up(struct late *l, enum reason reason);
size_t late_waiting(const struct late *l);

struct late_stats {
	uint64_t samples, finished, complete, dropped; /* dropped: over the budget */
};
void late_get_stats(const struct late *l, struct late_stats *ret);
