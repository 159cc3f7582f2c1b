/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.kubelet (grafana/alloy internal/component/discovery/kubelet, 66ebea856dff): the list of
 * pods that the kubelet of a node has, asked for again and again. The labels are those of the pod
 * role of discovery.kubernetes.
 */
#include "agent/components/discovery_kubelet.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/components/http_client.h"
#include "agent/components/kube_targets.h"
#include "agent/components/targets_value.h"
#include "agent/http/fetch.h"
#include "agent/kube/client.h"
#include "agent/metrics.h"
#include "discovery/kubernetes/reader.h"

#define TIMEOUT_MS 30000
#define STEP	   100 /* pods made into targets a turn of the loop */

struct kubelet_args {
	char *url;
	int64_t refresh_interval;
	struct http_client http;
	struct schema_strings namespaces;
};

struct kubelet_component {
	struct component base;
	struct http_access *access;
	struct kube_view view;
	struct kube_reader *reader; /* of the answer that is under way */
	struct fetch *fetch;
	struct loop_source *refresh, *step;
	uint64_t refreshes, failures, left_out;
	size_t n_targets;
	bool synced;
};

#define ARGS(member) offsetof(struct kubelet_args, member)
static const struct option kubelet_options[] = {
	{"url", OPTION_STRING, "https://localhost:10250", .offset = ARGS(url),
	 .help = "the kubelet"},
	{"refresh_interval", OPTION_DURATION, "5s", .offset = ARGS(refresh_interval),
	 .help = "how often they are looked for"},
	{"namespaces", OPTION_STRINGS, .offset = ARGS(namespaces), .help = "empty: all"},
	HTTP_CLIENT_OPTIONS(struct kubelet_args, http),
};

static int kubelet_validate(const void *args, char *why, size_t size)
{
	const struct kubelet_args *a = args;

	if (a->refresh_interval <= 0) {
		(void)snprintf(why, size, "refresh_interval must be greater than 0");
		return -EINVAL;
	}
	return http_client_validate(&a->http, why, size);
}

static const struct schema kubelet_schema = {
	.size = sizeof(struct kubelet_args),
	.options = kubelet_options,
	.n = ARRAY_SIZE(kubelet_options),
	.validate = kubelet_validate,
};

static void fail(struct kubelet_component *c, const char *why)
{
	c->failures++;
	component_set_health(&c->base, HEALTH_UNHEALTHY,
			     "cannot list the pods of the kubelet: %s%s", why,
			     c->synced ? "; keeping the last targets" : "");
}

static bool is_wanted(const struct kubelet_component *c, const char *namespace)
{
	const struct kubelet_args *a = c->base.args;

	for (size_t i = 0; i < a->namespaces.n; i++) {
		if (!strcmp(a->namespaces.v[i], namespace))
			return true;
	}
	return !a->namespaces.n;
}

static int on_pod(const struct kube_event *e, void *data)
{
	struct kubelet_component *c = data;
	int r = -E2BIG;

	if (e->object && !is_wanted(c, kube_namespace(e->object))) {
		free(e->object);
		return 0;
	}
	if (e->object)
		r = kube_store_put(&c->view.stores[KUBE_POD], e->object);
	c->left_out += r < 0 && r != -ENOMEM;
	return r == -ENOMEM ? r : 0;
}

static int on_data(void *data, const uint8_t *p, size_t n)
{
	struct kubelet_component *c = data;

	return kube_reader_feed(c->reader, p, n);
}

static void on_done(void *data, const struct fetch_reply *reply)
{
	struct kubelet_component *c = data;
	char why[500];

	c->fetch = NULL;
	if (reply->r || reply->status < 200 || reply->status >= 300) {
		kube_explain(reply, why, sizeof(why));
		fail(c, why);
		return;
	}
	if (kube_reader_end(c->reader) < 0) {
		fail(c, "the answer is no list of pods");
		return;
	}
	(void)kube_store_sweep(&c->view.stores[KUBE_POD], NULL);
	c->refreshes++;
	c->synced = true;
	if (c->left_out)
		component_set_health(&c->base, HEALTH_UNHEALTHY,
				     "%llu pods or targets are left out: too large or too many",
				     (unsigned long long)c->left_out);
	else
		component_set_health(&c->base, HEALTH_HEALTHY, "follows the kubelet");
	loop_set_timer(c->step, 0, 0);
}

static void on_step(void *data)
{
	struct kubelet_component *c = data;
	int r = kube_targets_step(&c->view, STEP, &c->left_out);
	struct value *targets;

	if (!r) {
		loop_set_timer(c->step, 0, 0);
		return;
	}
	targets = r > 0 ? kube_targets_list(&c->view) : NULL;
	if (!targets) {
		fail(c, "no memory for so many targets");
		return;
	}
	c->n_targets = targets->n_items;
	component_export(&c->base, targets_value_exports("targets", targets));
}

static int begin(struct kubelet_component *c)
{
	static const struct label headers[] = {{"Accept", "application/json"}};
	const struct kubelet_args *a = c->base.args;
	_cleanup_free_ char *url = NULL;
	struct fetch_request q = {
		.access = c->access,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.timeout_ms = TIMEOUT_MS,
		.max_bytes = FETCH_MAX_BYTES,
		.on_data = on_data,
		.on_done = on_done,
		.data = c,
	};
	int r;

	if (asprintf(&url, "%s/pods", a->url) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	q.url = url;
	c->reader = kube_reader_free(c->reader);
	r = kube_reader_new(KUBE_POD, false, on_pod, c, &c->reader);
	if (r < 0)
		return r;
	kube_store_mark(&c->view.stores[KUBE_POD], NULL);
	c->left_out = 0;
	return fetch_start(c->base.env->http, &q, &c->fetch);
}

static void on_refresh(void *data)
{
	struct kubelet_component *c = data;

	/* The last one is still under way: it has a time limit of its own. */
	if (!c->fetch && begin(c) < 0)
		fail(c, "no memory");
}

static void arm(struct kubelet_component *c)
{
	const struct kubelet_args *a = c->base.args;

	loop_set_timer(c->refresh, 0, MAX((uint64_t)a->refresh_interval / 1000000u, 1u));
}

static int kubelet_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", targets_value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

static int open_access(struct kubelet_component *c, char *why, size_t size,
		       struct http_access **ret)
{
	const struct kubelet_args *a = c->base.args;
	struct http_options o;

	if (!c->base.env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EINVAL;
	}
	http_client_options(&a->http, &o);
	return http_access_new(&o, why, size, ret);
}

static int kubelet_build(struct component *base, char *why, size_t size)
{
	struct kubelet_component *c = (struct kubelet_component *)base;

	kube_view_init(&c->view, KUBE_ROLE_POD, false, false, kube_targets_release);
	return open_access(c, why, size, &c->access);
}

static int kubelet_start(struct component *base, char *why, size_t size)
{
	struct kubelet_component *c = (struct kubelet_component *)base;

	c->refresh = loop_add_timer(base->env->loop, on_refresh, c);
	c->step = loop_add_timer(base->env->loop, on_step, c);
	if (!c->refresh || !c->step)
		return -ENOMEM;
	component_set_health(base, HEALTH_UNKNOWN, "waits for the first list");
	arm(c);
	return 0;
}

static int kubelet_update(struct component *base, const void *old, char *why, size_t size)
{
	struct kubelet_component *c = (struct kubelet_component *)base;
	struct http_access *access = NULL;
	int r = open_access(c, why, size, &access);

	if (r < 0)
		return r;
	c->fetch = fetch_cancel(c->fetch);
	http_access_unref(c->access);
	c->access = access;
	if (c->refresh)
		arm(c);
	return 0;
}

static void kubelet_stop(struct component *base)
{
	struct kubelet_component *c = (struct kubelet_component *)base;

	c->fetch = fetch_cancel(c->fetch);
	c->refresh = loop_remove(c->refresh);
	c->step = loop_remove(c->step);
}

static void kubelet_done(struct component *base)
{
	struct kubelet_component *c = (struct kubelet_component *)base;

	c->fetch = fetch_cancel(c->fetch);
	c->reader = kube_reader_free(c->reader);
	kube_view_done(&c->view);
	http_access_unref(c->access);
	c->access = NULL;
}

static const struct metric_family refreshes_total = {"prometheus_sd_refresh_total",
						     "Number of refreshes of discovered targets.",
						     METRIC_COUNTER};
static const struct metric_family failures_total = {"prometheus_sd_refresh_failures_total",
						    "Number of refresh failures.", METRIC_COUNTER};
static const struct metric_family targets_gauge = {
	"prometheus_sd_discovered_targets", "Current number of discovered targets.", METRIC_GAUGE};

static void kubelet_metrics(const struct component *base, struct metrics *m)
{
	const struct kubelet_component *c = (const struct kubelet_component *)base;

	metrics_add(m, &refreshes_total, NULL, 0, (double)c->refreshes);
	metrics_add(m, &failures_total, NULL, 0, (double)c->failures);
	metrics_add(m, &targets_gauge, NULL, 0, (double)c->n_targets);
}

const struct component_type discovery_kubelet_type = {
	.name = "discovery.kubelet",
	.help = "the pods of one node, from its kubelet",
	.schema = &kubelet_schema,
	.size = sizeof(struct kubelet_component),
	.init = kubelet_init,
	.build = kubelet_build,
	.update = kubelet_update,
	.start = kubelet_start,
	.stop = kubelet_stop,
	.done = kubelet_done,
	.metrics = kubelet_metrics,
};
