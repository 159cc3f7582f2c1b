/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/runtimes.h"

#include <errno.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/log.h"
#include "agent/profiler.h"
#include "unwinders/runtime.h"

#define HELD_STACKS 16 /* some hundred microseconds */

struct runtimes {
	struct runtimes_options o;
	struct processes *processes;
	void *names[RUNTIMES_ROOM];
	struct hash files; /* file id -> enum runtime_id, also of those that are not wanted */
	struct target_pages pages; /* of the process whose stacks come now */
	uint32_t n_held;	   /* stacks that they were read for */
	struct runtimes_stats stats;
};

#define FOREACH_RUNTIME(rt)                                                         \
	for (uint32_t rt##_id = RUNTIME_NONE + 1; rt##_id < RUNTIME_MAX; rt##_id++) \
		for (const struct runtime *rt = runtime_get(rt##_id); rt; rt = NULL)

static bool is_wanted(void *data, const struct runtime *rt)
{
	const struct runtimes *r = data;

	return !(r->o.disabled & 1u << rt->id);
}

static int code_of(void *data, struct process_key key, struct process_value *v)
{
	const struct runtimes *r = data;

	return r->o.code(r->o.data, key, v);
}

static void on_ready(void *data)
{
	struct runtimes *r = data;

	r->o.ready(r->o.data);
}

int runtimes_new(const struct runtimes_options *o, struct runtimes **ret)
{
	_cleanup_(runtimes_freep) struct runtimes *r = calloc(1, sizeof(*r));
	const struct processes_options processes = {
		.loop = o->loop,
		.profiler = o->profiler,
		.tables = o->tables,
		.wanted = is_wanted,
		.code = code_of,
		.ready = on_ready,
		.data = r,
	};
	int result;

	if (!r)
		return -ENOMEM;
	r->o = *o;
	result = processes_new(&processes, &r->processes);
	FOREACH_RUNTIME(rt)
	result = result < 0 ? result : rt->names_new(&r->names[rt->id]);
	if (result < 0)
		return result;
	*ret = TAKE_PTR(r);
	return 0;
}

struct runtimes *runtimes_free(struct runtimes *r)
{
	if (!r)
		return NULL;
	FOREACH_RUNTIME(rt)
	if (r->names[rt->id])
		rt->names_free(r->names[rt->id]);
	processes_free(r->processes);
	hash_done(&r->files);
	free(r);
	return NULL;
}

uint32_t runtimes_bit(const char *name)
{
	FOREACH_RUNTIME(rt)
	if (!strcmp(rt->name, name))
		return 1u << rt->id;
	return 0;
}

int runtimes_parse(const char *text, uint32_t *ret_disabled)
{
	uint32_t wanted = 0;

	if (!strcmp(text, "all"))
		wanted = UINT32_MAX;
	else if (strcmp(text, "none") != 0) {
		while (*text) {
			size_t n = strcspn(text, ",");
			char name[32];
			uint32_t bit;

			(void)snprintf(name, sizeof(name), "%.*s", (int)MIN(n, sizeof(name) - 1),
				       text);
			bit = runtimes_bit(name);
			if (!bit)
				return -EINVAL;
			wanted |= bit;
			text += n + (text[n] == ',');
		}
	}
	*ret_disabled = ~wanted;
	return 0;
}

bool runtimes_set_disabled(struct runtimes *r, uint32_t disabled)
{
	if (r->o.disabled == disabled)
		return false;
	r->o.disabled = disabled;
	processes_forget(r->processes);
	return true;
}

/* ---- files ---- */

uint32_t runtimes_file(struct runtimes *r, uint32_t file_id, const struct table *t)
{
	const void *file;
	const struct runtime *rt = runtime_of_table(t, &file);
	int put;

	if (!rt)
		return RUNTIME_NONE;
	put = profiler_put(r->o.profiler, rt->name, "files", &file_id, file);
	if (put < 0) {
		log_debug_errno(put, "cannot tell the kernel of a %s: its frames are not walked",
				rt->title);
		return RUNTIME_NONE;
	}
	(void)hash_put(&r->files, file_id, rt->id);
	return is_wanted(r, rt) ? rt->id : RUNTIME_NONE;
}

void runtimes_forget_file(struct runtimes *r, uint32_t file_id)
{
	uint64_t id = hash_del(&r->files, file_id);

	if (id != HASH_NONE)
		profiler_remove(r->o.profiler, runtime_get((uint32_t)id)->name, "files", &file_id);
}

/* ---- walks ---- */

uint32_t runtimes_of_frame(const struct runtimes *r, uint64_t frame)
{
	uint64_t id = hash_get(&r->files, FRAME_FILE(frame));
	const struct runtime *rt = id == HASH_NONE ? NULL : runtime_get((uint32_t)id);

	return rt && is_wanted((void *)r, rt) ? rt->id : RUNTIME_NONE;
}

int runtimes_code_step(struct runtimes *r, struct task_id id, struct native_walk *w)
{
	const struct runtime_process *process;
	const struct runtime *rt;
	int result = processes_find(r->processes, id, &rt, &process);

	if (result == 0)
		return rt->walk(process, w);
	for (uint32_t i = 1; i < RUNTIME_MAX && result == -ENOENT; i++) {
		rt = runtime_get(i);
		if (rt->attach_last && is_wanted(r, rt))
			result = rt->walk(NULL, w);
	}
	return result;
}

void runtimes_code_changed(struct runtimes *r, struct process_key key)
{
	processes_code_changed(r->processes, key);
}

size_t runtimes_pending(const struct runtimes *r)
{
	return processes_pending(r->processes);
}

/* ---- names ---- */

static const struct runtime *runtime_of(uint64_t frame)
{
	return FRAME_KIND(frame) == FRAME_MANAGED ? runtime_get(FRAME_RUNTIME(frame)) : NULL;
}

/* NULL: it was not found, or has another runtime, or no process is needed. */
static const struct runtime_process *process_of(struct runtimes *r, const struct runtime *rt,
						struct task_id id)
{
	const struct runtime_process *process;
	const struct runtime *found;

	if (!rt->per_process || processes_find(r->processes, id, &found, &process) < 0 ||
	    found != rt)
		return NULL;
	return process;
}

void runtimes_on_record(struct runtimes *r, const struct event_runtime *e)
{
	const struct runtime *rt = runtime_get(e->runtime);

	if (rt && e->h.bytes >= sizeof(*e))
		rt->on_record(r->names[rt->id], e, e->h.bytes);
}

/* Stacks that came together are looked at together. */
static void hold(struct runtimes *r, const struct runtime_process *process)
{
	if (++r->n_held > HELD_STACKS)
		runtimes_release(r);
	target_hold(process->memory, &r->pages, process->key);
}

void runtimes_release(struct runtimes *r)
{
	target_forget(&r->pages);
	r->n_held = 0;
}

void runtimes_want(struct runtimes *r, struct task_id id, const uint64_t *frames, uint32_t n)
{
	const struct runtime_process *process = NULL;
	const struct runtime *of = NULL;

	for (uint32_t i = 0; i + 1 < n; i++) {
		const struct runtime *rt = runtime_of(frames[i]);
		struct runtime_frame f;

		if (!rt || !rt->want)
			continue;
		/* Once for all frames of the stack. */
		if (of != rt && rt->per_process) {
			of = rt;
			if (process)
				target_release(process->memory);
			process = process_of(r, rt, id);
			if (process)
				hold(r, process);
		}
		f = (struct runtime_frame){
			.value = FRAME_RUNTIME_VALUE(frames[i]),
			.more = frames[i + 1] & FRAME_PAYLOAD,
			.process = rt->per_process ? process : NULL,
		};
		rt->want(r->names[rt->id], &f);
	}
	if (process)
		target_release(process->memory);
}

bool runtimes_frame_is_per_process(uint64_t frame)
{
	const struct runtime *rt = runtime_of(frame);

	return rt && rt->per_process;
}

int runtimes_name(struct runtimes *r, struct task_id id, uint64_t frame, uint64_t more,
		  struct runtime_function *ret, const char **ret_why)
{
	const struct runtime *rt = runtime_of(frame);
	struct runtime_frame f;
	int n;

	*ret_why = "[unknown]";
	if (!rt)
		return 0;
	f = (struct runtime_frame){
		.value = FRAME_RUNTIME_VALUE(frame),
		.more = more & FRAME_PAYLOAD,
		.process = process_of(r, rt, id),
	};
	n = rt->name_frame(r->names[rt->id], &f, ret, ret_why);
	(n > 0 ? r->stats.named : r->stats.unnamed)[rt->id]++;
	return MAX(n, 0);
}

const char *runtimes_reason(uint64_t frame)
{
	const struct runtime *rt = runtime_get(REASON_RUNTIME(frame));

	return rt && REASON_CODE(frame) < rt->n_reasons ? rt->reasons[REASON_CODE(frame)]
							: "[unknown]";
}

struct forgetting {
	struct profiler *profiler;
	const struct runtime *rt;
};

static void forget_record(void *data, uint64_t key)
{
	const struct forgetting *f = data;

	profiler_remove(f->profiler, f->rt->name, "sent", &key);
}

static bool learned(void *data, const struct runtime *rt, const struct runtime_process *process,
		    void *proc)
{
	const struct runtimes *r = data;

	return rt->learned && rt->learned(r->names[rt->id], process, proc);
}

void runtimes_next_interval(struct runtimes *r)
{
	processes_next_interval(r->processes, learned, r);
	FOREACH_RUNTIME(rt)
	{
		struct forgetting f = {.profiler = r->o.profiler, .rt = rt};

		rt->next_interval(r->names[rt->id], forget_record, &f);
	}
}

void runtimes_get_stats(const struct runtimes *r, struct runtimes_stats *ret)
{
	*ret = r->stats;
	processes_get_stats(r->processes, &ret->processes);
	profiler_runtime_stats(r->o.profiler, ret->kernel);
}
