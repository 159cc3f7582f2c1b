/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server share: connections, calls, routes. */
#pragma once

#include <microhttpd.h>

#include "agent/base/buf.h"
#include "agent/http/server.h"

#define REPLY_HEADERS_MAX 8

/* One accepted connection. */
struct conn {
	struct http_server *server; /* borrowed */
	struct conn *prev, *next;
	int fd;		      /* libmicrohttpd's */
	uint64_t deadline_ms; /* 0: none, the handler works */
	bool waiting;	      /* for a whole request */
	bool verified;	      /* its certificate */
};

struct route {
	char *method; /* NULL: any */
	char *path;
	bool exact;
	http_handler fn;
	void *data; /* borrowed */
};

/* One request. libmicrohttpd and the handler hold a reference each. */
struct call {
	struct http_call pub;
	struct http_server *server;	   /* borrowed; NULL: it is gone */
	struct MHD_Connection *connection; /* borrowed; NULL: it is gone */
	struct conn *conn;		   /* borrowed; NULL: it is gone */
	struct call *prev, *next;	   /* in calls_waiting */
	http_handler fn;
	void *data;		       /* borrowed: the handler's */
	struct MHD_Response *response; /* waits to be queued */
	unsigned int status, refs;
	bool begun, dispatched, in_handler, suspended, too_large;
	struct buf body;
	size_t counted; /* bytes of the server's bodies_bytes */
	char *path, *query, *content_type;
	char client[64];
	struct {
		char *name, *value;
	} headers[REPLY_HEADERS_MAX];
	size_t n_headers;
};

struct http_server {
	struct loop *loop; /* borrowed */
	struct MHD_Daemon *daemon;
	struct loop_source *source;    /* of the daemon's epoll descriptor */
	struct loop_source *run_timer; /* when the daemon wants to run */
	struct loop_source *sweep_timer, *restart_timer;
	int listen_fd;
	uint16_t port;
	bool loopback, running, dying;
	char address[64];
	struct http_server_options o; /* numbers only; the texts are below */
	struct route *routes;
	size_t n_routes;
	struct {
		bool on, except_paths;
		uint8_t username[32], password[32]; /* SHA-256 */
		char **paths;
		size_t n_paths;
	} auth;
	struct {
		char *cert, *key, *client_ca, priorities[128];
		enum http_client_auth client_auth;
	} tls;
	struct conn *conns;	    /* oldest last */
	struct call *calls_waiting; /* for their handler's reply */
	size_t bodies_bytes;
	struct http_server_stats stats;
};

/* server_listen.c: a bound and listening socket for "HOST:PORT", non-blocking; a negative errno
 * with why. */
int server_listen(const char *address, char *why, size_t size);
/* The address a socket is bound to, as text; whether only this host can reach it. */
int server_local_address(int fd, char *ret, size_t size, uint16_t *ret_port, bool *ret_loopback);

/* server_auth.c. What is wrong with the request: 0, or a status, the answer's text in *ret_text. */
unsigned int server_refuses(struct http_server *s, struct call *c, const char **ret_text);
bool server_host_is_local(const char *host);
int server_copy_auth(struct http_server *s, const struct http_server_auth *auth);
void server_auth_done(struct http_server *s);
/* 1: new, 0: as before. */
int server_copy_tls(struct http_server *s, const struct http_server_tls *tls, char *why,
		    size_t size);
void server_tls_done(struct http_server *s);
/* A connection that was accepted: asks for a certificate if one is wanted. */
void server_ask_certificate(const struct http_server *s, struct MHD_Connection *connection);

/* server_call.c: callbacks of libmicrohttpd. */
void *call_on_uri(void *server, const char *uri, struct MHD_Connection *connection);
enum MHD_Result call_on_request(void *server, struct MHD_Connection *connection, const char *url,
				const char *method, const char *version, const char *upload_data,
				size_t *upload_size, void **call);
void call_on_completed(void *server, struct MHD_Connection *connection, void **call,
		       enum MHD_RequestTerminationCode code);
/* Before its connection is resumed. */
void call_not_waiting(struct call *c);
const struct route *server_find_route(const struct http_server *s, const char *method,
				      const char *path, bool *ret_other_method);

/* server.c */
void server_run_soon(struct http_server *s);
