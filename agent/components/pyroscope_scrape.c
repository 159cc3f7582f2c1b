/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_scrape.h"

#include <errno.h>
#include <string.h>

#include "agent/components/http_client.h"

#define SECOND 1000000000

struct scrape_target {
	bool set, enabled, delta;
	char *path;
};

struct scrape_profiling {
	bool set;
	struct scrape_target memory, block, goroutine, mutex, process_cpu, fgprof, delta_memory,
		delta_mutex, delta_block;
	struct schema_blocks custom; /* struct scrape_target */
	char *path_prefix;
};

struct scrape_clustering {
	bool set, enabled;
};

struct scrape_args {
	struct schema_receivers forward_to;
	struct value *targets, *params;
	char *job_name, *scheme;
	int64_t scrape_interval, scrape_timeout, delta_profiling_duration;
	struct http_client http;
	struct scrape_clustering clustering;
	struct scrape_profiling profiling;
};

#define TARGET(member) offsetof(struct scrape_target, member)
/* The kinds differ in their defaults only. */
#define KIND(name, is_enabled, default_path, is_delta)                          \
	static const struct option name##_options[] = {                         \
		{"enabled", OPTION_BOOL, is_enabled, .offset = TARGET(enabled), \
		 .help = "fetch it"},                                           \
		{"path", OPTION_STRING, default_path, .offset = TARGET(path),   \
		 .help = "where it is served"},                                 \
		{"delta", OPTION_BOOL, is_delta, .offset = TARGET(delta),       \
		 .help = "ask for what happens in delta_profiling_duration"},   \
	};                                                                      \
	static const struct schema name##_schema = {                            \
		.size = sizeof(struct scrape_target),                           \
		.options = name##_options,                                      \
		.n = ARRAY_SIZE(name##_options),                                \
	}

KIND(memory, "true", "/debug/pprof/allocs", "false");
KIND(block, "true", "/debug/pprof/block", "false");
KIND(goroutine, "true", "/debug/pprof/goroutine", "false");
KIND(mutex, "true", "/debug/pprof/mutex", "false");
KIND(process_cpu, "true", "/debug/pprof/profile", "true");
KIND(fgprof, "false", "/debug/fgprof", "true");
KIND(delta_memory, "false", "/debug/pprof/delta_heap", "false");
KIND(delta_mutex, "false", "/debug/pprof/delta_mutex", "false");
KIND(delta_block, "false", "/debug/pprof/delta_block", "false");

static const struct option custom_options[] = {
	{"enabled", OPTION_BOOL, NULL, OPTION_REQUIRED, TARGET(enabled), .help = "fetch it"},
	{"path", OPTION_STRING, NULL, OPTION_REQUIRED, TARGET(path), .help = "where it is served"},
	{"delta", OPTION_BOOL, "false", .offset = TARGET(delta),
	 .help = "ask for what happens in delta_profiling_duration"},
};

static const struct schema custom_schema = {
	.size = sizeof(struct scrape_target),
	.options = custom_options,
	.n = ARRAY_SIZE(custom_options),
};

#define PROFILE(text, member)                                                           \
	{                                                                               \
		"profile." text, OPTION_BLOCK,                                          \
			.offset = offsetof(struct scrape_profiling, member),            \
			.block = &member##_schema, .help = "profiles of the kind " text \
	}

static const struct option profiling_options[] = {
	{"path_prefix", OPTION_STRING, .offset = offsetof(struct scrape_profiling, path_prefix),
	 .help = "what all paths begin with"},
	PROFILE("memory", memory),
	PROFILE("block", block),
	PROFILE("goroutine", goroutine),
	PROFILE("mutex", mutex),
	PROFILE("process_cpu", process_cpu),
	PROFILE("fgprof", fgprof),
	PROFILE("godeltaprof_memory", delta_memory),
	PROFILE("godeltaprof_mutex", delta_mutex),
	PROFILE("godeltaprof_block", delta_block),
	{"profile.custom", OPTION_BLOCKS, NULL, OPTION_LABELLED,
	 offsetof(struct scrape_profiling, custom), &custom_schema,
	 "another kind, which the label names"},
};

static const struct schema profiling_schema = {
	.size = sizeof(struct scrape_profiling),
	.options = profiling_options,
	.n = ARRAY_SIZE(profiling_options),
};

static const struct option clustering_options[] = {
	{"enabled", OPTION_BOOL, "false", OPTION_LATER, offsetof(struct scrape_clustering, enabled),
	 .help = "share the targets with other agents"},
};

static const struct schema clustering_schema = {
	.size = sizeof(struct scrape_clustering),
	.options = clustering_options,
	.n = ARRAY_SIZE(clustering_options),
};

static int refuse(char *why, size_t size, const char *text)
{
	(void)snprintf(why, size, "%s", text);
	return -EINVAL;
}

static bool wants_delta(const struct scrape_profiling *p)
{
	const struct scrape_target *all[] = {&p->memory,       &p->block,	&p->goroutine,
					     &p->mutex,	       &p->process_cpu, &p->fgprof,
					     &p->delta_memory, &p->delta_mutex, &p->delta_block};
	const struct scrape_target *custom = p->custom.v;
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		found = found || (all[i]->enabled && all[i]->delta);
	for (size_t i = 0; i < p->custom.n; i++)
		found = found || (custom[i].enabled && custom[i].delta);
	return found;
}

static int scrape_validate(const void *args, char *why, size_t size)
{
	const struct scrape_args *a = args;

	if (a->scrape_timeout <= 0)
		return refuse(why, size, "scrape_timeout must be greater than 0");
	if (!wants_delta(&a->profiling))
		return http_client_validate(&a->http, why, size);
	if (a->scrape_interval < 2LL * SECOND)
		return refuse(why, size,
			      "scrape_interval must be at least 2 seconds when using delta "
			      "profiling");
	if (a->delta_profiling_duration <= SECOND)
		return refuse(why, size,
			      "delta_profiling_duration must be larger than 1 second when using "
			      "delta profiling");
	if (a->delta_profiling_duration > a->scrape_interval - SECOND)
		return refuse(why, size,
			      "delta_profiling_duration must be at least 1 second smaller than "
			      "scrape_interval when using delta profiling");
	return http_client_validate(&a->http, why, size);
}

#define SCRAPE(member) offsetof(struct scrape_args, member)
static const struct option scrape_options[] = {
	{"targets", OPTION_TARGETS, NULL, OPTION_REQUIRED, SCRAPE(targets),
	 .help = "servers of profiles, by the label __address__"},
	{"forward_to", OPTION_RECEIVERS, NULL, OPTION_REQUIRED, SCRAPE(forward_to),
	 .help = "where the profiles go"},
	{"job_name", OPTION_STRING, .offset = SCRAPE(job_name),
	 .help = "the label job; the name of the component when empty"},
	{"params", OPTION_ANY, .offset = SCRAPE(params), .help = "parameters of the requests"},
	{"scrape_interval", OPTION_DURATION, "15s", .offset = SCRAPE(scrape_interval),
	 .help = "how often profiles are fetched"},
	{"scrape_timeout", OPTION_DURATION, "10s", .offset = SCRAPE(scrape_timeout),
	 .help = "how long a request may take"},
	{"delta_profiling_duration", OPTION_DURATION, "14s",
	 .offset = SCRAPE(delta_profiling_duration),
	 .help = "how long a server profiles for one request"},
	{"scheme", OPTION_STRING, "http", .offset = SCRAPE(scheme), .help = "http or https"},
	HTTP_CLIENT_OPTIONS(struct scrape_args, http),
	{"clustering", OPTION_BLOCK, .offset = SCRAPE(clustering), .block = &clustering_schema,
	 .help = "several agents share the targets"},
	{"profiling_config", OPTION_BLOCK, .offset = SCRAPE(profiling), .block = &profiling_schema,
	 .help = "which profiles are fetched"},
};

static const struct schema scrape_schema = {
	.size = sizeof(struct scrape_args),
	.options = scrape_options,
	.n = ARRAY_SIZE(scrape_options),
	.validate = scrape_validate,
	.later = "fetching profiles from servers; pyroscope.ebpf profiles their CPU time",
};

static int scrape_build(struct component *c, char *why, size_t size)
{
	const struct scrape_args *a = c->args;

	component_set_health(c, HEALTH_UNKNOWN, "%zu targets are not scraped: not built yet",
			     a->targets->n_items);
	return 0;
}

static int scrape_update(struct component *c, const void *old, char *why, size_t size)
{
	return scrape_build(c, why, size);
}

const struct component_type pyroscope_scrape_type = {
	.name = "pyroscope.scrape",
	.help = "fetches profiles from servers of pprof",
	.schema = &scrape_schema,
	.size = sizeof(struct component),
	.build = scrape_build,
	.update = scrape_update,
};
