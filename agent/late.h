/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct late: samples whose walk the kernel could not finish, because the rows of a file were not
 * loaded. They wait here, within a byte budget, for the rules; then the walk is finished over
 * the copied stack and the sample is counted like any other.
 */
#pragma once

#include "agent/stacks.h"
#include "unwinders/native.h"

struct late;

/*
 * ops are asked about each frame; -EAGAIN makes a sample wait. max_frames: user frames at which a
 * stack is cut, as in the kernel. ops, data and stacks are borrowed.
 */
struct late_options {
	const struct native_ops *ops; /* their data is a struct late_walk */
	void *data;
	struct stacks *stacks;
	size_t max_bytes; /* of the samples that wait */
	uint32_t max_frames;
	/* A stack is complete, or cut: its frames, for those who need more of its process. NULL. */
	void (*finished)(void *data, struct task_id id, const uint64_t *frames, uint32_t n);
};

/* What the ops are called with. */
struct late_walk {
	void *data;	   /* of the options */
	struct task_id id; /* whose stack it is */
};

int late_new(const struct late_options *o, struct late **ret);
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
