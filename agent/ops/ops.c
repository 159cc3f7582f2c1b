/* SPDX-License-Identifier: Apache-2.0 */
/* The routes, and the answers of one line. */
#include "agent/ops/ops.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/ops/ops_internal.h"

#define API "/api/v0/web"
/* A page of ours loads nothing, runs nothing and is shown in no other page. */
#define PAGE_POLICY                                                                                \
	"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; " \
	"form-action 'none'"
#define JSON_TYPE    "application/json; charset=utf-8"
#define TEXT_TYPE    "text/plain; charset=utf-8"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void reply_buf(struct http_call *c, const char *type, struct buf *b)
{
	if (b->failed)
		http_reply_text(c, 500, "cannot answer: %s", strerror(-b->failed));
	else
		http_reply(c, 200, type, b->data, b->len);
}

/* ---- Probes ---- */

static void on_ready(struct http_call *c, void *data)
{
	const struct ops *o = data;

	if (o->ready)
		http_reply_text(c, 200, "Tephra is ready.");
	else
		http_reply_text(c, 503, "Tephra is not ready.");
}

static void on_healthy(struct http_call *c, void *data)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64u << 10);
	const struct ops *o = data;
	struct graph_view v;
	size_t cursor = 0;

	/* "exited" does not count, as in Alloy: a component may be done. */
	while (o->graph && graph_view_next(o->graph, &cursor, &v)) {
		if (v.health == HEALTH_UNHEALTHY)
			buf_printf(&b, "%s%s", b.len ? ", " : "", v.id);
	}
	if (b.len || b.failed)
		http_reply_text(c, 500, "unhealthy components: %s",
				b.failed ? "(too many to name)" : buf_cstr(&b));
	else
		http_reply_text(c, 200, "All Tephra components are healthy.");
}

/* A page of somebody else in a browser may ask for our address, but not unseen. */
static bool is_cross_site(const struct http_call *c)
{
	const char *site = http_call_header(c, "Sec-Fetch-Site");

	return site && (!strcmp(site, "cross-site") || !strcmp(site, "same-site"));
}

static void on_reload(struct http_call *c, void *data)
{
	_cleanup_free_ char *text = NULL;
	struct ops *o = data;
	int r;

	if (is_cross_site(c)) {
		http_reply_text(c, 403, "a reload can not be asked for by another site's page");
		return;
	}
	log_info("reload requested via /-/reload endpoint by %s", c->client);
	r = o->o.reload(o->o.data, &text);
	if (r < 0)
		http_reply_text(c, 400, "%s", text && *text ? text : strerror(-r));
	else
		http_reply_text(c, 200, "config reloaded");
}

/* ---- Components ---- */

/* Settings are nodes too, but no components. */
static bool is_component(const struct graph_view *v)
{
	return !v->component || !v->component->type->singleton;
}

static void list(struct http_call *c, const struct ops *o, const char *module, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT(OPS_MAX_REPLY);
	struct graph_view v;
	size_t cursor = 0;

	while (o->graph && graph_view_next(o->graph, &cursor, &v)) {
		if (!is_component(&v) || strlen(v.module) != len || strncmp(v.module, module, len))
			continue;
		buf_adds(&b, b.len ? "," : "[");
		json_component(&b, &v, false);
	}
	buf_adds(&b, b.len ? "]\n" : "[]\n");
	reply_buf(c, JSON_TYPE, &b);
}

static void detail(struct http_call *c, const struct ops *o, const char *id)
{
	_cleanup_buf_ struct buf b = BUF_INIT(OPS_MAX_REPLY);
	struct graph_view v;

	if (!o->graph || !graph_view_find(o->graph, id, &v) || !is_component(&v)) {
		http_reply_text(c, 404, "404 page not found");
		return;
	}
	json_component(&b, &v, true);
	buf_adds(&b, "\n");
	reply_buf(c, JSON_TYPE, &b);
}

static void on_components(struct http_call *c, void *data)
{
	const char *id = c->path + strlen(API "/components");

	if (!*id)
		list(c, data, "", 0);
	else
		detail(c, data, id + 1);
}

/* .../modules/MODULE/components[/ID]; a module's id may hold slashes. */
static void on_modules(struct http_call *c, void *data)
{
	const char *module = c->path + strlen(API "/modules/"), *end = NULL;
	_cleanup_free_ char *id = NULL;

	for (const char *p = module; (p = strstr(p, "/components")); p++) {
		if (!p[11] || p[11] == '/')
			end = p;
	}
	if (!end || end == module) {
		http_reply_text(c, 404, "404 page not found");
		return;
	}
	if (!end[11]) {
		list(c, data, module, (size_t)(end - module));
		return;
	}
	if (asprintf(&id, "%.*s%s", (int)(end - module), module, end + 11) < 0)
		id = NULL;
	detail(c, data, id ? id : "");
}

/* ---- Pages and numbers ---- */

static void on_metrics(struct http_call *c, void *data)
{
	_cleanup_buf_ struct buf b = BUF_INIT(OPS_MAX_REPLY);
	int r = ops_metrics(data, &b);

	if (r < 0)
		http_reply_text(c, 500, "cannot collect the metrics: %s", strerror(-r));
	else
		reply_buf(c, METRICS_TYPE, &b);
}

static void on_targets(struct http_call *c, void *data)
{
	_cleanup_buf_ struct buf b = BUF_INIT(OPS_MAX_REPLY);
	const char *accept = http_call_header(c, "Accept");
	const char *format = http_call_argument(c, "format");

	/* Programs ask for JSON; people come with a browser or with curl. */
	if ((format && !strcmp(format, "json")) ||
	    (!format && accept && strstr(accept, "application/json"))) {
		ops_targets_json(data, &b);
		reply_buf(c, JSON_TYPE, &b);
		return;
	}
	ops_targets_text(data, &b);
	reply_buf(c, TEXT_TYPE, &b);
}

static void on_page(struct http_call *c, void *data)
{
	_cleanup_buf_ struct buf b = BUF_INIT(OPS_MAX_REPLY);

	ops_page(data, &b);
	http_reply_header(c, "Content-Security-Policy", PAGE_POLICY);
	http_reply_header(c, "Referrer-Policy", "no-referrer");
	reply_buf(c, "text/html; charset=utf-8", &b);
}

static const struct {
	const char *method, *path;
	bool exact;
	http_handler fn;
} routes[] = {
	{"GET", "/-/ready", true, on_ready},
	{"GET", "/-/healthy", true, on_healthy},
	{"GET", API "/components", false, on_components},
	{"GET", API "/modules/", false, on_modules},
	{"GET", "/metrics", true, on_metrics},
	{"GET", "/debug/targets", true, on_targets},
};

static int add_routes(struct ops *o)
{
	int r = http_server_route(o->server, "GET", o->prefix, true, on_page, o);

	for (size_t i = 0; i < ARRAY_SIZE(routes) && r >= 0; i++)
		r = http_server_route(o->server, routes[i].method, routes[i].path, routes[i].exact,
				      routes[i].fn, o);
	if (r >= 0 && o->o.reload)
		r = http_server_route(o->server, "GET", "/-/reload", true, on_reload, o);
	if (r >= 0 && o->o.reload)
		r = http_server_route(o->server, "POST", "/-/reload", true, on_reload, o);
	return r;
}

/* ---- Life ---- */

static void on_refresh(void *data)
{
	(void)ops_apply_settings(data);
}

static int open_server(struct ops *o, char *why, size_t size)
{
	struct http_server_options so = {.address = o->o.listen, .local_names = true};
	int r;

	o->timer = loop_add_timer(o->o.loop, on_refresh, o);
	if (!o->timer)
		return -ENOMEM;
	r = http_server_new(o->o.loop, &so, why, size, &o->server);
	return r < 0 ? r : add_routes(o);
}

int ops_new(const struct ops_options *options, char *why, size_t size, struct ops **ret)
{
	_cleanup_(ops_freep) struct ops *o = calloc(1, sizeof(*o));
	const char *prefix = options->prefix ? options->prefix : "/";
	int r = 0;

	if (!o)
		return -ENOMEM;
	o->o = *options;
	o->started_ns = clock_ns(CLOCK_REALTIME);
	prefix += strspn(prefix, "/");
	if (asprintf(&o->prefix, "/%s%s", prefix,
		     *prefix && prefix[strlen(prefix) - 1] != '/' ? "/" : "") < 0) {
		o->prefix = NULL;
		return -ENOMEM;
	}
	if (o->o.listen && *o->o.listen)
		r = open_server(o, why, size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

struct ops *ops_free(struct ops *o)
{
	if (!o)
		return NULL;
	loop_remove(o->timer);
	http_server_free(o->server);
	free(o->prefix);
	free(o);
	return NULL;
}

const char *ops_address(const struct ops *o)
{
	return o->server ? http_server_address(o->server) : "";
}

int ops_set_graph(struct ops *o, const struct graph *g)
{
	o->graph = g;
	o->ready = g != NULL;
	if (!o->server)
		return 0;
	if (!g) {
		loop_stop_timer(o->timer);
		return 0;
	}
	loop_set_timer(o->timer, OPS_REFRESH_MS, OPS_REFRESH_MS);
	return ops_apply_settings(o);
}

static void set_hash(struct ops *o)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64u << 20);

	graph_view_text(o->graph, &text);
	o->hash[0] = '\0';
	if (!text.failed)
		http_sha256_hex(text.data, text.len, o->hash);
}

void ops_loaded(struct ops *o, bool ok)
{
	if (o->graph)
		set_hash(o);
	o->last_ok = ok;
	if (ok)
		o->last_ok_ns = clock_ns(CLOCK_REALTIME);
	else
		o->failures++;
	/* Also after a failure: the part that is in force may have changed. */
	if (o->server && o->graph)
		(void)ops_apply_settings(o);
}
