/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_java.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"

struct java_profiling {
	bool set, cpu, per_thread, quiet, tlab;
	int64_t interval, sample_rate;
	char *alloc, *lock, *event, *log_level;
	struct schema_strings custom_arguments;
};

struct java_args {
	struct schema_receivers forward_to;
	struct value *targets;
	char *tmp_dir, *dist;
	struct java_profiling profiling;
};

static int refuse(char *why, size_t size, const char *text)
{
	(void)snprintf(why, size, "%s", text);
	return -EINVAL;
}

static int profiling_validate(const void *args, char *why, size_t size)
{
	const struct java_profiling *a = args;

	if (a->interval <= 0)
		return refuse(why, size, "interval must be greater than 0");
	if (a->cpu && a->sample_rate <= 0)
		return refuse(why, size, "sample_rate must be greater than 0");
	return 0;
}

#define PROFILING(member) offsetof(struct java_profiling, member)
static const struct option profiling_options[] = {
	{"interval", OPTION_DURATION, "60s", .offset = PROFILING(interval),
	 .help = "how often profiles are collected"},
	{"cpu", OPTION_BOOL, "true", .offset = PROFILING(cpu), .help = "profile CPU time"},
	{"event", OPTION_STRING, "itimer", .offset = PROFILING(event),
	 .help = "what takes the samples: itimer, cpu, ctimer, wall"},
	{"sample_rate", OPTION_INT, "100", .offset = PROFILING(sample_rate),
	 .help = "samples a second"},
	{"per_thread", OPTION_BOOL, "false", .offset = PROFILING(per_thread),
	 .help = "profile each thread by itself"},
	{"alloc", OPTION_STRING, "512k", .offset = PROFILING(alloc),
	 .help = "bytes between two samples of allocations; empty: none are taken"},
	{"tlab", OPTION_BOOL, "false", .offset = PROFILING(tlab),
	 .help = "sample allocations at the ends of thread-local buffers"},
	{"lock", OPTION_STRING, "10ms", .offset = PROFILING(lock),
	 .help = "the shortest wait for a lock that is sampled; empty: none are"},
	{"log_level", OPTION_STRING, "INFO", .offset = PROFILING(log_level),
	 .help = "what the profiler logs: TRACE, DEBUG, INFO, WARN, ERROR, NONE"},
	{"quiet", OPTION_BOOL, "false", .offset = PROFILING(quiet),
	 .help = "do not log when profiling starts and stops"},
	{"custom_arguments", OPTION_STRINGS, .offset = PROFILING(custom_arguments),
	 .help = "arguments for the profiler instead of all of the above but interval"},
};

static const struct schema profiling_schema = {
	.size = sizeof(struct java_profiling),
	.options = profiling_options,
	.n = ARRAY_SIZE(profiling_options),
	.validate = profiling_validate,
};

static int java_validate(const void *args, char *why, size_t size)
{
	const struct java_profiling *p = &((const struct java_args *)args)->profiling;

	if (p->tlab && !*p->alloc && !p->custom_arguments.n)
		return refuse(why, size,
			      "profiling_config.tlab requires profiling_config.alloc to be set");
	return 0;
}

#define JAVA(member) offsetof(struct java_args, member)
static const struct option java_options[] = {
	{"targets", OPTION_TARGETS, NULL, OPTION_REQUIRED, JAVA(targets),
	 .help = "Java processes, by the label __process_pid__"},
	{"forward_to", OPTION_RECEIVERS, NULL, OPTION_REQUIRED, JAVA(forward_to),
	 .help = "where the profiles go"},
	{"tmp_dir", OPTION_STRING, "/tmp", .offset = JAVA(tmp_dir),
	 .help = "where the profiler's library is put"},
	{"dist", OPTION_STRING, .offset = JAVA(dist),
	 .help = "a directory with the profiler, instead of one of its own"},
	{"profiling_config", OPTION_BLOCK, .offset = JAVA(profiling), .block = &profiling_schema,
	 .help = "what is profiled, and how"},
};

static const struct schema java_schema = {
	.size = sizeof(struct java_args),
	.options = java_options,
	.n = ARRAY_SIZE(java_options),
	.validate = java_validate,
	.later = "profiles of CPU or wall time, allocations and locks from inside the JVM; "
		 "pyroscope.ebpf sees Java processes from outside",
};

static int java_build(struct component *c, char *why, size_t size)
{
	const struct java_args *a = c->args;
	const struct java_profiling *p = &a->profiling;
	bool custom = p->custom_arguments.n > 0;

	component_set_health(c, HEALTH_UNKNOWN,
			     "%zu targets are not profiled, as these are not built yet:%s%s%s%s%s",
			     a->targets->n_items, custom ? " custom_arguments" : "",
			     !custom && p->cpu ? " " : "", !custom && p->cpu ? p->event : "",
			     !custom && *p->alloc ? " alloc" : "",
			     !custom && *p->lock ? " lock" : "");
	return 0;
}

static int java_update(struct component *c, const void *old, char *why, size_t size)
{
	return java_build(c, why, size);
}

const struct component_type pyroscope_java_type = {
	.name = "pyroscope.java",
	.help = "profiles Java processes from inside the JVM",
	.schema = &java_schema,
	.size = sizeof(struct component),
	.build = java_build,
	.update = java_update,
};
