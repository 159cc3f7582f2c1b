/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tasks.h"

#include <fcntl.h>
#include <string.h>

#include "discovery/cgroup.h"

#define KEEP_INTERVALS 8
#define CGROUP_BYTES   8192
#define PATH_ROOM      (CGROUP_PATH_BYTES + 2) /* a "/" for each NUL; the last may have none */
#define TASKS_MAX      32768		       /* some 12 MB */

void tasks_done(struct tasks *t)
{
	HASH_FOREACH (s, &t->by_id)
		free((void *)(uintptr_t)s->value);
	hash_done(&t->by_id);
}

static ssize_t read_proc(uint32_t tgid, const char *what, char *to, size_t n)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t got;

	(void)snprintf(path, sizeof(path), "/proc/%u/%s", tgid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, to, n - 1);
	to[MAX(got, 0)] = '\0';
	return got;
}

/* The kernel's components, leaf first, as a path from the root. */
static void cgroup_path(const struct event_task *e, char path[PATH_ROOM])
{
	size_t end = MIN(e->path_bytes, (uint32_t)CGROUP_PATH_BYTES), at = 0;

	while (end > 0) {
		size_t start = end - 1, n;

		while (start > 0 && e->path[start - 1])
			start--;
		n = strnlen(e->path + start, end - start);
		path[at++] = '/';
		memcpy(path + at, e->path + start, n);
		at += n;
		end = start;
	}
	path[at] = '\0';
}

/*
 * What the kernel said of the cgroup needs nobody to be alive, nor a mounted hierarchy. /proc is
 * asked for the executable, and for the cgroups of version 1 hierarchies other than the one that
 * the kernel's path is from.
 */
static void task_describe(struct task *task, const struct event_task *e)
{
	char path[PATH_ROOM], text[CGROUP_BYTES];
	ssize_t n;

	cgroup_path(e, path);
	task->container[0] = '\0';
	if (e->id.mm) {
		(void)snprintf(text, sizeof(text), "/proc/%u/exe", task->id.tgid);
		n = readlink(text, task->exe, sizeof(task->exe) - 1);
		task->exe[MAX(n, 0)] = '\0';
		if (cgroup_path_id(path, strlen(path), task->container) < 0 && !path[0]) {
			n = read_proc(task->id.tgid, "cgroup", text, sizeof(text));
			if (n > 0)
				(void)cgroup_container_id(text, (size_t)n, task->container);
		}
	}
	service_name(
		&(struct service_of){
			.container = task->container,
			.cgroup_path = path,
			.exe = task->exe,
			.comm = task->comm,
			.is_kernel = e->flags & TASK_KERNEL,
		},
		task->service);
}

void tasks_on_event(struct tasks *t, const struct event_task *e)
{
	uint64_t v = hash_get(&t->by_id, task_key(e->id));
	struct task *task = v == HASH_NONE ? NULL : (struct task *)(uintptr_t)v;

	if (!task) {
		if (t->by_id.count >= TASKS_MAX)
			return;
		task = calloc(1, sizeof(*task));
		if (!task || hash_put(&t->by_id, task_key(e->id), (uintptr_t)task) < 0) {
			free(task);
			return;
		}
	}
	task->id = e->id;
	task->start_ns = e->start_ns;
	task->cgroup = e->cgroup;
	task->parent = e->parent;
	task->last_interval = t->interval;
	memcpy(task->comm, e->comm, TASK_COMM_BYTES);
	task->comm[TASK_COMM_BYTES] = '\0';
	task_describe(task, e);
}

const struct task *tasks_get(struct tasks *t, struct task_id id)
{
	uint64_t v = hash_get(&t->by_id, task_key(id));
	struct task *task;

	if (v == HASH_NONE)
		return NULL;
	task = (struct task *)(uintptr_t)v;
	task->last_interval = t->interval;
	return task;
}

void tasks_next_interval(struct tasks *t, void (*forget)(void *data, struct task_id id), void *data)
{
	struct hash kept = {0};

	t->interval++;
	HASH_FOREACH (s, &t->by_id) {
		struct task *task = (struct task *)(uintptr_t)s->value;

		if (t->interval - task->last_interval > KEEP_INTERVALS ||
		    hash_put(&kept, s->key, s->value) < 0) {
			forget(data, task->id);
			free(task);
		}
	}
	hash_done(&t->by_id);
	t->by_id = kept;
}
