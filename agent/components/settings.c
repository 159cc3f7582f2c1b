/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/settings.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/components/http_client.h"

struct logging {
	char *level, *format, *destination;
	struct value *write_to;
};

static int logging_validate(const void *args, char *why, size_t size)
{
	const struct logging *a = args;
	enum log_level level;

	if (log_level_parse(a->level, &level) < 0) {
		(void)snprintf(why, size,
			       "unrecognized log level \"%.40s\" (debug, info, warn, error)",
			       a->level);
		return -EINVAL;
	}
	if (strcmp(a->format, "logfmt") != 0 && strcmp(a->format, "json") != 0) {
		(void)snprintf(why, size, "unrecognized log format \"%.40s\" (logfmt, json)",
			       a->format);
		return -EINVAL;
	}
	return 0;
}

#define LOGGING(member) offsetof(struct logging, member)
static const struct option logging_options[] = {
	{"level", OPTION_STRING, "info", .offset = LOGGING(level),
	 .help = "the least important messages that are written: debug, info, warn, error"},
	{"format", OPTION_STRING, "logfmt", .offset = LOGGING(format),
	 .help = "the form of a line: logfmt or json"},
	{"destination", OPTION_STRING, "stderr", OPTION_LATER, LOGGING(destination), NULL,
	 "where the log goes"},
	{"write_to", OPTION_ANY, NULL, OPTION_LATER, LOGGING(write_to), NULL,
	 "receivers of log lines"},
};

static const struct schema logging_schema = {
	.size = sizeof(struct logging),
	.options = logging_options,
	.n = ARRAY_SIZE(logging_options),
	.validate = logging_validate,
};

static int logging_apply(const struct component *c)
{
	const struct logging *a = c->args;
	enum log_level level;

	if (log_level_parse(a->level, &level) >= 0)
		log_set_level(level);
	log_set_format(strcmp(a->format, "json") ? LOG_FORMAT_LOGFMT : LOG_FORMAT_JSON);
	return 0;
}

static int logging_build(struct component *c, char *why, size_t size)
{
	return logging_apply(c);
}

static int logging_update(struct component *c, const void *old, char *why, size_t size)
{
	return logging_apply(c);
}

/* The block is gone: what would hold without it. */
static void logging_done(struct component *c)
{
	log_set_level(LOG_LEVEL_INFO);
	log_set_format(LOG_FORMAT_LOGFMT);
}

const struct component_type settings_logging = {
	.name = "logging",
	.help = "what is logged, and how",
	.schema = &logging_schema,
	.size = sizeof(struct component),
	.singleton = true,
	.build = logging_build,
	.update = logging_update,
	.done = logging_done,
};

struct livedebugging {
	bool enabled;
};

static const struct option livedebugging_options[] = {
	{"enabled", OPTION_BOOL, "false", .offset = offsetof(struct livedebugging, enabled),
	 .help = "show data of components in a user interface, which is not there: no effect"},
};

static const struct schema livedebugging_schema = {
	.size = sizeof(struct livedebugging),
	.options = livedebugging_options,
	.n = ARRAY_SIZE(livedebugging_options),
};

const struct component_type settings_livedebugging = {
	.name = "livedebugging",
	.help = "shows what components do while they run; accepted without effect",
	.schema = &livedebugging_schema,
	.size = sizeof(struct component),
	.singleton = true,
};

struct jaeger_remote {
	bool set;
	char *url;
	double max_operations;
	int64_t refresh_interval;
};

struct sampler {
	bool set;
	struct jaeger_remote jaeger_remote;
};

struct tracing {
	double sampling_fraction;
	struct value *write_to;
	bool send_traceparent;
	struct sampler sampler;
};

static const struct option jaeger_remote_options[] = {
	{"url", OPTION_STRING, "http://127.0.0.1:5778/sampling",
	 .offset = offsetof(struct jaeger_remote, url), .help = "no effect"},
	{"max_operations", OPTION_FLOAT, "256",
	 .offset = offsetof(struct jaeger_remote, max_operations), .help = "no effect"},
	{"refresh_interval", OPTION_DURATION, "1m",
	 .offset = offsetof(struct jaeger_remote, refresh_interval), .help = "no effect"},
};

static const struct schema jaeger_remote_schema = {
	.size = sizeof(struct jaeger_remote),
	.options = jaeger_remote_options,
	.n = ARRAY_SIZE(jaeger_remote_options),
};

static const struct option sampler_options[] = {
	{"jaeger_remote", OPTION_BLOCK, .offset = offsetof(struct sampler, jaeger_remote),
	 .block = &jaeger_remote_schema, .help = "no effect"},
};

static const struct schema sampler_schema = {
	.size = sizeof(struct sampler),
	.options = sampler_options,
	.n = ARRAY_SIZE(sampler_options),
};

/* The agent makes no traces of its own: accepted, so that shared files load. */
static const struct option tracing_options[] = {
	{"sampling_fraction", OPTION_FLOAT, "0.1",
	 .offset = offsetof(struct tracing, sampling_fraction),
	 .help = "no effect: the agent makes no traces of its own"},
	{"write_to", OPTION_ANY, .offset = offsetof(struct tracing, write_to), .help = "no effect"},
	{"send_traceparent", OPTION_BOOL, "false",
	 .offset = offsetof(struct tracing, send_traceparent), .help = "no effect"},
	{"sampler", OPTION_BLOCK, .offset = offsetof(struct tracing, sampler),
	 .block = &sampler_schema, .help = "no effect"},
};

static const struct schema tracing_schema = {
	.size = sizeof(struct tracing),
	.options = tracing_options,
	.n = ARRAY_SIZE(tracing_options),
};

const struct component_type settings_tracing = {
	.name = "tracing",
	.help = "traces of the agent itself; accepted without effect",
	.schema = &tracing_schema,
	.size = sizeof(struct component),
	.singleton = true,
};

struct remotecfg {
	char *url, *id, *name;
	struct schema_map attributes;
	int64_t poll_frequency;
	struct http_client http;
};

#define REMOTE(member) offsetof(struct remotecfg, member)
/* Without a URL it does nothing, there and here. */
static const struct option remotecfg_options[] = {
	{"url", OPTION_STRING, NULL, OPTION_REFUSED, REMOTE(url), NULL,
	 "put the configuration into a file, or import it with import.http"},
	{"id", OPTION_STRING, .offset = REMOTE(id), .help = "the name of this agent"},
	{"name", OPTION_STRING, .offset = REMOTE(name), .help = "its name for people"},
	{"attributes", OPTION_MAP, .offset = REMOTE(attributes),
	 .help = "what the server chooses a configuration by"},
	{"poll_frequency", OPTION_DURATION, "1m", .offset = REMOTE(poll_frequency),
	 .help = "how often the server is asked"},
	HTTP_CLIENT_OPTIONS(struct remotecfg, http),
};

static const struct schema remotecfg_schema = {
	.size = sizeof(struct remotecfg),
	.options = remotecfg_options,
	.n = ARRAY_SIZE(remotecfg_options),
};

const struct component_type settings_remotecfg = {
	.name = "remotecfg",
	.help = "takes the configuration from a server",
	.schema = &remotecfg_schema,
	.size = sizeof(struct component),
	.singleton = true,
};
