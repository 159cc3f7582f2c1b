/* SPDX-License-Identifier: Apache-2.0 */
/* A scrape: the agent as a process, its configuration, its server, and what components add. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/export/receiver.h"
#include "agent/metrics.h"
#include "agent/ops/ops_internal.h"

#define FAMILY(var, name, type, help) static const struct metric_family var = {name, help, type}

FAMILY(build_info, "tephra_build_info", METRIC_GAUGE, "The build that runs; always 1.");
FAMILY(alloy_last_ok, "alloy_config_last_load_successful", METRIC_GAUGE,
       "Whether the last configuration is in force as it stands.");
FAMILY(alloy_last_ok_time, "alloy_config_last_load_success_timestamp_seconds", METRIC_GAUGE,
       "When a configuration was loaded without an error.");
FAMILY(alloy_failures, "alloy_config_load_failures_total", METRIC_COUNTER,
       "Configurations that were refused, in whole or in part.");
FAMILY(alloy_hash, "alloy_config_hash", METRIC_GAUGE,
       "SHA-256 of the configuration in force; always 1.");
FAMILY(alloy_running, "alloy_component_controller_running_components", METRIC_GAUGE,
       "Components by health.");
FAMILY(alloy_cpu, "alloy_resources_process_cpu_seconds_total", METRIC_COUNTER,
       "CPU time of the agent and its parsing processes.");
FAMILY(alloy_rss, "alloy_resources_process_resident_memory_bytes", METRIC_GAUGE,
       "Resident memory of the agent.");
FAMILY(alloy_start, "alloy_resources_process_start_time_seconds", METRIC_GAUGE,
       "When the agent was started.");
FAMILY(cpu, "process_cpu_seconds_total", METRIC_COUNTER, "CPU time of the agent.");
FAMILY(cpu_children, "tephra_parser_cpu_seconds_total", METRIC_COUNTER,
       "CPU time of parsing processes that have ended.");
FAMILY(rss, "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory.");
FAMILY(memory, "tephra_resident_bytes", METRIC_GAUGE,
       "Resident memory by kind: anon is the agent's own, file is shared with the page cache.");
FAMILY(vm, "process_virtual_memory_bytes", METRIC_GAUGE, "Address space.");
FAMILY(fds, "process_open_fds", METRIC_GAUGE, "Open file descriptors.");
FAMILY(max_fds, "process_max_fds", METRIC_GAUGE, "Limit of open file descriptors.");
FAMILY(start, "process_start_time_seconds", METRIC_GAUGE, "When the process was started.");
FAMILY(requests, "tephra_http_requests_total", METRIC_COUNTER, "HTTP requests.");
FAMILY(connections, "tephra_http_connections", METRIC_GAUGE, "Open HTTP connections.");
FAMILY(refused, "tephra_http_refused_total", METRIC_COUNTER,
       "HTTP requests and connections that were refused, and why.");
FAMILY(messages, "tephra_log_messages_total", METRIC_COUNTER,
       "Messages by level, also those that were not written.");
FAMILY(scrape_seconds, "tephra_scrape_seconds_total", METRIC_COUNTER,
       "Time spent answering scrapes.");
FAMILY(scrapes, "tephra_scrapes_total", METRIC_COUNTER, "Scrapes.");

static void add(struct metrics *m, const struct metric_family *f, double v)
{
	metrics_add(m, f, NULL, 0, v);
}

static void add_one(struct metrics *m, const struct metric_family *f, const char *name,
		    const char *value, double v)
{
	const struct label l = {name, value};

	metrics_add(m, f, &l, 1, v);
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static size_t read_small(const char *path, char *to, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);

	to[MAX(n, 0)] = '\0';
	return (size_t)MAX(n, 0);
}

/* "VmRSS:     1234 kB" of /proc/self/status, in bytes. */
static double status_bytes(const char *status, const char *key)
{
	const char *p = strstr(status, key);
	double kib = 0;

	for (p = p ? p + strlen(key) : ""; *p == ' ' || *p == '\t'; p++)
		;
	for (; *p >= '0' && *p <= '9'; p++)
		kib = kib * 10 + (*p - '0');
	return kib * 1024;
}

static unsigned int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the directory's own */
}

static void add_process(const struct ops *o, struct metrics *m)
{
	struct rusage self = {0}, children = {0};
	struct rlimit limit = {0};
	char status[4096];
	double own, theirs;

	(void)getrusage(RUSAGE_SELF, &self);
	(void)getrusage(RUSAGE_CHILDREN, &children);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	(void)read_small("/proc/self/status", status, sizeof(status));
	own = seconds(self.ru_utime) + seconds(self.ru_stime);
	theirs = seconds(children.ru_utime) + seconds(children.ru_stime);
	add(m, &cpu, own);
	add(m, &cpu_children, theirs);
	add(m, &alloy_cpu, own + theirs);
	add(m, &rss, status_bytes(status, "VmRSS:"));
	add(m, &alloy_rss, status_bytes(status, "VmRSS:"));
	add_one(m, &memory, "kind", "anon", status_bytes(status, "RssAnon:"));
	add_one(m, &memory, "kind", "file", status_bytes(status, "RssFile:"));
	add_one(m, &memory, "kind", "shmem", status_bytes(status, "RssShmem:"));
	add(m, &vm, status_bytes(status, "VmSize:"));
	add(m, &fds, open_fds());
	add(m, &max_fds, (double)limit.rlim_cur);
	add(m, &start, (double)o->started_ns / 1e9);
	add(m, &alloy_start, (double)o->started_ns / 1e9);
}

static void add_server(const struct ops *o, struct metrics *m)
{
	static const char *const why[] = {"bad", "slow", "crowded"};
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	struct http_server_stats s;

	http_server_stats(o->server, &s);
	add(m, &requests, (double)s.requests);
	add(m, &connections, (double)s.open);
	for (size_t i = 0; i < ARRAY_SIZE(why); i++)
		add_one(m, &refused, "reason", why[i], (double)s.refused[i]);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		add_one(m, &messages, "level", levels[i], (double)log_count((enum log_level)i));
	add(m, &scrape_seconds, (double)o->scrape_ns / 1e9);
	add(m, &scrapes, (double)o->scrapes);
}

static void add_config(const struct ops *o, struct metrics *m)
{
	const struct label build[] = {{"version", TEPHRA_VERSION}, {"arch", TEPHRA_ARCH}};
	const struct label hash[] = {{"sha256", o->hash}, {"cluster_name", ""}};

	metrics_add(m, &build_info, build, ARRAY_SIZE(build), 1);
	add(m, &alloy_last_ok, o->last_ok);
	add(m, &alloy_last_ok_time, (double)o->last_ok_ns / 1e9);
	add(m, &alloy_failures, (double)o->failures);
	if (o->hash[0])
		metrics_add(m, &alloy_hash, hash, ARRAY_SIZE(hash), 1);
}

/* What each component says, under its id. */
static void add_components(const struct ops *o, struct metrics *m)
{
	unsigned int by_health[HEALTH_HEALTHY + 1] = {0};
	struct graph_view v;
	size_t cursor = 0;

	while (o->graph && graph_view_next(o->graph, &cursor, &v)) {
		char path[256];
		const char *slash = strrchr(v.id, '/');
		const struct label scope[] = {{"component_id", slash ? slash + 1 : v.id},
					      {"component_path", path}};

		(void)snprintf(path, sizeof(path), "/%s", v.module);
		if (v.component && v.component->type->singleton)
			continue;
		by_health[v.health]++;
		if (!v.component || !v.component->type->metrics)
			continue;
		metrics_scope(m, scope, ARRAY_SIZE(scope));
		v.component->type->metrics(v.component, m);
		metrics_scope(m, NULL, 0);
	}
	for (enum health h = HEALTH_EXITED; h <= HEALTH_HEALTHY; h++) {
		const struct label l[] = {{"controller_path", "/"},
					  {"controller_id", ""},
					  {"health_type", health_name(h)}};

		metrics_add(m, &alloy_running, l, ARRAY_SIZE(l), by_health[h]);
	}
}

int ops_metrics(struct ops *o, struct buf *b)
{
	_cleanup_(metrics_freep) struct metrics *m = NULL;
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	int r = metrics_new(&m);

	if (r < 0)
		return r;
	add_config(o, m);
	add_process(o, m);
	add_server(o, m);
	add_components(o, m);
	if (o->o.metrics)
		o->o.metrics(o->o.data, m);
	r = metrics_write(m, b);
	o->scrape_ns += clock_ns(CLOCK_MONOTONIC) - begin;
	o->scrapes++;
	return r;
}
