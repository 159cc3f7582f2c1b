/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct tasks: who the samples belong to. The kernel announces a process when it is first
 * sampled, and again after it called exec; entries that were not sampled for a while go. Their
 * number is bounded: a storm of processes within one interval leaves the last ones without names.
 */
#pragma once

#include "agent/base/hash.h"
#include "bpf/types.h"
#include "discovery/cgroup.h"
#include "discovery/service.h"

struct task {
	struct task_id id;
	uint64_t start_ns; /* boot time */
	uint64_t cgroup;
	uint32_t parent;
	uint32_t last_interval;
	char comm[TASK_COMM_BYTES + 1];
	char exe[256]; /* path, "" when the process was gone before it could be read */
	char container[CGROUP_ID_MAX + 1];  /* id, "" outside of containers */
	char service[SERVICE_NAME_MAX + 1]; /* as discovery/service.h names it */
};

struct tasks {
	struct hash by_id; /* -> pointer to struct task */
	uint32_t interval;
};

/* Different ids have the same key once in many years. */
static inline uint64_t task_key(struct task_id id)
{
	uint64_t key = hash_mix((uint64_t)id.tgid << 32 | id.mm);

	return id.tid || id.name ? hash_mix(key ^ ((uint64_t)id.tid << 32 | id.name)) : key;
}

void tasks_done(struct tasks *t);
void tasks_on_event(struct tasks *t, const struct event_task *e);
/* NULL when it was never announced (the record was lost). Marks it as used. */
const struct task *tasks_get(struct tasks *t, struct task_id id);
/* Lets go of processes that were not sampled for a while; `forget` is told, so that the kernel
 * announces them when they are sampled again. */
void tasks_next_interval(struct tasks *t, void (*forget)(void *data, struct task_id id),
			 void *data);
