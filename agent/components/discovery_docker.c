/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/discovery_docker.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/docker_api.h"
#include "agent/components/docker_containers.h"
#include "agent/components/http_client.h"
#include "agent/components/targets_value.h"
#include "agent/metrics.h"

#define BATCH_MS       100  /* starts within that are asked for together */
#define BATCH_BUSY_MS  0    /* ... when they come together already (EVENTS_BATCH_MS) */
#define EXPORT_MS      800  /* between two lists of targets when containers start */
#define EXPORT_LESS_MS 100  /* ... or so much less: together with what brings the next ones */
#define EXPORT_GONE_MS 5000 /* ... and when they only end, as Alloy's throttle */
#define TIMEOUT_MAX_MS 30000
#define RETRY_MIN_MS   1000
#define RETRY_MAX_MS   30000
#define ASK_MAX	       100 /* containers in one question; each is 64 digits of the URL */
#define IDS_MAX	       1000
#define LINE_MAX_BYTES (256u << 10) /* of an event: labels are in it */

struct docker_args {
	char *host, *host_networking_host;
	int64_t port, refresh_interval;
	bool match_first_network;
	struct schema_blocks filters; /* struct docker_filter */
	struct http_client client;
};

struct ids {
	char (*v)[DOCKER_ID_MAX];
	size_t n;
};

enum question { ASK_NETWORKS, ASK_LIST, ASK_SOME };

struct discovery_docker {
	struct component base;
	struct docker_api api;
	struct http_options options;
	struct docker_containers *containers;
	struct loop_source *refresh, *retry, *batch, *publish;
	struct fetch *asked, *events; /* under way; NULL: none */
	enum question question;
	bool want_networks, want_list;
	struct ids started;   /* to be asked for */
	struct ids meanwhile; /* that ended since the question that is under way */
	struct buf line;      /* of the events, as far as it has come */
	uint64_t retry_ms;    /* the last pause after a failure; 0: all is well */
	uint64_t reopen_ms;   /* the last one after the events ended; 0: they come */
	uint64_t published_ms, asked_ms;
	bool published, by_id, told_events;
	uint64_t asked_total, failures, events_total, events_lost;
};

/* ---- Arguments ---- */

#define ARG(member) offsetof(struct docker_args, member)
static const struct option docker_options[] = {
	{"host", OPTION_STRING, NULL, OPTION_REQUIRED, ARG(host), NULL,
	 "the engine, such as \"unix:///var/run/docker.sock\""},
	{"port", OPTION_INT, "80", .offset = ARG(port), .help = "of containers that expose none"},
	{"host_networking_host", OPTION_STRING, "localhost", .offset = ARG(host_networking_host),
	 .help = "address of containers in the host's network"},
	{"refresh_interval", OPTION_DURATION, "1m", .offset = ARG(refresh_interval),
	 .help = "how often they are looked for"},
	{"match_first_network", OPTION_BOOL, "true", .offset = ARG(match_first_network),
	 .help = "false: a container in several networks is a target in each"},
	{"filter", OPTION_BLOCKS, .offset = ARG(filters), .block = &docker_filter_schema,
	 .help = "which ones are listed"},
	HTTP_CLIENT_OPTIONS(struct docker_args, client),
};

static int docker_validate(const void *args, char *why, size_t size)
{
	const struct docker_args *a = args;
	_cleanup_free_ char *base = NULL, *path = NULL;
	int r = docker_host_parse(a->host, &base, &path, why, size);

	if (r < 0)
		return r;
	if (a->refresh_interval <= 0)
		(void)snprintf(why, size, "refresh_interval must be greater than 0");
	else if (a->port < 0 || a->port > 65535)
		(void)snprintf(why, size, "port must be between 0 and 65535");
	else
		return http_client_validate(&a->client, why, size);
	return -EINVAL;
}

static const struct schema docker_schema = {
	.size = sizeof(struct docker_args),
	.options = docker_options,
	.n = ARRAY_SIZE(docker_options),
	.validate = docker_validate,
};

static const struct docker_args *args_of(const struct discovery_docker *c)
{
	return c->base.args;
}

static uint64_t refresh_ms(const struct discovery_docker *c)
{
	return MAX((uint64_t)args_of(c)->refresh_interval / 1000000u, 1u);
}

/* ---- Ids ---- */

static bool ids_remove(struct ids *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++) {
		if (!strcmp(s->v[i], id)) {
			memmove(s->v[i], s->v[i + 1], (--s->n - i) * sizeof(*s->v));
			return true;
		}
	}
	return false;
}

/* False: there is no room for it. */
static bool ids_add(struct ids *s, const char *id)
{
	if (!s->v)
		s->v = calloc(IDS_MAX + 1, sizeof(*s->v));
	if (!s->v || s->n >= IDS_MAX)
		return false;
	(void)ids_remove(s, id);
	(void)snprintf(s->v[s->n++], sizeof(*s->v), "%s", id);
	return true;
}

/* ---- Targets ---- */

static void on_publish(void *data)
{
	struct discovery_docker *c = data;

	c->published = true;
	c->published_ms = clock_ms();
	component_export(&c->base, targets_value_exports("targets",
							 docker_containers_targets(c->containers)));
}

/* There are other targets than before: at once when there was peace, else after a pause. */
static void publish_soon(struct discovery_docker *c, uint64_t pause_ms)
{
	uint64_t now = clock_ms(), due = c->published ? c->published_ms + pause_ms : 0;

	loop_set_timer_before(c->publish, due > now + EXPORT_LESS_MS ? due - now : 0);
}

/* ---- Asking ---- */

static void ask_next(struct discovery_docker *c);
static void events_open(struct discovery_docker *c);

static void on_failure(struct discovery_docker *c, const char *why)
{
	c->failures++;
	c->events = fetch_cancel(c->events);
	c->want_networks = c->want_list = false;
	c->retry_ms = MIN(MAX(c->retry_ms * 2, RETRY_MIN_MS),
			  MIN(RETRY_MAX_MS, MAX(refresh_ms(c), RETRY_MIN_MS)));
	loop_set_timer(c->retry, c->retry_ms, 0);
	component_set_health(&c->base, HEALTH_UNHEALTHY, "cannot ask %s: %s", args_of(c)->host,
			     why);
}

static int take_reply(struct discovery_docker *c, const struct value *v, char *why, size_t size)
{
	switch (c->question) {
	case ASK_NETWORKS:
		return docker_containers_networks(c->containers, v, why, size);
	case ASK_LIST:
		return docker_containers_list(c->containers, v, why, size);
	case ASK_SOME:
		return docker_containers_merge(c->containers, v, why, size);
	}
	return -EINVAL;
}

static void on_reply(void *data, const struct fetch_reply *reply)
{
	struct discovery_docker *c = data;
	_cleanup_value_ struct value *v = NULL;
	char why[512] = "";
	int r = docker_api_value(reply, &v, why, sizeof(why));

	c->asked = NULL;
	if (r >= 0)
		r = take_reply(c, v, why, sizeof(why));
	/* The reply may be older than the event. */
	for (size_t i = 0; i < c->meanwhile.n; i++)
		(void)docker_containers_remove(c->containers, c->meanwhile.v[i]);
	c->meanwhile.n = 0;
	if (r < 0) {
		on_failure(c, *why ? why : strerror(-r));
		return;
	}
	if (c->question == ASK_LIST) {
		c->retry_ms = 0;
		component_set_health(&c->base, HEALTH_HEALTHY, "following the engine's containers");
	}
	if (c->question != ASK_NETWORKS && docker_containers_lack_network(c->containers))
		c->want_networks = true; /* the labels are not complete yet */
	else if (c->question != ASK_NETWORKS || !c->want_list)
		publish_soon(c, EXPORT_MS);
	ask_next(c);
}

static int ask(struct discovery_docker *c, enum question question)
{
	const char *some[ASK_MAX];
	size_t n = question == ASK_SOME ? MIN(c->started.n, ASK_MAX) : 0;
	struct docker_question q = {
		.path = question == ASK_NETWORKS ? "/networks" : "/containers/json",
		.filtered = question != ASK_NETWORKS,
		.name = "id",
		.values = some,
		.n = n,
		.on_done = on_reply,
		.data = c,
	};
	int r;

	for (size_t i = 0; i < n; i++)
		some[i] = c->started.v[i];
	r = docker_api_ask(&c->api, &q, &c->asked);
	if (r < 0)
		return r;
	c->asked_total++;
	c->asked_ms = clock_ms();
	c->question = question;
	if (n) {
		c->started.n -= n;
		memmove(c->started.v, c->started.v + n, c->started.n * sizeof(*c->started.v));
	}
	return 0;
}

/* One question at a time, the whole list before some of it. */
static void ask_next(struct discovery_docker *c)
{
	int r = 0;

	if (c->asked)
		return;
	if (c->want_networks) {
		c->want_networks = false;
		r = ask(c, ASK_NETWORKS);
	} else if (c->want_list) {
		c->want_list = false;
		c->started.n = 0;
		r = ask(c, ASK_LIST);
	} else if (c->started.n) {
		r = ask(c, ASK_SOME);
	}
	if (r < 0)
		on_failure(c, strerror(-r));
}

static void look_at_everything(struct discovery_docker *c)
{
	c->want_networks = c->want_list = true;
	if (!c->events)
		events_open(c);
	ask_next(c);
}

static void on_refresh(void *data)
{
	struct discovery_docker *c = data;

	if (!c->retry_ms) /* else the retry does it */
		look_at_everything(c);
}

static void on_retry(void *data)
{
	look_at_everything(data);
}

static void on_batch(void *data)
{
	ask_next(data);
}

/* ---- Events ---- */

static void on_started(struct discovery_docker *c, const char *id)
{
	(void)ids_remove(&c->meanwhile, id);
	if (c->by_id && ids_add(&c->started, id)) {
		loop_set_timer_before(c->batch,
				      clock_ms() - c->asked_ms < 1000 ? BATCH_BUSY_MS : BATCH_MS);
		return;
	}
	/* Too many, or the filters do not go together with a question for ids. */
	c->want_list = true;
	loop_set_timer_before(c->batch, c->by_id ? BATCH_MS : EXPORT_MS);
}

static void on_ended(struct discovery_docker *c, const char *id)
{
	(void)ids_remove(&c->started, id);
	if (c->asked && c->question != ASK_NETWORKS && !ids_add(&c->meanwhile, id))
		c->want_list = true;
	if (!c->by_id) {
		c->want_list = true; /* they may be about those that ended */
		loop_set_timer_before(c->batch, EXPORT_MS);
	} else if (docker_containers_remove(c->containers, id)) {
		publish_soon(c, EXPORT_GONE_MS);
	}
}

static int on_line(struct discovery_docker *c, const char *line, size_t n)
{
	struct docker_event e;
	char why[128];
	int r = docker_event_parse(line, n, &e, why, sizeof(why));

	if (r < 0) {
		log_warn("%s: an event of %s cannot be understood: %s", c->base.id,
			 args_of(c)->host, why);
		c->events_lost++;
		return r;
	}
	c->events_total++;
	c->reopen_ms = 0;
	if (e.kind == DOCKER_EVENT_THERE ||
	    (e.kind == DOCKER_EVENT_CHANGED && docker_containers_has(c->containers, e.id)))
		on_started(c, e.id);
	else if (e.kind == DOCKER_EVENT_GONE)
		on_ended(c, e.id);
	return 0;
}

/* One JSON object a line. What is no event ends the stream, the next look is at everything. */
static int on_event_data(void *data, const uint8_t *p, size_t n)
{
	struct discovery_docker *c = data;

	while (n > 0) {
		const uint8_t *end = memchr(p, '\n', n);
		size_t len = end ? (size_t)(end - p) : n;
		int r = 0;

		buf_add(&c->line, p, len);
		if (c->line.failed)
			return c->line.failed;
		if (end && c->line.len > 1) /* "\r" and nothing are keep-alives */
			r = on_line(c, (const char *)c->line.data, c->line.len);
		if (r < 0)
			return r;
		if (end) {
			buf_reset(&c->line);
			len++;
		}
		p += len;
		n -= len;
	}
	return 0;
}

/* Without events containers are still found, every refresh_interval. */
static void on_events_end(void *data, const struct fetch_reply *reply)
{
	struct discovery_docker *c = data;

	c->events = NULL;
	if (c->retry_ms)
		return;
	if (reply->r == 0 && reply->status != 200) {
		if (!c->told_events)
			log_warn("%s: %s does not tell of events (HTTP status %ld), looking every "
				 "%" PRIu64 " ms",
				 c->base.id, args_of(c)->host, reply->status, refresh_ms(c));
		c->told_events = true;
		return;
	}
	c->told_events = false;
	c->reopen_ms = MIN(MAX(c->reopen_ms * 2, RETRY_MIN_MS), RETRY_MAX_MS);
	loop_set_timer(c->retry, c->reopen_ms, 0);
}

static void events_open(struct discovery_docker *c)
{
	static const char *const kinds[] = {"start", "die", "rename", "connect", "disconnect"};
	char since[48];
	struct docker_question q = {
		.path = "/events",
		.name = "event",
		.values = kinds,
		.n = ARRAY_SIZE(kinds),
		.query = since,
		.on_data = on_event_data,
		.on_done = on_events_end,
		.data = c,
	};

	/* What happens until the stream is open is replayed. */
	(void)snprintf(since, sizeof(since), "&since=%" PRIu64,
		       clock_ns(CLOCK_REALTIME) / 1000000000u - 1);
	buf_done(&c->line);
	c->line = BUF_INIT(LINE_MAX_BYTES);
	if (docker_api_ask(&c->api, &q, &c->events) < 0)
		c->events = NULL;
}

/* ---- The component ---- */

static int docker_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", targets_value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

/* Questions for single ids are possible when nobody filters by them, or by a state that is not
 * that of running. */
static bool may_ask_by_id(const struct docker_args *a)
{
	static const char *const other[] = {"id", "status", "exited", "before", "since"};
	const struct docker_filter *f = a->filters.v;

	for (size_t i = 0; i < a->filters.n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(other); k++) {
			if (!strcmp(f[i].name, other[k]))
				return false;
		}
	}
	return true;
}

static void disconnect(struct discovery_docker *c)
{
	struct loop_source *const timers[] = {c->refresh, c->retry, c->batch, c->publish};

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		if (timers[i])
			loop_stop_timer(timers[i]);
	}
	c->asked = fetch_cancel(c->asked);
	c->events = fetch_cancel(c->events);
	c->containers = docker_containers_free(c->containers);
	docker_api_done(&c->api);
	c->started.n = c->meanwhile.n = 0;
	c->retry_ms = c->reopen_ms = 0;
	c->published = c->told_events = false;
}

static int connect_to(struct discovery_docker *c, char *why, size_t size)
{
	const struct docker_args *a = args_of(c);
	const struct docker_options o = {(uint16_t)a->port, a->host_networking_host,
					 a->match_first_network};
	int r;

	disconnect(c);
	if (!c->base.env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EOPNOTSUPP;
	}
	r = docker_host_parse(a->host, &c->api.base, &c->api.unix_socket, why, size);
	if (r < 0)
		return r;
	c->containers = docker_containers_new(&o);
	if (!c->containers)
		return -ENOMEM;
	c->api.http = c->base.env->http;
	c->api.filters = &a->filters;
	c->api.timeout_ms = MIN(MAX(refresh_ms(c), 1000u), TIMEOUT_MAX_MS);
	/* As in Prometheus, credentials and TLS are for http and https only. */
	http_client_options(&a->client, &c->options);
	c->api.client = !strncmp(a->host, "http", 4) ? &c->options : NULL;
	c->by_id = may_ask_by_id(a);
	loop_set_timer(c->refresh, refresh_ms(c), refresh_ms(c));
	look_at_everything(c);
	return 0;
}

static int docker_start(struct component *base, char *why, size_t size)
{
	struct discovery_docker *c = (struct discovery_docker *)base;
	struct loop *l = base->env->loop;

	c->refresh = loop_add_timer(l, on_refresh, c);
	c->retry = loop_add_timer(l, on_retry, c);
	c->batch = loop_add_timer(l, on_batch, c);
	c->publish = loop_add_timer(l, on_publish, c);
	if (!c->refresh || !c->retry || !c->batch || !c->publish)
		return -ENOMEM;
	return connect_to(c, why, size);
}

/* The targets of before stay until the engine has been asked anew. */
static int docker_update(struct component *base, const void *old, char *why, size_t size)
{
	struct discovery_docker *c = (struct discovery_docker *)base;

	return c->refresh ? connect_to(c, why, size) : 0;
}

static void docker_stop(struct component *base)
{
	struct discovery_docker *c = (struct discovery_docker *)base;

	disconnect(c);
	c->refresh = loop_remove(c->refresh);
	c->retry = loop_remove(c->retry);
	c->batch = loop_remove(c->batch);
	c->publish = loop_remove(c->publish);
}

static void docker_done(struct component *base)
{
	struct discovery_docker *c = (struct discovery_docker *)base;

	disconnect(c);
	free(c->started.v);
	free(c->meanwhile.v);
	buf_done(&c->line);
}

/* ---- Figures ---- */

static void docker_metrics(const struct component *base, struct metrics *m)
{
	static const struct metric_family failures = {
		"prometheus_sd_refresh_failures_total",
		"Questions to a service discovery server that failed.", METRIC_COUNTER};
	static const struct metric_family events = {"tephra_discovery_docker_events_total",
						    "Events that the Docker engine told of.",
						    METRIC_COUNTER};
	static const struct metric_family questions = {
		"tephra_discovery_docker_questions_total",
		"Questions that the Docker engine was asked.", METRIC_COUNTER};
	static const struct metric_family containers = {"tephra_discovery_docker_containers",
							"Containers that match the filters.",
							METRIC_GAUGE};
	static const struct label mechanism = {"mechanism", "docker"};
	const struct discovery_docker *c = (const struct discovery_docker *)base;

	metrics_add(m, &failures, &mechanism, 1, (double)c->failures);
	metrics_add(m, &events, NULL, 0, (double)c->events_total);
	metrics_add(m, &questions, NULL, 0, (double)c->asked_total);
	metrics_add(m, &containers, NULL, 0,
		    c->containers ? (double)docker_containers_count(c->containers) : 0);
}

static struct value *docker_debug_info(const struct component *base)
{
	const struct discovery_docker *c = (const struct discovery_docker *)base;
	struct value_list l = {0};

	value_list_add(
		&l, "containers",
		value_int(c->containers ? (int64_t)docker_containers_count(c->containers) : 0));
	value_list_add(&l, "listens_to_events", value_bool(c->events));
	value_list_add(&l, "events", value_int((int64_t)c->events_total));
	value_list_add(&l, "events_not_understood", value_int((int64_t)c->events_lost));
	value_list_add(&l, "questions", value_int((int64_t)c->asked_total));
	value_list_add(&l, "failures", value_int((int64_t)c->failures));
	return value_object(&l);
}

const struct component_type discovery_docker_type = {
	.name = "discovery.docker",
	.help = "the containers of a Docker engine",
	.schema = &docker_schema,
	.size = sizeof(struct discovery_docker),
	.init = docker_init,
	.update = docker_update,
	.start = docker_start,
	.stop = docker_stop,
	.done = docker_done,
	.metrics = docker_metrics,
	.debug_info = docker_debug_info,
};
