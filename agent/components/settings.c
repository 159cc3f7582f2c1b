/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/settings.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"

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
	 .help = "debug, info, warn, error"},
	{"format", OPTION_STRING, "logfmt", .offset = LOGGING(format), .help = "logfmt or json"},
	{"destination", OPTION_STRING, "stderr", OPTION_LATER, LOGGING(destination)},
	{"write_to", OPTION_ANY, NULL, OPTION_LATER, LOGGING(write_to)},
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
	if (!strcmp(a->format, "json"))
		log_warn("log format json is not built yet: writing logfmt");
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

const struct component_type settings_logging = {
	.name = "logging",
	.schema = &logging_schema,
	.size = sizeof(struct component),
	.singleton = true,
	.build = logging_build,
	.update = logging_update,
};

struct livedebugging {
	bool enabled;
};

static const struct option livedebugging_options[] = {
	{"enabled", OPTION_BOOL, .offset = offsetof(struct livedebugging, enabled)},
};

static const struct schema livedebugging_schema = {
	.size = sizeof(struct livedebugging),
	.options = livedebugging_options,
	.n = ARRAY_SIZE(livedebugging_options),
};

const struct component_type settings_livedebugging = {
	.name = "livedebugging",
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
	 .offset = offsetof(struct jaeger_remote, url)},
	{"max_operations", OPTION_FLOAT, "256",
	 .offset = offsetof(struct jaeger_remote, max_operations)},
	{"refresh_interval", OPTION_DURATION, "1m",
	 .offset = offsetof(struct jaeger_remote, refresh_interval)},
};

static const struct schema jaeger_remote_schema = {
	.size = sizeof(struct jaeger_remote),
	.options = jaeger_remote_options,
	.n = ARRAY_SIZE(jaeger_remote_options),
};

static const struct option sampler_options[] = {
	{"jaeger_remote", OPTION_BLOCK, .offset = offsetof(struct sampler, jaeger_remote),
	 .block = &jaeger_remote_schema},
};

static const struct schema sampler_schema = {
	.size = sizeof(struct sampler),
	.options = sampler_options,
	.n = ARRAY_SIZE(sampler_options),
};

/* The agent makes no traces of its own: accepted, so that shared files load. */
static const struct option tracing_options[] = {
	{"sampling_fraction", OPTION_FLOAT, "0.1",
	 .offset = offsetof(struct tracing, sampling_fraction)},
	{"write_to", OPTION_ANY, .offset = offsetof(struct tracing, write_to)},
	{"send_traceparent", OPTION_BOOL, .offset = offsetof(struct tracing, send_traceparent)},
	{"sampler", OPTION_BLOCK, .offset = offsetof(struct tracing, sampler),
	 .block = &sampler_schema},
};

static const struct schema tracing_schema = {
	.size = sizeof(struct tracing),
	.options = tracing_options,
	.n = ARRAY_SIZE(tracing_options),
};

const struct component_type settings_tracing = {
	.name = "tracing",
	.schema = &tracing_schema,
	.size = sizeof(struct component),
	.singleton = true,
};

struct http_basic {
	bool set;
	char *username, *password;
};

struct http_filter {
	bool set;
	struct schema_strings paths;
	bool authenticate_matching_paths;
};

struct http_auth {
	bool set;
	struct http_basic basic;
	struct http_filter filter;
};

struct http_tls {
	bool set;
	char *text[8];
	struct schema_strings lists[2];
};

struct http {
	struct http_auth auth;
	struct http_tls tls;
};

static const struct option http_basic_options[] = {
	{"username", OPTION_STRING, NULL, OPTION_REQUIRED, offsetof(struct http_basic, username)},
	{"password", OPTION_SECRET, NULL, OPTION_REQUIRED, offsetof(struct http_basic, password)},
};

static const struct schema http_basic_schema = {
	.size = sizeof(struct http_basic),
	.options = http_basic_options,
	.n = ARRAY_SIZE(http_basic_options),
};

static const struct option http_filter_options[] = {
	{"paths", OPTION_STRINGS, .offset = offsetof(struct http_filter, paths)},
	{"authenticate_matching_paths", OPTION_BOOL, "true",
	 .offset = offsetof(struct http_filter, authenticate_matching_paths)},
};

static const struct schema http_filter_schema = {
	.size = sizeof(struct http_filter),
	.options = http_filter_options,
	.n = ARRAY_SIZE(http_filter_options),
};

static const struct option http_auth_options[] = {
	{"basic", OPTION_BLOCK, .offset = offsetof(struct http_auth, basic),
	 .block = &http_basic_schema},
	{"filter", OPTION_BLOCK, .offset = offsetof(struct http_auth, filter),
	 .block = &http_filter_schema},
};

static const struct schema http_auth_schema = {
	.size = sizeof(struct http_auth),
	.options = http_auth_options,
	.n = ARRAY_SIZE(http_auth_options),
};

#define TLS_TEXT(i) offsetof(struct http_tls, text[i])
static const struct option http_tls_options[] = {
	{"cert_pem", OPTION_STRING, .offset = TLS_TEXT(0)},
	{"cert_file", OPTION_STRING, .offset = TLS_TEXT(1)},
	{"key_pem", OPTION_SECRET, .offset = TLS_TEXT(2)},
	{"key_file", OPTION_STRING, .offset = TLS_TEXT(3)},
	{"client_ca_pem", OPTION_STRING, .offset = TLS_TEXT(4)},
	{"client_ca_file", OPTION_STRING, .offset = TLS_TEXT(5)},
	{"client_auth_type", OPTION_STRING, "NoClientCert", .offset = TLS_TEXT(6)},
	{"min_version", OPTION_STRING, .offset = TLS_TEXT(7)},
	{"cipher_suites", OPTION_STRINGS, .offset = offsetof(struct http_tls, lists[0])},
	{"curve_preferences", OPTION_STRINGS, .offset = offsetof(struct http_tls, lists[1])},
};

static const struct schema http_tls_schema = {
	.size = sizeof(struct http_tls),
	.options = http_tls_options,
	.n = ARRAY_SIZE(http_tls_options),
};

/* There is no server yet that could be left open by this: a warning is enough. */
static const struct option http_options[] = {
	{"auth", OPTION_BLOCK, NULL, OPTION_LATER, offsetof(struct http, auth), &http_auth_schema},
	{"tls", OPTION_BLOCK, NULL, OPTION_LATER, offsetof(struct http, tls), &http_tls_schema},
};

static const struct schema http_schema = {
	.size = sizeof(struct http),
	.options = http_options,
	.n = ARRAY_SIZE(http_options),
};

const struct component_type settings_http = {
	.name = "http",
	.schema = &http_schema,
	.size = sizeof(struct component),
	.singleton = true,
};
