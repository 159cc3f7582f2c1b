/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct http_server: an HTTP/1.1 server (libmicrohttpd) on the event loop; no threads. A request
 * is handed to its handler when it has arrived whole, and may be answered then or later. Everything
 * a client may take is bounded: connections, header, body, all bodies together, and the time for
 * sending a request and for reading the answer. When there are too many connections, the one that
 * has been waiting longest without a whole request makes place for the new one.
 */
#pragma once

#include "agent/base/loop.h"

/* What a server certificate asks of clients; names and meaning as crypto/tls of Go. */
enum http_client_auth {
	HTTP_CLIENT_NONE,
	HTTP_CLIENT_REQUEST,
	HTTP_CLIENT_REQUIRE_ANY,
	HTTP_CLIENT_VERIFY_IF_GIVEN,
	HTTP_CLIENT_REQUIRE_AND_VERIFY,
};

/* PEM texts, not files. cert NULL: plain HTTP. */
struct http_server_tls {
	const char *cert, *key, *client_ca;
	enum http_client_auth client_auth;
	const char *min_version; /* "TLS10" to "TLS13"; NULL or "": TLS12 */
	const char *max_version; /* NULL or "": TLS13 */
};

/* Who may ask. username NULL: everybody. */
struct http_server_auth {
	const char *username, *password;
	/* Path prefixes. n_paths 0: all paths need the password; else those that match do, or with
	 * except_paths those that do not match. */
	const char *const *paths;
	size_t n_paths;
	bool except_paths;
};

/* 0 means the default that stands beside it. */
struct http_server_options {
	const char *address;	 /* "HOST:PORT", "[V6]:PORT", ":PORT"; port 0: any */
	size_t max_connections;	 /* 64 */
	size_t max_header_bytes; /* 16 KiB */
	size_t max_body_bytes;	 /* 64 KiB; over it 413 */
	size_t max_bodies_bytes; /* 4 x max_body_bytes, of all requests together; over it 503 */
	uint64_t request_ms;	 /* 10 s, from connecting or the last answer to a whole request */
	uint64_t reply_ms;	 /* 30 s, for reading the answer */
	bool local_names;	 /* on a loopback address: only requests for "localhost", an address
				  * or this host's name, against DNS rebinding; others get 403 */
	struct http_server_tls tls;   /* copied */
	struct http_server_auth auth; /* copied */
};

struct http_server_stats {
	uint64_t requests, connections; /* ever */
	uint64_t refused[3];		/* by enum http_refused */
	size_t open;			/* connections now */
};
enum http_refused {
	HTTP_REFUSED_BAD,     /* too large, not allowed, malformed, no such path */
	HTTP_REFUSED_SLOW,    /* over its time */
	HTTP_REFUSED_CROWDED, /* made place for another */
};

struct http_server;

/* One request. Valid until http_reply(), even if the client or the server are gone by then. */
struct http_call {
	const char *method;	  /* "GET"; HEAD arrives as GET */
	const char *path;	  /* percent-decoded, without the query */
	const char *query;	  /* as sent, without "?"; "" when there is none */
	const char *content_type; /* "" when there is none */
	const char *client;	  /* address, for logs */
	const uint8_t *body;	  /* followed by a NUL that is not counted */
	size_t len;
};

typedef void (*http_handler)(struct http_call *c, void *data);

/*
 * Listens. 0, or a negative errno with `why` saying what to do: -EADDRINUSE, -EACCES, -EINVAL
 * (address or certificate).
 */
int http_server_new(struct loop *l, const struct http_server_options *o, char *why, size_t size,
		    struct http_server **ret);
/* Also from one of its handlers. Calls not replied to stay valid; their replies go nowhere. */
struct http_server *http_server_free(struct http_server *s);
DEFINE_CLEANUP(struct http_server *, http_server_free)
uint16_t http_server_port(const struct http_server *s);
/* "127.0.0.1:12345", as bound. */
const char *http_server_address(const struct http_server *s);
void http_server_stats(const struct http_server *s, struct http_server_stats *ret);

/*
 * Requests of this method ("GET" answers HEAD too; NULL: any) whose path is, or unless `exact` lies
 * below, `path` go to fn. The longest path that matches wins. "/" not exact is everything else. A
 * known path with another method is answered with 405, an unknown one with 404. 0 or -ENOMEM.
 */
int http_server_route(struct http_server *s, const char *method, const char *path, bool exact,
		      http_handler fn, void *data);
/* For requests from now on. 0 or -ENOMEM. */
int http_server_set_auth(struct http_server *s, const struct http_server_auth *auth);
/*
 * New connections speak TLS by these, or plain HTTP without a certificate; if that is something
 * new, open ones are closed soon. 0, or a negative errno with why: the old ones stay.
 */
int http_server_set_tls(struct http_server *s, const struct http_server_tls *tls, char *why,
			size_t size);

/* SHA-256 of n bytes, in hex. */
void http_sha256_hex(const void *bytes, size_t n, char ret[2 * 32 + 1]);

/* NULL when there is none. Borrowed until the reply. */
const char *http_call_header(const struct http_call *c, const char *name);
/* A decoded parameter of the query; NULL when there is none. Borrowed until the reply. */
const char *http_call_argument(const struct http_call *c, const char *name);
/* A header of the reply to come, besides the usual ones. */
void http_reply_header(struct http_call *c, const char *name, const char *value);
/* Answers with these bytes (copied) and ends the call. */
void http_reply(struct http_call *c, unsigned int status, const char *content_type,
		const void *bytes, size_t len);
/* The same with one line of text/plain; a line feed is added. */
void http_reply_text(struct http_call *c, unsigned int status, const char *fmt, ...) _printf_(3, 4);
