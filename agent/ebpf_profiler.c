/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ebpf_profiler.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/containers.h"
#include "agent/export/pprof.h"
#include "agent/session.h"

/* What a Pyroscope server takes by default (pkg/validation/limits.go of v2.2.1). */
#define SAMPLES_MAX   16000
#define RAW_BYTES_MAX (2u << 20)
#define PPROF_MAX     (16u << 20)

struct ebpf_profiler {
	struct ebpf_component *component; /* borrowed */
	struct session *session;
	struct loop_source *timer;
	struct hash pids, cgroups; /* what the kernel filters by now; values are generations */
	uint64_t generation;
};

/* ---- The kernel's filter ---- */

static void want(struct hash *set, uint64_t key, uint64_t generation, struct profiler *p,
		 int (*add)(struct profiler *p, uint64_t key))
{
	if (hash_get(set, key) == HASH_NONE && add(p, key) < 0)
		return;
	(void)hash_put(set, key, generation);
}

static int add_pid(struct profiler *p, uint64_t key)
{
	return profiler_add_target(p, (uint32_t)key);
}

static int add_cgroup(struct profiler *p, uint64_t key)
{
	return profiler_add_cgroup(p, key);
}

static void remove_pid(struct profiler *p, uint64_t key)
{
	profiler_remove_target(p, (uint32_t)key);
}

static void remove_cgroup(struct profiler *p, uint64_t key)
{
	profiler_remove_cgroup(p, key);
}

/* Takes out what this generation does not want any more. */
static void sweep(struct hash *set, uint64_t generation, struct profiler *p,
		  void (*remove)(struct profiler *p, uint64_t key))
{
	struct hash kept = {0};

	HASH_FOREACH (s, set) {
		if (s->value != generation)
			remove(p, s->key);
		else
			(void)hash_put(&kept, s->key, s->value);
	}
	hash_done(set);
	*set = kept;
}

static void update_filter(struct ebpf_profiler *e)
{
	struct profiler *p = session_profiler(e->session);
	const struct targets *targets = &e->component->targets;
	_cleanup_free_ struct container *containers = NULL;
	int n;

	if (!ebpf_args(e->component)->targets_only)
		return;
	e->generation++;
	for (size_t i = 0; i < targets->n; i++) {
		if (targets->v[i].pid)
			want(&e->pids, targets->v[i].pid, e->generation, p, add_pid);
	}
	n = targets->by_container.count ? containers_find("", &containers) : 0;
	for (int i = 0; i < n; i++) {
		if (targets_find(targets, 0, containers[i].id))
			want(&e->cgroups, containers[i].cgroup, e->generation, p, add_cgroup);
	}
	sweep(&e->pids, e->generation, p, remove_pid);
	sweep(&e->cgroups, e->generation, p, remove_cgroup);
}

/* ---- Profiles ---- */

struct selection {
	const struct target *target;
	const struct target **of_process; /* by index of the process */
};

static bool is_selected(const struct profile *p, uint32_t process, void *data)
{
	const struct selection *s = data;

	return s->of_process[process] == s->target;
}

/* A profile that is over the server's limits goes in several pieces. */
static int send_target(struct ebpf_profiler *e, const struct profile *p, struct selection *s)
{
	const struct ebpf_args *args = ebpf_args(e->component);
	struct pprof_options o = {
		.want = is_selected,
		.data = s,
		.limit = SAMPLES_MAX,
		.max_raw_bytes = RAW_BYTES_MAX,
		.label_pid = args->pid_label,
		.label_comm = !strcmp(args->comm, "label") || !strcmp(args->comm, "both"),
		.comm_frame = !strcmp(args->comm, "stackframe") || !strcmp(args->comm, "both"),
	};
	_cleanup_labels_ struct label_set labels = {0};
	int r = ebpf_labels(s->target, &labels);
	bool more = r >= 0;

	while (more) {
		_cleanup_buf_ struct buf out = BUF_INIT(PPROF_MAX);
		int64_t n = pprof_encode(p, &o, &out);

		if (n == -E2BIG && o.limit > 1) {
			o.limit /= 2;
			continue;
		}
		if (n < 0)
			return (int)n;
		if (n > 0)
			ebpf_append(e->component, &labels, out.data, out.len, p->time_ns);
		o.skip += (size_t)n;
		more = (size_t)n == o.limit;
	}
	return r;
}

static void send_profile(struct ebpf_profiler *e, const struct profile *p)
{
	_cleanup_free_ const struct target **of = calloc(p->n_processes + 1, sizeof(*of));
	struct selection s = {.of_process = of};
	struct hash sent = {0};

	for (size_t i = 0; of && i < p->n_processes; i++) {
		const struct profile_process *proc = &p->processes[i];

		of[i] = ebpf_target(e->component, proc->pid,
				    intern_get(&p->strings, proc->container));
	}
	for (size_t i = 0; of && i < p->n_processes; i++) {
		int r;

		if (!of[i] || hash_get(&sent, (uintptr_t)of[i]) != HASH_NONE)
			continue;
		(void)hash_put(&sent, (uintptr_t)of[i], 1);
		s.target = of[i];
		r = send_target(e, p, &s);
		if (r < 0)
			log_error_errno(r, "cannot encode a profile, it is lost");
	}
	hash_done(&sent);
}

static void collect(struct ebpf_profiler *e, bool final)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	int r = session_collect(e->session, final, &p);

	if (r < 0)
		log_error_errno(r, "cannot collect the samples of this interval");
	else
		send_profile(e, p);
}

static void on_interval(void *data)
{
	struct ebpf_profiler *e = data;

	/* Containers start and stop between two updates of the targets. */
	update_filter(e);
	collect(e, false);
}

/* ---- Hooks ---- */

static struct ebpf_profiler *profiler_done(struct ebpf_profiler *e)
{
	loop_remove(e->timer);
	session_free(e->session);
	hash_done(&e->pids);
	hash_done(&e->cgroups);
	free(e);
	return NULL;
}

static struct session_options session_options_of(const struct ebpf_args *args,
						 const char *cache_dir)
{
	struct session_options o = {
		.profiler =
			{
				.frequency_hz = (uint32_t)args->sample_rate,
				.interval_s = (uint32_t)(args->collect_interval / 1000000000) + 1,
				.kernel_stacks = args->kernel_frames,
				.filter = args->targets_only ? FILTER_TGID | FILTER_CGROUP
							     : FILTER_NONE,
			},
		.cache_dir = cache_dir,
	};

	if (demangle_mode_parse(args->demangle, &o.demangle) < 0)
		o.demangle = DEMANGLE_NONE;
	return o;
}

static int hook_start(struct ebpf_component *c, void *data, char *why, size_t size)
{
	const struct ebpf_profiler_options *po = data;
	const struct ebpf_args *args = ebpf_args(c);
	struct session_options o = session_options_of(args, po->cache_dir);
	struct ebpf_profiler *e = calloc(1, sizeof(*e));
	uint64_t interval_ms = (uint64_t)args->collect_interval / 1000000;
	int r = -ENOMEM;

	if (!e)
		return r;
	e->component = c;
	r = session_new(po->loop, &o, &e->session);
	if (r >= 0) {
		update_filter(e);
		e->timer = loop_add_timer(po->loop, on_interval, e);
		r = e->timer ? session_start(e->session) : -ENOMEM;
	}
	if (r < 0) {
		(void)snprintf(why, size, "cannot profile on this host: %s (see 'tephra check')",
			       strerror(-r));
		profiler_done(e);
		return r;
	}
	loop_set_timer(e->timer, interval_ms, interval_ms);
	c->hook_data = e;
	return 0;
}

static void hook_update(struct ebpf_component *c, void *data)
{
	if (c->hook_data)
		update_filter(c->hook_data);
}

static void hook_stop(struct ebpf_component *c, void *data)
{
	struct ebpf_profiler *e = c->hook_data;

	if (!e)
		return;
	session_stop(e->session);
	collect(e, true);
	c->hook_data = profiler_done(e);
}

struct ebpf_hooks ebpf_profiler_hooks(struct ebpf_profiler_options *o)
{
	return (struct ebpf_hooks){
		.start = hook_start,
		.update = hook_update,
		.stop = hook_stop,
		.data = o,
	};
}
