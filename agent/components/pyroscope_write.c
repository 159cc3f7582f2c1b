/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_write.h"

#include <errno.h>
#include <string.h>

#include "agent/components/http_client.h"
#include "agent/push/push_show.h"

struct write_endpoint {
	char *name, *url;
	int64_t remote_timeout, debug_info_upload_timeout, min_backoff_period, max_backoff_period;
	int64_t max_backoff_retries;
	bool retry_on_http_429;
	struct schema_map headers;
	struct http_client client;
};

struct write_tracing {
	bool set;
	bool jaeger_propagator, trace_context_propagator;
};

struct write_args {
	struct schema_map external_labels;
	struct schema_blocks endpoints; /* struct write_endpoint */
	struct write_tracing tracing;
};

static int endpoint_validate(const void *args, char *why, size_t size)
{
	const struct write_endpoint *e = args;

	if (!*e->url)
		(void)snprintf(why, size, "url must not be empty");
	else if (e->remote_timeout <= 0)
		(void)snprintf(why, size, "remote_timeout must be greater than 0");
	else if (e->min_backoff_period < 0 || e->max_backoff_period < 0)
		(void)snprintf(why, size, "backoff periods must not be negative");
	else if (e->max_backoff_retries < 0 || e->max_backoff_retries > UINT32_MAX)
		(void)snprintf(why, size, "max_backoff_retries must not be negative");
	else
		return http_client_validate(&e->client, why, size);
	return -EINVAL;
}

#define ENDPOINT(member) offsetof(struct write_endpoint, member)
static const struct option endpoint_options[] = {
	{"name", OPTION_STRING, .offset = ENDPOINT(name), .help = "a name for messages"},
	{"url", OPTION_STRING, NULL, OPTION_REQUIRED, ENDPOINT(url), NULL,
	 "the server, such as \"http://pyroscope:4040\""},
	{"remote_timeout", OPTION_DURATION, "10s", .offset = ENDPOINT(remote_timeout),
	 .help = "for each attempt"},
	{"debug_info_upload_timeout", OPTION_DURATION, "2m",
	 .offset = ENDPOINT(debug_info_upload_timeout),
	 .help = "how long an upload of debug information may take"},
	{"headers", OPTION_MAP, .offset = ENDPOINT(headers), .help = "headers of each request"},
	{"min_backoff_period", OPTION_DURATION, "500ms", .offset = ENDPOINT(min_backoff_period),
	 .help = "the pause before the first repetition"},
	{"max_backoff_period", OPTION_DURATION, "5m", .offset = ENDPOINT(max_backoff_period),
	 .help = "the longest pause before the next try"},
	{"max_backoff_retries", OPTION_INT, "10", .offset = ENDPOINT(max_backoff_retries),
	 .help = "0: no limit"},
	{"retry_on_http_429", OPTION_BOOL, "true", .offset = ENDPOINT(retry_on_http_429),
	 .help = "try again when the server asks for less"},
	HTTP_CLIENT_OPTIONS(struct write_endpoint, client),
};

static const struct schema endpoint_schema = {
	.size = sizeof(struct write_endpoint),
	.options = endpoint_options,
	.n = ARRAY_SIZE(endpoint_options),
	.validate = endpoint_validate,
};

#define TRACING(member) offsetof(struct write_tracing, member)
static const struct option tracing_options[] = {
	{"jaeger_propagator", OPTION_BOOL, "true", .offset = TRACING(jaeger_propagator),
	 .help = "the header of Jaeger"},
	{"trace_context_propagator", OPTION_BOOL, "true",
	 .offset = TRACING(trace_context_propagator), .help = "the header of W3C"},
};

static const struct schema tracing_schema = {
	.size = sizeof(struct write_tracing),
	.options = tracing_options,
	.n = ARRAY_SIZE(tracing_options),
};

static const struct option write_options[] = {
	{"external_labels", OPTION_MAP, .offset = offsetof(struct write_args, external_labels),
	 .help = "labels for every profile, over its own"},
	{"endpoint", OPTION_BLOCKS, .offset = offsetof(struct write_args, endpoints),
	 .block = &endpoint_schema, .help = "one server"},
	{"tracing", OPTION_BLOCK, .offset = offsetof(struct write_args, tracing),
	 .block = &tracing_schema, .help = "headers for tracing"},
};

static const struct schema write_schema = {
	.size = sizeof(struct write_args),
	.options = write_options,
	.n = ARRAY_SIZE(write_options),
};

static void write_append(struct receiver *r, const struct label *labels, size_t n,
			 const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	struct write_component *c = container_of(r, struct write_component, receiver);

	if (c->push)
		push_send(c->push, labels, n, pprof, bytes, time_ns);
}

static void write_ingest(struct receiver *r, const struct ingest *in)
{
	struct write_component *c = container_of(r, struct write_component, receiver);

	if (c->push)
		push_ingest(c->push, in);
}

static int write_init(struct component *base)
{
	struct write_component *c = (struct write_component *)base;
	struct value_list l = {0};

	c->receiver.append = write_append;
	c->receiver.ingest = write_ingest;
	value_list_add(&l, "receiver", value_capsule(&capsule_receiver, &c->receiver));
	base->exports = value_object(&l);
	return base->exports ? 0 : -ENOMEM;
}

static int add_endpoint(struct push *p, const struct write_endpoint *e, char *why, size_t size)
{
	struct http_options http;
	struct push_options o = {
		.name = e->name,
		.url = e->url,
		.timeout_ms = MAX((uint64_t)e->remote_timeout / 1000000u, 1u),
		.min_backoff_ms = (uint64_t)e->min_backoff_period / 1000000u,
		.max_backoff_ms = (uint64_t)e->max_backoff_period / 1000000u,
		.max_retries = (uint32_t)e->max_backoff_retries,
		.retry_on_429 = e->retry_on_http_429,
		.headers = http_client_labels(&e->headers),
		.n_headers = e->headers.n,
		.http = &http,
	};

	http_client_options(&e->client, &http);
	return push_add_endpoint(p, &o, why, size);
}

static int make_push(struct component *base, char *why, size_t size, struct push **ret)
{
	const struct write_args *a = base->args;
	const struct write_endpoint *endpoints = a->endpoints.v;
	_cleanup_(push_freep) struct push *p = NULL;
	int r;

	if (!base->env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EOPNOTSUPP;
	}
	r = push_new(base->env->http, &p);
	if (r >= 0)
		r = push_set_external(p, http_client_labels(&a->external_labels),
				      a->external_labels.n);
	for (size_t i = 0; i < a->endpoints.n && r >= 0; i++)
		r = add_endpoint(p, &endpoints[i], why, size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

static void write_changed(void *data)
{
	struct write_component *c = data;
	char text[512];

	if (push_is_healthy(c->push, text, sizeof(text)))
		component_set_health(&c->base, HEALTH_HEALTHY, "all endpoints take profiles");
	else
		component_set_health(&c->base, HEALTH_UNHEALTHY, "%s", text);
}

static int write_build(struct component *base, char *why, size_t size)
{
	struct write_component *c = (struct write_component *)base;
	int r = make_push(base, why, size, &c->push);

	if (r >= 0)
		push_on_change(c->push, write_changed, c);
	return r;
}

static int write_update(struct component *base, const void *old, char *why, size_t size)
{
	struct write_component *c = (struct write_component *)base;
	struct push *fresh;
	int r = make_push(base, why, size, &fresh);

	if (r < 0)
		return r;
	if (c->push)
		push_adopt(fresh, c->push);
	push_free(c->push);
	c->push = fresh;
	push_on_change(c->push, write_changed, c);
	/* An endpoint that failed may have gone. */
	if (base->health == HEALTH_UNHEALTHY)
		write_changed(c);
	return 0;
}

/* Not on stop: what producers hand over at the very end is still to be sent. */
static void write_done(struct component *base)
{
	struct write_component *c = (struct write_component *)base;

	c->push = push_free(c->push);
}

static bool write_busy(const struct component *base)
{
	const struct write_component *c = (const struct write_component *)base;

	return c->push && push_busy(c->push);
}

static void write_drain(struct component *base)
{
	struct write_component *c = (struct write_component *)base;

	if (c->push)
		push_hurry(c->push);
}

static void write_metrics(const struct component *base, struct metrics *m)
{
	const struct write_component *c = (const struct write_component *)base;

	if (c->push)
		push_add_metrics(c->push, m);
}

static struct value *write_debug_info(const struct component *base)
{
	const struct write_component *c = (const struct write_component *)base;
	struct value_list l = {0};

	return c->push ? push_debug_info(c->push) : value_object(&l);
}

const struct component_type pyroscope_write_type = {
	.name = "pyroscope.write",
	.help = "sends profiles to Pyroscope servers",
	.schema = &write_schema,
	.size = sizeof(struct write_component),
	.init = write_init,
	.build = write_build,
	.update = write_update,
	.done = write_done,
	.busy = write_busy,
	.drain = write_drain,
	.metrics = write_metrics,
	.debug_info = write_debug_info,
};
