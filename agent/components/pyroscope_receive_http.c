/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_receive_http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/receive_options.h"
#include "agent/export/gunzip.h"
#include "agent/metrics.h"
#include "agent/receive/ingest_name.h"
#include "agent/receive/push_decode.h"

#define PUSH_PATH "/push.v1.PusherService/Push"

struct receive_component {
	struct component base;
	struct http_server *server; /* NULL: not listening */
	struct loop_source *retry;
	struct log_limit limit;
	uint64_t requests, profiles, bytes, refused, undeliverable;
};

static const struct receive_args *args_of(const struct receive_component *c)
{
	return c->base.args;
}

/* ---- Answers ------------------------------------------------------------------------------ */

static void say_refused(struct receive_component *c, const struct http_call *call, const char *why)
{
	uint32_t suppressed = 0;

	c->refused++;
	if (log_limit_ok(&c->limit, 3, 60000, &suppressed))
		log_warn("%s: refusing a request to %s from %s: %s (%u more like it)", c->base.id,
			 call->path, call->client, why, suppressed);
}

/* An error as connect writes it. */
static void refuse(struct receive_component *c, struct http_call *call, unsigned int status,
		   const char *code, const char *why)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);

	say_refused(c, call, why);
	buf_printf(&b, "{\"code\":\"%s\",\"message\":\"", code);
	for (; *why; why++) {
		if (*why == '"' || *why == '\\')
			buf_add_u8(&b, '\\');
		buf_add_u8(&b, (unsigned char)*why < ' ' || (unsigned char)*why >= 0x7f
				       ? '?'
				       : (uint8_t)*why);
	}
	buf_adds(&b, "\"}");
	http_reply(call, status, "application/json", b.data, b.failed ? 0 : b.len);
}

static void refuse_body(struct receive_component *c, struct http_call *call, int r, const char *why)
{
	if (r == -ENOMEM)
		refuse(c, call, 503, "unavailable", "out of memory");
	else if (r == -E2BIG)
		refuse(c, call, 429, "resource_exhausted", why);
	else
		refuse(c, call, 400, "invalid_argument", why);
}

/* ---- Push --------------------------------------------------------------------------------- */

static int forward_profile(const struct label_set *labels, const uint8_t *profile, size_t n,
			   void *data)
{
	struct receive_component *c = data;
	const struct schema_receivers *to = &args_of(c)->forward_to;
	_cleanup_labels_ struct label_set set = {0};

	for (size_t i = 0; i < labels->n; i++)
		label_set_put(&set, labels->v[i].name, labels->v[i].value);
	if (set.failed || ingest_name_service(&set) < 0)
		return -ENOMEM;
	c->profiles++;
	c->bytes += n;
	for (size_t i = 0; i < to->n; i++)
		to->v[i]->append(to->v[i], set.v, set.n, profile, n, clock_ns(CLOCK_REALTIME));
	return 0;
}

static bool is_type(const char *type, const char *want)
{
	size_t n = strlen(want);

	return !strncasecmp(type, want, n) && (!type[n] || strchr("; ", type[n]));
}

/* The body, unpacked into `to` if it has to be. 0, or answered already (-EINVAL). */
static int unpack(struct receive_component *c, struct http_call *call, struct buf *to,
		  const uint8_t **ret, size_t *ret_len)
{
	const char *encoding = http_call_header(call, "Content-Encoding");
	int r;

	*ret = call->body;
	*ret_len = call->len;
	if (!encoding || !*encoding || !strcasecmp(encoding, "identity"))
		return 0;
	if (strcasecmp(encoding, "gzip") != 0) {
		refuse(c, call, 501, "unimplemented",
		       "unknown Content-Encoding: gzip and identity are supported");
		return -EINVAL;
	}
	r = gunzip(to, call->body, call->len);
	if (r < 0) {
		refuse_body(c, call, r,
			    r == -E2BIG ? "the body is too large when unpacked"
					: "the body is no valid gzip");
		return -EINVAL;
	}
	*ret = (const uint8_t *)buf_cstr(to);
	*ret_len = to->len;
	return 0;
}

static bool speaks_connect(struct receive_component *c, struct http_call *call)
{
	const char *type = call->content_type;
	const char *version = http_call_header(call, "Connect-Protocol-Version");

	if (!is_type(type, "application/proto") && !is_type(type, "application/json")) {
		bool grpc = !strncasecmp(type, "application/grpc", 16);

		say_refused(c, call, grpc ? "gRPC is not spoken" : "unknown Content-Type");
		http_reply_header(call, "Accept-Post", "application/json, application/proto");
		http_reply_text(call, 415, "%s",
				grpc ? "gRPC is not spoken here: set the client's protocol to "
				       "connect"
				     : "the Content-Type must be application/proto or "
				       "application/json");
		return false;
	}
	if (version && strcmp(version, "1") != 0) {
		refuse(c, call, 400, "invalid_argument", "Connect-Protocol-Version must be \"1\"");
		return false;
	}
	return true;
}

static void on_push(struct http_call *call, void *data)
{
	struct receive_component *c = data;
	_cleanup_buf_ struct buf unpacked = BUF_INIT(RECEIVE_MAX_UNPACKED);
	bool json = is_type(call->content_type, "application/json");
	const uint8_t *body;
	char why[200] = "";
	size_t len;
	int r;

	c->requests++;
	if (!speaks_connect(c, call) || unpack(c, call, &unpacked, &body, &len) < 0)
		return;
	r = (json ? push_decode_json : push_decode_proto)(body, len, forward_profile, c, why,
							  sizeof(why));
	if (r < 0)
		refuse_body(c, call, r, why);
	else if (json)
		http_reply(call, 200, "application/json", "{}", 2);
	else
		http_reply(call, 200, "application/proto", "", 0);
}

/* ---- /ingest ------------------------------------------------------------------------------ */

static void on_ingest(struct http_call *call, void *data)
{
	struct receive_component *c = data;
	const struct schema_receivers *to = &args_of(c)->forward_to;
	const char *name = http_call_argument(call, "name");
	_cleanup_labels_ struct label_set labels = {0};
	char why[200] = "", text[240];
	struct ingest in;
	int r = ingest_name_parse(name ? name : "", &labels, why, sizeof(why));

	c->requests++;
	if (r >= 0)
		r = ingest_name_service(&labels);
	if (r < 0) {
		(void)snprintf(text, sizeof(text), "name: %s", why);
		refuse_body(c, call, r, text);
		return;
	}
	in = (struct ingest){.labels = labels.v,
			     .n_labels = labels.n,
			     .path = call->path,
			     .query = call->query,
			     .content_type = call->content_type,
			     .body = call->body,
			     .bytes = call->len,
			     .time_ns = clock_ns(CLOCK_REALTIME)};
	c->profiles++;
	c->bytes += call->len;
	for (size_t i = 0; i < to->n; i++) {
		if (to->v[i]->ingest)
			to->v[i]->ingest(to->v[i], &in);
		else
			c->undeliverable++;
	}
	http_reply(call, 200, "text/plain", "", 0);
}

/* ---- The server --------------------------------------------------------------------------- */

static int listen_now(struct receive_component *c, char *why, size_t size)
{
	const struct receive_http *h = &args_of(c)->http;
	struct buf texts[3] = {0};
	bool v6 = strchr(h->listen_address, ':') && *h->listen_address != '[';
	char address[300];
	struct http_server_options o = {
		.address = address,
		.max_connections = (size_t)h->conn_limit,
		.max_body_bytes = RECEIVE_MAX_BODY,
		.max_bodies_bytes = RECEIVE_MAX_BODIES,
		/* From one request to the end of the next: a client may be idle in between. */
		.request_ms = (uint64_t)MAX(h->read_timeout, h->idle_timeout) / 1000000,
		.reply_ms = (uint64_t)h->write_timeout / 1000000,
	};
	int r = 0;

	(void)snprintf(address, sizeof(address), v6 ? "[%s]:%d" : "%s:%d", h->listen_address,
		       (int)h->listen_port);
	if (h->tls.set)
		r = receive_tls_load(&h->tls, texts, &o.tls, why, size);
	if (r >= 0)
		r = http_server_new(c->base.env->loop, &o, why, size, &c->server);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		buf_done(&texts[i]);
	if (r >= 0)
		r = http_server_route(c->server, "POST", "/ingest", true, on_ingest, c);
	if (r >= 0)
		r = http_server_route(c->server, "POST", PUSH_PATH, true, on_push, c);
	if (r < 0)
		c->server = http_server_free(c->server);
	return r;
}

static void try_listen(void *data)
{
	struct receive_component *c = data;
	char why[400] = "";
	int r = listen_now(c, why, sizeof(why));

	if (r >= 0) {
		component_set_health(&c->base, HEALTH_HEALTHY, "listening on %s",
				     http_server_address(c->server));
		return;
	}
	component_set_health(&c->base, HEALTH_UNHEALTHY, "cannot listen: %s; trying again",
			     *why ? why : strerror(-r));
	loop_set_timer(c->retry, RECEIVE_RETRY_MS, 0);
}

static int receive_start(struct component *base, char *why, size_t size)
{
	struct receive_component *c = (struct receive_component *)base;

	c->retry = loop_add_timer(base->env->loop, try_listen, c);
	if (!c->retry)
		return -ENOMEM;
	try_listen(c);
	return 0;
}

static int receive_update(struct component *base, const void *old, char *why, size_t size)
{
	struct receive_component *c = (struct receive_component *)base;

	/* Other receivers: the server and its connections stay. */
	if (!c->retry || receive_same_server(args_of(c), old))
		return 0;
	loop_stop_timer(c->retry);
	c->server = http_server_free(c->server);
	try_listen(c);
	return 0;
}

static void receive_stop(struct component *base)
{
	struct receive_component *c = (struct receive_component *)base;

	c->retry = loop_remove(c->retry);
	c->server = http_server_free(c->server);
}

static void receive_metrics(const struct component *base, struct metrics *m)
{
	static const struct metric_family connections = {"pyroscope_receive_http_tcp_connections",
							 "Connections that are open.",
							 METRIC_GAUGE};
	static const struct metric_family limit = {"pyroscope_receive_http_tcp_connections_limit",
						   "As many connections may be open.",
						   METRIC_GAUGE};
	const struct receive_component *c = (const struct receive_component *)base;
	const struct label tcp = {"protocol", "http"};
	struct http_server_stats stats = {0};

	if (c->server)
		http_server_stats(c->server, &stats);
	metrics_add(m, &connections, &tcp, 1, (double)stats.open);
	metrics_add(m, &limit, &tcp, 1, (double)args_of(c)->http.conn_limit);
}

static struct value *receive_debug(const struct component *base)
{
	const struct receive_component *c = (const struct receive_component *)base;
	struct value_list l = {0};

	value_list_add(&l, "address", value_cstr(c->server ? http_server_address(c->server) : ""));
	value_list_add(&l, "requests", value_int((int64_t)c->requests));
	value_list_add(&l, "profiles", value_int((int64_t)c->profiles));
	value_list_add(&l, "bytes", value_int((int64_t)c->bytes));
	value_list_add(&l, "refused", value_int((int64_t)c->refused));
	value_list_add(&l, "undeliverable", value_int((int64_t)c->undeliverable));
	return value_object(&l);
}

const struct component_type pyroscope_receive_http_type = {
	.name = "pyroscope.receive_http",
	.help = "takes profiles that others push",
	.schema = &receive_schema,
	.size = sizeof(struct receive_component),
	.start = receive_start,
	.stop = receive_stop,
	.update = receive_update,
	.metrics = receive_metrics,
	.debug_info = receive_debug,
};
