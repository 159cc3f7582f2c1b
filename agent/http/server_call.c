/* SPDX-License-Identifier: Apache-2.0 */
/* One request: collected, checked, routed, answered. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/http/server_internal.h"

#define DROP_BYTES (1u << 20) /* of a body that is too large, before the connection is closed */

static struct call *call_of(const struct http_call *c)
{
	return container_of(c, struct call, pub);
}

static void call_unref(struct call *c)
{
	if (--c->refs > 0)
		return;
	if (c->server)
		c->server->bodies_bytes -= c->counted;
	if (c->response)
		MHD_destroy_response(c->response);
	for (size_t i = 0; i < c->n_headers; i++) {
		free(c->headers[i].name);
		free(c->headers[i].value);
	}
	buf_done(&c->body);
	free(c->path);
	free(c->query);
	free(c->content_type);
	free(c);
}

/* ---- Routes ---- */

static bool route_matches(const struct route *r, const char *path)
{
	size_t len = strlen(r->path);

	if (r->exact)
		return !strcmp(r->path, path);
	if (strncmp(r->path, path, len) != 0)
		return false;
	return !path[len] || path[len] == '/' || (len && r->path[len - 1] == '/');
}

const struct route *server_find_route(const struct http_server *s, const char *method,
				      const char *path, bool *ret_other_method)
{
	const struct route *best = NULL;
	size_t best_len = 0;

	*ret_other_method = false;
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *r = &s->routes[i];
		/* An exact route wins over one that is as long. */
		size_t len = 2 * strlen(r->path) + r->exact;

		if (!route_matches(r, path))
			continue;
		if (r->method && strcmp(r->method, method) != 0)
			*ret_other_method = true;
		else if (!best || len > best_len) {
			best = r;
			best_len = len;
		}
	}
	return best;
}

static void add_allow(const struct http_server *s, struct call *c)
{
	char allow[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < s->n_routes && len < sizeof(allow); i++) {
		const struct route *r = &s->routes[i];

		if (route_matches(r, c->pub.path) && r->method)
			len += (size_t)snprintf(allow + len, sizeof(allow) - len, "%s%s",
						len ? ", " : "", r->method);
	}
	http_reply_header(&c->pub, "Allow", allow);
}

/* ---- Arrival ---- */

static void set_client(struct call *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const void *address;

	if (!info || !info->client_addr)
		return;
	address = info->client_addr->sa_family == AF_INET6
			  ? (void *)&((struct sockaddr_in6 *)info->client_addr)->sin6_addr
			  : (void *)&((struct sockaddr_in *)info->client_addr)->sin_addr;
	(void)inet_ntop(info->client_addr->sa_family, address, c->client, sizeof(c->client));
}

void *call_on_uri(void *server, const char *uri, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct call *c = calloc(1, sizeof(*c));
	const char *query = strchr(uri, '?');

	if (!c)
		return NULL;
	c->refs = 1;
	c->server = server;
	c->connection = connection;
	c->conn = info ? info->socket_context : NULL;
	c->query = strdup(query ? query + 1 : "");
	return c;
}

/* libmicrohttpd has refused what is no number. */
static uint64_t length_of(const char *digits)
{
	uint64_t v = 0;

	for (; *digits >= '0' && *digits <= '9' && v < UINT32_MAX; digits++)
		v = v * 10 + (uint64_t)(*digits - '0');
	return v;
}

/* Status 0: go on. */
static unsigned int admit(struct http_server *s, struct call *c, const char **ret_text)
{
	const char *length = http_call_header(&c->pub, "Content-Length");
	unsigned int status = server_refuses(s, c, ret_text);
	const struct route *route;
	bool other = false;

	if (status)
		return status;
	route = server_find_route(s, c->pub.method, c->pub.path, &other);
	if (!route && other) {
		add_allow(s, c);
		*ret_text = "this path does not take this method";
		return MHD_HTTP_METHOD_NOT_ALLOWED;
	}
	if (!route) {
		*ret_text = "404 page not found";
		return MHD_HTTP_NOT_FOUND;
	}
	if (length && length_of(length) > s->o.max_body_bytes) {
		*ret_text = "the body is too large";
		return MHD_HTTP_CONTENT_TOO_LARGE;
	}
	c->fn = route->fn;
	c->data = route->data;
	return 0;
}

static struct MHD_Response *make_response(struct call *c, const char *content_type,
					  const void *bytes, size_t len)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(len, (void *)bytes, MHD_RESPMEM_MUST_COPY);

	if (!r)
		return NULL;
	if (content_type)
		(void)MHD_add_response_header(r, "Content-Type", content_type);
	(void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	(void)MHD_add_response_header(r, "Cache-Control", "no-store");
	for (size_t i = 0; i < c->n_headers; i++)
		(void)MHD_add_response_header(r, c->headers[i].name, c->headers[i].value);
	return r;
}

static enum MHD_Result queue(struct http_server *s, struct call *c)
{
	enum MHD_Result r = MHD_queue_response(c->connection, c->status, c->response);

	MHD_destroy_response(c->response);
	c->response = NULL;
	if (c->conn) {
		c->conn->waiting = false;
		c->conn->deadline_ms = clock_ms() + s->o.reply_ms;
	}
	return r;
}

static enum MHD_Result refuse(struct http_server *s, struct call *c, unsigned int status,
			      const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	s->stats.refused[HTTP_REFUSED_BAD]++;
	c->status = status;
	c->response = make_response(c, "text/plain; charset=utf-8", line, (size_t)n);
	return c->response ? queue(s, c) : MHD_NO;
}

/* A name that outlives the request; HEAD is a GET whose body is not sent. */
static const char *method_name(const char *method)
{
	static const char *const names[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i], method))
			return names[i];
	}
	return strcmp(method, "HEAD") ? "OTHER" : "GET";
}

static enum MHD_Result begin(struct http_server *s, struct call *c, const char *method,
			     const char *path)
{
	const char *text = NULL, *type;
	unsigned int status;

	c->begun = true;
	c->pub.method = method_name(method);
	c->path = strdup(path);
	type = http_call_header(&c->pub, "Content-Type");
	c->content_type = strdup(type ? type : "");
	if (!c->path || !c->query || !c->content_type)
		return MHD_NO;
	c->pub.path = c->path;
	c->pub.query = c->query;
	c->pub.content_type = c->content_type;
	c->pub.client = c->client;
	set_client(c);
	c->body = BUF_INIT(s->o.max_body_bytes + 1);
	s->stats.requests++;
	status = admit(s, c, &text);
	return status ? refuse(s, c, status, text) : MHD_YES;
}

/* What is over the limits is read and dropped, within bounds: only then can a client be told. */
static enum MHD_Result receive(struct http_server *s, struct call *c, const char *data, size_t n)
{
	if (!c->too_large &&
	    (n > s->o.max_body_bytes - c->counted || n > s->o.max_bodies_bytes - s->bodies_bytes)) {
		c->too_large = true;
		c->status = n > s->o.max_body_bytes - c->counted ? MHD_HTTP_CONTENT_TOO_LARGE
								 : MHD_HTTP_SERVICE_UNAVAILABLE;
		buf_done(&c->body);
		s->bodies_bytes -= c->counted;
		c->counted = 0;
	}
	if (c->too_large) {
		c->pub.len += n; /* dropped so far */
		return c->pub.len > s->o.max_body_bytes + DROP_BYTES ? MHD_NO : MHD_YES;
	}
	buf_add(&c->body, data, n);
	c->counted += n;
	s->bodies_bytes += n;
	return c->body.failed ? MHD_NO : MHD_YES;
}

void call_not_waiting(struct call *c)
{
	if (!c->suspended)
		return;
	c->suspended = false;
	if (c->prev)
		c->prev->next = c->next;
	else
		c->server->calls_waiting = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->prev = c->next = NULL;
}

/* Without memory for the answer, libmicrohttpd closes the connection. */
static enum MHD_Result dispatch(struct http_server *s, struct call *c)
{
	c->dispatched = true;
	if (c->too_large)
		return refuse(s, c, c->status,
			      c->status == MHD_HTTP_SERVICE_UNAVAILABLE
				      ? "too many bodies at once: try again later"
				      : "the body is too large");
	c->pub.body = (const uint8_t *)buf_cstr(&c->body);
	c->pub.len = c->body.len;
	if (c->conn) {
		c->conn->waiting = false;
		c->conn->deadline_ms = 0;
	}
	c->refs++;
	c->in_handler = true;
	c->fn(&c->pub, c->data);
	c->in_handler = false;
	if (c->response)
		return queue(s, c);
	if (c->status)
		return MHD_NO;
	c->suspended = true;
	c->next = s->calls_waiting;
	if (c->next)
		c->next->prev = c;
	s->calls_waiting = c;
	MHD_suspend_connection(c->connection);
	return MHD_YES;
}

enum MHD_Result call_on_request(void *server, struct MHD_Connection *connection, const char *url,
				const char *method, const char *version, const char *upload_data,
				size_t *upload_size, void **call)
{
	struct http_server *s = server;
	struct call *c = *call;
	enum MHD_Result r;

	if (!c)
		return MHD_NO;
	if (!c->begun)
		return begin(s, c, method, url);
	if (*upload_size) {
		r = receive(s, c, upload_data, *upload_size);
		*upload_size = 0;
		return r;
	}
	if (!c->dispatched)
		return dispatch(s, c);
	return c->response ? queue(s, c) : MHD_NO;
}

void call_on_completed(void *server, struct MHD_Connection *connection, void **call,
		       enum MHD_RequestTerminationCode code)
{
	struct http_server *s = server;
	struct call *c = *call;

	*call = NULL;
	if (!c)
		return;
	if (c->conn) {
		c->conn->waiting = true;
		c->conn->deadline_ms = clock_ms() + s->o.request_ms;
	}
	call_not_waiting(c);
	s->bodies_bytes -= c->counted;
	c->counted = 0;
	c->connection = NULL;
	c->conn = NULL;
	c->server = NULL;
	call_unref(c);
}

/* ---- For handlers ---- */

const char *http_call_header(const struct http_call *p, const char *name)
{
	const struct call *c = call_of(p);

	return c->connection ? MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, name)
			     : NULL;
}

const char *http_call_argument(const struct http_call *p, const char *name)
{
	const struct call *c = call_of(p);

	return c->connection
		       ? MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name)
		       : NULL;
}

void http_reply_header(struct http_call *p, const char *name, const char *value)
{
	struct call *c = call_of(p);
	char *n, *v;

	if (c->n_headers == ARRAY_SIZE(c->headers))
		return;
	n = strdup(name);
	v = strdup(value);
	if (!n || !v) {
		free(n);
		free(v);
		return;
	}
	c->headers[c->n_headers].name = n;
	c->headers[c->n_headers++].value = v;
}

void http_reply(struct http_call *p, unsigned int status, const char *content_type,
		const void *bytes, size_t len)
{
	struct call *c = call_of(p);

	c->status = status;
	if (c->connection)
		c->response = make_response(c, content_type, bytes, len);
	if (c->connection && c->suspended) {
		call_not_waiting(c);
		MHD_resume_connection(c->connection);
		server_run_soon(c->server);
	}
	call_unref(c);
}

void http_reply_text(struct http_call *p, unsigned int status, const char *fmt, ...)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64u << 10);
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0) {
		buf_adds(&b, text);
		buf_adds(&b, "\n");
		free(text);
	}
	va_end(ap);
	http_reply(p, status, "text/plain; charset=utf-8", b.data, b.failed ? 0 : b.len);
}
