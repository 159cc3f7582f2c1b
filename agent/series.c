/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/series.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/export/pprof.h"

/* What a Pyroscope server takes by default (pkg/validation/limits.go of v2.2.1). */
#define SAMPLES_MAX   16000
#define RAW_BYTES_MAX (2u << 20)
#define PPROF_MAX     (16u << 20)

struct series {
	struct target *target; /* NULL: a service that no target names */
	uint32_t service;      /* string of the profile */
	uint32_t container;
};

struct split {
	struct ebpf_component *c;
	const struct ebpf_args *args;
	const struct profile *p;
	struct series *series;
	size_t n_series, n_services;
	uint32_t *of_process; /* series + 1 of each process; 0: none */
	struct hash known;    /* target or service -> series */
	struct hash counted;  /* processes that a target has been told of, mixed with it */
	size_t current;	      /* the one that is encoded */
};

static void split_done(struct split *s)
{
	free(s->series);
	free(s->of_process);
	hash_done(&s->known);
	hash_done(&s->counted);
}

static bool is_current(const struct profile *p, uint32_t process, void *data)
{
	const struct split *s = data;

	return s->of_process[process] == s->current + 1;
}

/* The series of a process, made when it is the first one; 0: none. */
static uint32_t series_of(struct split *s, const struct profile_process *proc)
{
	const struct intern *strings = &s->p->strings;
	struct series x = {.container = proc->container};
	uint64_t key, i;

	x.target =
		ebpf_target(s->c, proc->pid, proc->start_ns, intern_get(strings, proc->container));
	if (!x.target && s->args->targets_only)
		return 0;
	if (!x.target && s->n_services < SERIES_SERVICES_MAX)
		x.service = proc->service;
	/* Strings are few: no pointer is as small as an index of one. */
	key = x.target ? (uintptr_t)x.target : x.service;
	i = hash_get(&s->known, key);
	if (i == HASH_NONE) {
		if (hash_put(&s->known, key, s->n_series) < 0)
			return 0;
		i = s->n_series++;
		s->series[i] = x;
		s->n_services += !x.target;
	}
	return (uint32_t)i + 1;
}

/* Threads that are told apart are still one process. */
static void count_process(struct split *s, struct target *t, uint32_t pid)
{
	uint64_t key = hash_mix((uintptr_t)t) ^ pid;

	if (hash_get(&s->counted, key) == HASH_NONE && hash_put(&s->counted, key, 1) == 0)
		t->stats.processes++;
}

static int split_init(struct split *s)
{
	const struct profile *p = s->p;

	s->series = calloc(p->n_processes + 1, sizeof(*s->series));
	s->of_process = calloc(p->n_processes + 1, sizeof(*s->of_process));
	if (!s->series || !s->of_process)
		return -ENOMEM;
	for (size_t i = 0; i < s->c->targets.n; i++)
		s->c->targets.v[i].stats.processes = 0;
	for (size_t i = 0; i < p->n_processes; i++) {
		struct series *x;

		s->of_process[i] = series_of(s, &p->processes[i]);
		x = s->of_process[i] ? &s->series[s->of_process[i] - 1] : NULL;
		if (x && x->target)
			count_process(s, x->target, p->processes[i].pid);
	}
	return 0;
}

static uint64_t samples_of(const struct split *s, size_t first, size_t n)
{
	uint64_t sum = 0;
	size_t seen = 0;

	for (size_t i = 0; i < s->p->n_samples && seen < first + n; i++) {
		if (!is_current(s->p, s->p->samples[i].process, (void *)s))
			continue;
		if (seen++ >= first)
			sum += s->p->samples[i].count;
	}
	return sum;
}

/* A profile that is over the server's limits goes in several pieces. */
static int send_current(struct split *s)
{
	const struct ebpf_args *args = s->args;
	const struct series *x = &s->series[s->current];
	struct pprof_options o = {
		.want = is_current,
		.data = s,
		.limit = SAMPLES_MAX,
		.max_raw_bytes = RAW_BYTES_MAX,
		.label_pid = args->pid_label,
		.label_tid = args->tid_label,
		.label_comm = !strcmp(args->comm, "label") || !strcmp(args->comm, "both"),
		.comm_frame = !strcmp(args->comm, "stackframe") || !strcmp(args->comm, "both"),
	};
	_cleanup_labels_ struct label_set labels = {0};
	int r = ebpf_labels(x->target, intern_get(&s->p->strings, x->service),
			    intern_get(&s->p->strings, x->container), &labels);
	bool more = r >= 0;

	while (more) {
		_cleanup_buf_ struct buf out = BUF_INIT(PPROF_MAX);
		int64_t n = pprof_encode(s->p, &o, &out);

		if (n == -E2BIG && o.limit > 1) {
			o.limit /= 2;
			continue;
		}
		if (n < 0)
			return (int)n;
		if (n > 0)
			ebpf_append(s->c, x->target, &labels, out.data, out.len,
				    samples_of(s, o.skip, (size_t)n), s->p->time_ns);
		o.skip += (size_t)n;
		more = (size_t)n == o.limit;
	}
	return r;
}

void series_send(struct ebpf_component *c, const struct profile *p, const struct ebpf_args *args)
{
	_cleanup_(split_done) struct split s = {.c = c, .args = args, .p = p};
	int r = split_init(&s);

	for (size_t i = 0; i < p->n_samples; i++) {
		if (r < 0 || !s.of_process[p->samples[i].process])
			c->stats.samples_unused += p->samples[i].count;
	}
	if (r < 0) {
		log_error_errno(r, "cannot sort the samples, an interval is lost");
		c->stats.profiles_dropped++;
		return;
	}
	for (s.current = 0; s.current < s.n_series; s.current++) {
		r = send_current(&s);
		if (r >= 0)
			continue;
		log_error_errno(r, "cannot encode a profile, it is lost");
		c->stats.profiles_dropped++;
	}
}
