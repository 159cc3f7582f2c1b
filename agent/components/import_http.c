/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import.http: a module from a server, asked for again and again. It is fetched after the start, so
 * that a server that is away does not keep the rest of the configuration from running.
 */
#include <errno.h>
#include <string.h>

#include "agent/components/http_client.h"
#include "agent/components/import.h"
#include "agent/http/fetch.h"

#define MAX_BYTES (16u << 20)
#define RETRY_MS  10000 /* while there is no text at all */

struct http_client_block {
	bool set;
	struct http_client client;
};

struct http_args {
	char *url, *method, *body;
	struct schema_map headers;
	int64_t poll_frequency, poll_timeout;
	struct http_client_block client;
};

struct http_component {
	struct component base;
	struct fetch *fetch; /* under way; NULL: none */
	struct loop_source *poll;
};

static int client_validate(const void *args, char *why, size_t size)
{
	return http_client_validate(&((const struct http_client_block *)args)->client, why, size);
}

static const struct option client_options[] = {
	HTTP_CLIENT_OPTIONS(struct http_client_block, client),
};

static const struct schema client_schema = {
	.size = sizeof(struct http_client_block),
	.options = client_options,
	.n = ARRAY_SIZE(client_options),
	.validate = client_validate,
};

static int http_validate(const void *args, char *why, size_t size)
{
	const struct http_args *a = args;

	if (strncmp(a->url, "http://", 7) != 0 && strncmp(a->url, "https://", 8) != 0)
		(void)snprintf(why, size, "url must begin with http:// or https://");
	else if (a->poll_frequency <= 0 || a->poll_timeout <= 0)
		(void)snprintf(why, size, "poll_frequency and poll_timeout must be greater than 0");
	else if (a->poll_timeout >= a->poll_frequency)
		(void)snprintf(why, size, "poll_timeout must be less than poll_frequency");
	else
		return 0;
	return -EINVAL;
}

#define HTTP(member) offsetof(struct http_args, member)
static const struct option http_options[] = {
	{"url", OPTION_STRING, NULL, OPTION_REQUIRED, HTTP(url), NULL, "where the module is"},
	{"method", OPTION_STRING, "GET", .offset = HTTP(method),
	 .help = "the method of the request"},
	{"headers", OPTION_MAP, .offset = HTTP(headers), .help = "headers of each request"},
	{"body", OPTION_STRING, .offset = HTTP(body), .help = "the body of the request"},
	{"poll_frequency", OPTION_DURATION, "1m", .offset = HTTP(poll_frequency),
	 .help = "how often it is looked at"},
	{"poll_timeout", OPTION_DURATION, "10s", .offset = HTTP(poll_timeout),
	 .help = "how long a request may take"},
	{"client", OPTION_BLOCK, .offset = HTTP(client), .block = &client_schema,
	 .help = "how the server is asked"},
};

static const struct schema http_schema = {
	.size = sizeof(struct http_args),
	.options = http_options,
	.n = ARRAY_SIZE(http_options),
	.validate = http_validate,
};

static uint64_t poll_ms(const struct http_component *c)
{
	const struct http_args *a = c->base.args;

	return MAX((uint64_t)a->poll_frequency / 1000000u, 1u);
}

static void failed(struct http_component *c, const char *why)
{
	component_set_health(&c->base, HEALTH_UNHEALTHY, "cannot fetch the module: %s", why);
	if (!c->base.exports)
		loop_set_timer(c->poll, MIN(RETRY_MS, poll_ms(c)), 0);
}

static void on_done(void *data, const struct fetch_reply *reply)
{
	struct http_component *c = data;
	const struct http_args *a = c->base.args;
	struct value_list files = {0};
	char why[64];

	c->fetch = NULL;
	if (reply->r < 0) {
		failed(c, reply->why);
		return;
	}
	if (reply->status != 200) {
		(void)snprintf(why, sizeof(why), "the server answers %ld", reply->status);
		failed(c, why);
		return;
	}
	value_list_add(&files, NULL, import_text(a->url, reply->body, reply->len));
	component_export(&c->base, import_exports(value_array(&files), NULL));
	component_set_health(&c->base, HEALTH_HEALTHY, "fetched the module");
}

static void fetch_text(struct http_component *c)
{
	const struct http_args *a = c->base.args;
	_cleanup_free_ struct label *headers = calloc(MAX(a->headers.n, 1u), sizeof(*headers));
	struct http_options o;
	struct fetch_request q = {
		.method = a->method,
		.url = a->url,
		.headers = headers,
		.n_headers = a->headers.n,
		.body = *a->body ? (const uint8_t *)a->body : NULL,
		.body_bytes = strlen(a->body),
		.timeout_ms = MAX((uint64_t)a->poll_timeout / 1000000u, 1u),
		.max_bytes = MAX_BYTES,
		.on_done = on_done,
		.data = c,
	};
	int r = headers ? 0 : -ENOMEM;

	http_client_options(&a->client.client, &o);
	q.http = &o;
	for (size_t i = 0; headers && i < a->headers.n; i++)
		headers[i] = (struct label){a->headers.v[i].name, a->headers.v[i].value};
	c->fetch = fetch_cancel(c->fetch);
	if (r >= 0)
		r = fetch_start(c->base.env->http, &q, &c->fetch);
	if (r < 0)
		failed(c, strerror(-r));
}

static void on_poll(void *data)
{
	struct http_component *c = data;

	loop_set_timer(c->poll, poll_ms(c), 0);
	fetch_text(c);
}

static int http_start(struct component *base, char *why, size_t size)
{
	struct http_component *c = (struct http_component *)base;

	if (!base->env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EOPNOTSUPP;
	}
	c->poll = loop_add_timer(base->env->loop, on_poll, c);
	if (!c->poll)
		return -ENOMEM;
	component_set_health(base, HEALTH_UNKNOWN, "the module has not been fetched yet");
	on_poll(c);
	return 0;
}

static int http_update(struct component *base, const void *old, char *why, size_t size)
{
	struct http_component *c = (struct http_component *)base;

	if (c->poll)
		on_poll(c);
	return 0;
}

static void http_stop(struct component *base)
{
	struct http_component *c = (struct http_component *)base;

	c->fetch = fetch_cancel(c->fetch);
	c->poll = loop_remove(c->poll);
}

const struct component_type import_http_type = {
	.name = "import.http",
	.help = "custom components from a server",
	.schema = &http_schema,
	.size = sizeof(struct http_component),
	.import = true,
	.update = http_update,
	.start = http_start,
	.stop = http_stop,
};
