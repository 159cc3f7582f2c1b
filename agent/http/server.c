/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server itself: a daemon of libmicrohttpd without threads, whose epoll descriptor is a source
 * of the loop; its connections, their time, and who makes place when there are too many.
 */
#include "agent/http/server.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/http/server_internal.h"

#define SPARE_CONNECTIONS 32 /* accepted over the maximum, until those that go are gone */
#define SWEEP_MS	  500
#define RESTART_MS	  200 /* for answers that are on their way */

/* ---- Connections ---- */

static void conn_free(struct conn *c)
{
	struct http_server *s = c->server;

	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->stats.open--;
	free(c);
}

/* libmicrohttpd notices and closes; it offers nothing else for this. */
static void conn_end(struct conn *c, enum http_refused why)
{
	c->deadline_ms = 0;
	c->waiting = false;
	c->server->stats.refused[why]++;
	(void)shutdown(c->fd, SHUT_RDWR);
}

/* The newest connection came over the maximum: the one that has idled longest goes. */
static void make_place(struct http_server *s)
{
	struct conn *longest = NULL;

	for (struct conn *c = s->conns->next; c; c = c->next) {
		if (c->waiting && (!longest || c->deadline_ms < longest->deadline_ms))
			longest = c;
	}
	conn_end(longest ? longest : s->conns, HTTP_REFUSED_CROWDED);
}

static void on_sweep(void *data)
{
	struct http_server *s = data;
	uint64_t now = clock_ms();

	for (struct conn *c = s->conns; c; c = c->next) {
		if (c->deadline_ms && c->deadline_ms <= now)
			conn_end(c, HTTP_REFUSED_SLOW);
	}
	if (!s->conns)
		loop_stop_timer(s->sweep_timer);
}

static void conn_new(struct http_server *s, struct MHD_Connection *connection, void **ret)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *c = calloc(1, sizeof(*c));

	*ret = c;
	if (!c) {
		(void)shutdown(info->connect_fd, SHUT_RDWR);
		return;
	}
	*c = (struct conn){
		.server = s,
		.next = s->conns,
		.fd = info->connect_fd,
		.deadline_ms = clock_ms() + s->o.request_ms,
		.waiting = true,
	};
	if (c->next)
		c->next->prev = c;
	else
		loop_set_timer(s->sweep_timer, SWEEP_MS, SWEEP_MS);
	s->conns = c;
	s->stats.connections++;
	server_ask_certificate(s, connection);
	if (++s->stats.open > s->o.max_connections)
		make_place(s);
}

static void on_connection(void *server, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		conn_new(server, connection, context);
	else if (*context)
		conn_free(*context);
}

/* ---- The daemon on the loop ---- */

static struct http_server *destroy(struct http_server *s);

static void run(struct http_server *s)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	s->running = true;
	(void)MHD_run(s->daemon);
	s->running = false;
	if (s->dying)
		destroy(s);
	else if (MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES)
		loop_set_timer(s->run_timer, wait_ms, 0);
	else
		loop_stop_timer(s->run_timer);
}

static void on_epoll(int fd, uint32_t events, void *data)
{
	run(data);
}

static void on_run_timer(void *data)
{
	run(data);
}

void server_run_soon(struct http_server *s)
{
	if (!s->running)
		loop_set_timer(s->run_timer, 0, 0);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void on_log(void *data, const char *fmt, va_list ap)
{
	char text[512];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	while (n > 0 && (size_t)n < sizeof(text) && text[n - 1] == '\n')
		text[--n] = '\0';
	log_debug("http server: %s", text);
}

static int daemon_start(struct http_server *s)
{
	struct MHD_OptionItem tls[5] = {{MHD_OPTION_END, 0, NULL}};
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	const union MHD_DaemonInfo *info;
	int fd = dup(s->listen_fd); /* the daemon closes its own */
	size_t n = 0;

	if (fd < 0)
		return -errno;
	if (s->tls.cert) {
		flags |= MHD_USE_TLS;
		tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls.cert};
		tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls.key};
		tls[n++] =
			(struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, s->tls.priorities};
		if (s->tls.client_ca)
			tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0,
							   s->tls.client_ca};
		tls[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
	}
	s->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, call_on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		s->o.max_header_bytes, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)(s->o.max_connections + SPARE_CONNECTIONS),
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
		call_on_completed, s, MHD_OPTION_URI_LOG_CALLBACK, call_on_uri, s, MHD_OPTION_ARRAY,
		tls, MHD_OPTION_END);
	if (!s->daemon) {
		close(fd);
		return -ENOMEM;
	}
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	s->source = loop_add_fd(s->loop, info->epoll_fd, EPOLLIN, on_epoll, s);
	return s->source ? 0 : -ENOMEM;
}

static void daemon_stop(struct http_server *s)
{
	if (!s->daemon)
		return;
	s->source = loop_remove(s->source);
	loop_stop_timer(s->run_timer);
	/* It must not be stopped with suspended connections. */
	while (s->calls_waiting) {
		struct call *c = s->calls_waiting;

		call_not_waiting(c);
		MHD_resume_connection(c->connection);
	}
	MHD_stop_daemon(s->daemon);
	s->daemon = NULL;
}

static void on_restart(void *data)
{
	struct http_server *s = data;
	int r;

	daemon_stop(s);
	r = daemon_start(s);
	if (r < 0)
		log_error_errno(r, "cannot restart the HTTP server at %s", s->address);
}

/* ---- The server ---- */

static void set_defaults(struct http_server_options *o)
{
	o->max_connections = o->max_connections ? o->max_connections : 64;
	o->max_header_bytes = o->max_header_bytes ? o->max_header_bytes : 16u << 10;
	o->max_body_bytes = o->max_body_bytes ? o->max_body_bytes : 64u << 10;
	o->max_bodies_bytes = o->max_bodies_bytes ? o->max_bodies_bytes : 4 * o->max_body_bytes;
	o->request_ms = o->request_ms ? o->request_ms : 10000;
	o->reply_ms = o->reply_ms ? o->reply_ms : 30000;
}

static struct http_server *destroy(struct http_server *s)
{
	if (!s)
		return NULL;
	daemon_stop(s);
	loop_remove(s->run_timer);
	loop_remove(s->sweep_timer);
	loop_remove(s->restart_timer);
	for (size_t i = 0; i < s->n_routes; i++) {
		free(s->routes[i].method);
		free(s->routes[i].path);
	}
	free(s->routes);
	server_auth_done(s);
	server_tls_done(s);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	free(s);
	return NULL;
}
DEFINE_CLEANUP(struct http_server *, destroy)

struct http_server *http_server_free(struct http_server *s)
{
	if (s && s->running) {
		s->dying = true;
		return NULL;
	}
	return destroy(s);
}

int http_server_new(struct loop *l, const struct http_server_options *o, char *why, size_t size,
		    struct http_server **ret)
{
	_cleanup_(destroyp) struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->o = *o;
	set_defaults(&s->o);
	s->listen_fd = server_listen(o->address, why, size);
	if (s->listen_fd < 0)
		return s->listen_fd;
	r = server_local_address(s->listen_fd, s->address, sizeof(s->address), &s->port,
				 &s->loopback);
	if (r >= 0)
		r = server_copy_auth(s, &o->auth);
	if (r >= 0)
		r = server_copy_tls(s, &o->tls, why, size);
	if (r < 0)
		return r;
	s->run_timer = loop_add_timer(l, on_run_timer, s);
	s->sweep_timer = loop_add_timer(l, on_sweep, s);
	s->restart_timer = loop_add_timer(l, on_restart, s);
	if (!s->run_timer || !s->sweep_timer || !s->restart_timer)
		return -ENOMEM;
	r = daemon_start(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

const char *http_server_address(const struct http_server *s)
{
	return s->address;
}

void http_server_stats(const struct http_server *s, struct http_server_stats *ret)
{
	*ret = s->stats;
}

int http_server_route(struct http_server *s, const char *method, const char *path, bool exact,
		      http_handler fn, void *data)
{
	struct route *routes = realloc(s->routes, (s->n_routes + 1) * sizeof(*routes));
	struct route *r;

	if (!routes)
		return -ENOMEM;
	s->routes = routes;
	r = &routes[s->n_routes];
	*r = (struct route){.exact = exact, .fn = fn, .data = data};
	r->path = strdup(path);
	r->method = method ? strdup(method) : NULL;
	if (!r->path || (method && !r->method)) {
		free(r->path);
		free(r->method);
		return -ENOMEM;
	}
	s->n_routes++;
	return 0;
}

int http_server_set_auth(struct http_server *s, const struct http_server_auth *auth)
{
	return server_copy_auth(s, auth);
}

int http_server_set_tls(struct http_server *s, const struct http_server_tls *tls, char *why,
			size_t size)
{
	int r;

	if (!tls->cert && !s->tls.cert)
		return 0;
	r = server_copy_tls(s, tls, why, size);
	if (r > 0) {
		/* At once, so that nobody is served as before; unless an answer is on its way. */
		if (s->running || s->stats.open)
			loop_set_timer(s->restart_timer, RESTART_MS, 0);
		else
			on_restart(s);
	}
	return MIN(r, 0);
}
