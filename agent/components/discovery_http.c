/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/discovery_http.h"

#include <errno.h>
#include <string.h>

#include "agent/components/http_client.h"
#include "agent/components/target_groups.h"
#include "agent/components/targets_value.h"
#include "agent/config/data.h"
#include "agent/http/fetch.h"
#include "agent/http/url.h"
#include "agent/metrics.h"

#define RETRY_MIN_MS 1000

struct http_args {
	char *url;
	int64_t refresh_interval;
	struct http_client client;
};

struct discovery_http {
	struct component base;
	struct loop_source *refresh;
	struct fetch *asked;
	uint64_t retry_ms; /* the last pause after a failure; 0: all is well */
	uint64_t failures;
};

#define ARG(member) offsetof(struct http_args, member)
static const struct option http_options_table[] = {
	{"url", OPTION_STRING, NULL, OPTION_REQUIRED, ARG(url), NULL,
	 "answers with a JSON list of groups of targets"},
	{"refresh_interval", OPTION_DURATION, "60s", .offset = ARG(refresh_interval),
	 .help = "how often they are looked for"},
	HTTP_CLIENT_OPTIONS(struct http_args, client),
};

static int http_validate(const void *args, char *why, size_t size)
{
	const struct http_args *a = args;
	struct http_url url = {0};
	int r = http_url_parse(&url, a->url);

	http_url_done(&url);
	if (r < 0)
		(void)snprintf(why, size, "url must be one of http or https");
	else if (a->refresh_interval <= 0)
		(void)snprintf(why, size, "refresh_interval must be greater than 0");
	else
		return http_client_validate(&a->client, why, size);
	return -EINVAL;
}

static const struct schema http_schema = {
	.size = sizeof(struct http_args),
	.options = http_options_table,
	.n = ARRAY_SIZE(http_options_table),
	.validate = http_validate,
};

static const struct http_args *args_of(const struct discovery_http *c)
{
	return c->base.args;
}

static uint64_t refresh_ms(const struct discovery_http *c)
{
	return MAX((uint64_t)args_of(c)->refresh_interval / 1000000u, 1u);
}

/* application/json, and no other charset than UTF-8 (prometheus discovery/http/http.go, 3.x). */
static bool is_json(const char *type)
{
	const char *rest;

	if (!type)
		return false;
	type += strspn(type, " \t");
	if (strncasecmp(type, "application/json", 16) != 0)
		return false;
	rest = type + 16;
	if (!rest[strspn(rest, " \t")])
		return true;
	if (*rest++ != ';')
		return false;
	rest += strspn(rest, " \t");
	if (strncasecmp(rest, "charset=", 8) != 0)
		return false;
	rest += 8;
	return !strcasecmp(rest, "utf-8") || !strcasecmp(rest, "\"utf-8\"");
}

static int read_reply(const struct discovery_http *c, const struct fetch_reply *reply,
		      struct value **ret, char *why, size_t size)
{
	_cleanup_value_ struct value *groups = NULL;
	_cleanup_(value_list_done) struct value_list l = {0};
	int r;

	if (reply->r < 0) {
		(void)snprintf(why, size, "%s", reply->why);
		return reply->r;
	}
	if (reply->status != 200) {
		(void)snprintf(why, size, "server returned HTTP status %ld", reply->status);
		return -EBADMSG;
	}
	if (!is_json(reply->content_type)) {
		(void)snprintf(why, size,
			       "unsupported content type \"%.80s\": it must be application/json",
			       reply->content_type ? reply->content_type : "");
		return -EBADMSG;
	}
	r = data_from_json(reply->body, reply->len, &groups, why, size);
	if (r >= 0)
		r = target_groups_read(groups, "__meta_url", args_of(c)->url, &l, why, size);
	if (r < 0)
		return r;
	*ret = targets_value_array(&l);
	return *ret ? 0 : -ENOMEM;
}

static void on_reply(void *data, const struct fetch_reply *reply)
{
	struct discovery_http *c = data;
	struct value *targets = NULL;
	char why[512] = "";
	int r = read_reply(c, reply, &targets, why, sizeof(why));

	c->asked = NULL;
	if (r >= 0) {
		c->retry_ms = 0;
		loop_set_timer(c->refresh, refresh_ms(c), 0);
		component_export(&c->base, targets_value_exports("targets", targets));
		component_set_health(&c->base, HEALTH_HEALTHY, "read targets");
		return;
	}
	/* The last targets stay. */
	c->failures++;
	c->retry_ms = MIN(MAX(c->retry_ms * 2, RETRY_MIN_MS), MAX(refresh_ms(c), RETRY_MIN_MS));
	loop_set_timer(c->refresh, c->retry_ms, 0);
	component_set_health(&c->base, HEALTH_UNHEALTHY, "cannot read targets: %s",
			     *why ? why : strerror(-r));
}

static void on_refresh(void *data)
{
	struct discovery_http *c = data;
	const struct http_args *a = args_of(c);
	char seconds[NUMBER_TEXT];
	const struct label headers[] = {
		{"Accept", "application/json"},
		{"X-Prometheus-Refresh-Interval-Seconds", seconds},
	};
	struct http_options options;
	struct fetch_request q = {
		.url = a->url,
		.http = &options,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.timeout_ms = MAX(refresh_ms(c), RETRY_MIN_MS),
		.max_bytes = DATA_MAX_BYTES,
		.on_done = on_reply,
		.data = c,
	};

	if (c->asked)
		return;
	number_format((struct number){NUMBER_FLOAT, .f = (double)a->refresh_interval / 1e9},
		      seconds, sizeof(seconds));
	http_client_options(&a->client, &options);
	if (fetch_start(c->base.env->http, &q, &c->asked) < 0)
		loop_set_timer(c->refresh, refresh_ms(c), 0);
}

static int http_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", targets_value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

static int http_start(struct component *base, char *why, size_t size)
{
	struct discovery_http *c = (struct discovery_http *)base;

	if (!base->env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EOPNOTSUPP;
	}
	c->refresh = loop_add_timer(base->env->loop, on_refresh, c);
	if (!c->refresh)
		return -ENOMEM;
	on_refresh(c);
	return 0;
}

static int http_update(struct component *base, const void *old, char *why, size_t size)
{
	struct discovery_http *c = (struct discovery_http *)base;

	if (!c->refresh)
		return 0;
	c->asked = fetch_cancel(c->asked);
	c->retry_ms = 0;
	on_refresh(c);
	return 0;
}

static void http_stop(struct component *base)
{
	struct discovery_http *c = (struct discovery_http *)base;

	c->asked = fetch_cancel(c->asked);
	c->refresh = loop_remove(c->refresh);
}

static void http_metrics(const struct component *base, struct metrics *m)
{
	static const struct metric_family failures = {
		"prometheus_sd_refresh_failures_total",
		"Questions to a service discovery server that failed.", METRIC_COUNTER};
	static const struct label mechanism = {"mechanism", "http"};
	const struct discovery_http *c = (const struct discovery_http *)base;

	metrics_add(m, &failures, &mechanism, 1, (double)c->failures);
}

const struct component_type discovery_http_type = {
	.name = "discovery.http",
	.help = "targets from a server",
	.schema = &http_schema,
	.size = sizeof(struct discovery_http),
	.init = http_init,
	.update = http_update,
	.start = http_start,
	.stop = http_stop,
	.metrics = http_metrics,
};
