/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/ebpf_stats.h"

#include <string.h>

#include "agent/metrics.h"

/* prometheus/client_golang, DefBuckets; seconds. */
static const double latency_bounds[EBPF_LATENCY_BUCKETS] = {.005, .01, .025, .05, .1, .25,
							    .5,	  1,   2.5,  5,	  10};

#define OTHER "other" /* services beyond EBPF_SERVICES_MAX */

static const struct metric_family
	active_targets = {"pyroscope_ebpf_active_targets",
			  "Targets that the component profiles, by process or container.",
			  METRIC_GAUGE},
	sessions = {"pyroscope_ebpf_profiling_sessions_total", "Times that profiling was started.",
		    METRIC_COUNTER},
	sessions_failing = {"pyroscope_ebpf_profiling_sessions_failing_total",
			    "Times that profiling could not be started.", METRIC_COUNTER},
	pprofs = {"pyroscope_ebpf_pprofs_total", "Profiles that were made.", METRIC_COUNTER},
	pprof_bytes = {"pyroscope_ebpf_pprof_bytes_total", "Bytes of these profiles, compressed.",
		       METRIC_COUNTER},
	pprof_samples = {"pyroscope_ebpf_pprof_samples_total", "Samples in these profiles.",
			 METRIC_COUNTER},
	pprofs_dropped = {"pyroscope_ebpf_pprofs_dropped_total", "Profiles that could not be made.",
			  METRIC_COUNTER},
	fanout_latency = {"pyroscope_fanout_latency",
			  "Seconds to hand a profile to all receivers, which queue it.",
			  METRIC_HISTOGRAM},
	forwarded = {"pyroscope_forwarded_entries_total",
		     "Profiles handed over, once for each receiver.", METRIC_COUNTER};

static struct ebpf_service *service_get(struct ebpf_stats *s, const char *name)
{
	uint64_t key = hash_bytes(name, strlen(name)), i = hash_get(&s->by_service, key);
	struct ebpf_service *v;

	if (i != HASH_NONE)
		return &s->services[i];
	if (s->n_services >= EBPF_SERVICES_MAX && strcmp(name, OTHER) != 0)
		return NULL;
	v = realloc(s->services, (s->n_services + 1) * sizeof(*v));
	if (!v)
		return NULL;
	s->services = v;
	v += s->n_services;
	*v = (struct ebpf_service){.name = strdup(name)};
	if (!v->name || hash_put(&s->by_service, key, s->n_services) < 0) {
		free(v->name);
		return NULL;
	}
	s->n_services++;
	return v;
}

void ebpf_stats_count(struct ebpf_stats *s, const char *name, uint64_t samples, size_t bytes,
		      size_t receivers, uint64_t took_ns)
{
	struct ebpf_service *service = service_get(s, name);
	double took_s = (double)took_ns / 1e9;
	size_t bucket = 0;

	if (!service)
		service = service_get(s, OTHER);
	if (service) {
		service->profiles++;
		service->bytes += bytes;
		service->samples += samples;
	}
	while (bucket < EBPF_LATENCY_BUCKETS && took_s > latency_bounds[bucket])
		bucket++;
	s->latency[bucket]++;
	s->latency_sum_s += took_s;
	s->forwarded += receivers;
}

void ebpf_stats_done(struct ebpf_stats *s)
{
	for (size_t i = 0; i < s->n_services; i++)
		free(s->services[i].name);
	free(s->services);
	hash_done(&s->by_service);
	*s = (struct ebpf_stats){0};
}

void ebpf_metrics(const struct component *base, struct metrics *m)
{
	const struct ebpf_component *c = (const struct ebpf_component *)base;
	const struct ebpf_hooks *h = base->env->ebpf;
	const struct ebpf_stats *s = &c->stats;

	metrics_add(m, &active_targets, NULL, 0,
		    (double)(c->targets.by_pid.count + c->targets.by_container.count));
	metrics_add(m, &sessions, NULL, 0, (double)s->sessions);
	metrics_add(m, &sessions_failing, NULL, 0, (double)s->sessions_failed);
	metrics_add(m, &pprofs_dropped, NULL, 0, (double)s->profiles_dropped);
	metrics_add(m, &forwarded, NULL, 0, (double)s->forwarded);
	metrics_add_histogram(m, &fanout_latency, NULL, 0, latency_bounds, s->latency,
			      EBPF_LATENCY_BUCKETS, s->latency_sum_s);
	for (size_t i = 0; i < s->n_services; i++) {
		const struct ebpf_service *x = &s->services[i];
		const struct label l = {"service_name", x->name};

		metrics_add(m, &pprofs, &l, 1, (double)x->profiles);
		metrics_add(m, &pprof_bytes, &l, 1, (double)x->bytes);
		metrics_add(m, &pprof_samples, &l, 1, (double)x->samples);
	}
	if (h && h->metrics)
		h->metrics(c, m, h->data);
}

static void add_target(struct value_list *list, const struct target *t)
{
	struct value_list l = {0};

	value_list_add(&l, "labels", value_ref(t->labels));
	if (t->pid)
		value_list_add(&l, "pid", value_int(t->pid));
	else
		value_list_add(&l, "container_id", value_cstr(t->container_id));
	value_list_add(&l, "samples", value_int((int64_t)t->stats.samples));
	value_list_add(&l, "profiles", value_int((int64_t)t->stats.profiles));
	value_list_add(&l, "last_profile_ms", value_int((int64_t)t->stats.last_ms));
	value_list_add(&l, "processes", value_int(t->stats.processes));
	value_list_add(list, NULL, value_object(&l));
}

struct value *ebpf_debug_info(const struct component *base)
{
	const struct ebpf_component *c = (const struct ebpf_component *)base;
	const struct ebpf_hooks *h = base->env->ebpf;
	struct value_list l = {0}, list = {0};
	size_t matched = 0;

	for (int with = 1; with >= 0; with--) {
		for (size_t i = 0; i < c->targets.n; i++) {
			const struct target *t = &c->targets.v[i];

			if ((t->stats.samples > 0) != with)
				continue;
			matched += (size_t)with;
			if (list.n < EBPF_DEBUG_TARGETS)
				add_target(&list, t);
		}
	}
	value_list_add(&l, "targets", value_array(&list));
	value_list_add(&l, "targets_total", value_int((int64_t)c->targets.n));
	value_list_add(&l, "targets_unusable", value_int((int64_t)c->targets.unusable));
	value_list_add(&l, "targets_matched", value_int((int64_t)matched));
	value_list_add(&l, "samples_without_target", value_int((int64_t)c->stats.samples_unused));
	if (h && h->debug_info)
		h->debug_info(c, &l, h->data);
	return value_object(&l);
}
