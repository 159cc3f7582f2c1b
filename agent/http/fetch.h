/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct fetch: one HTTP request over the event loop, with redirects, credentials, limits and an
 * answer in one piece or as a stream. Nothing blocks, but name resolution (in a thread of
 * libcurl) and reading files of credentials.
 *
 * Redirects (301, 302, 307, 308 repeat the request as it is, 303 makes it a GET) are followed at
 * most 10 times. Credentials, options.headers and the headers Authorization and Cookie are not
 * sent to another scheme, host or port than the first; https on its default port is no other
 * server than http on its own.
 */
#pragma once

#include "agent/http/access.h"
#include "agent/http/multi.h"

#define FETCH_MAX_BYTES	   (64u << 20) /* of a collected body, when max_bytes is 0 */
#define FETCH_MAX_REDIRECT 10

struct fetch_reply {
	int r;	     /* 0: a reply came, whatever its status; else a negative errno and why */
	long status; /* 0: none; also set when the body failed (-E2BIG, -ETIMEDOUT...) */
	const char *content_type; /* NULL: none */
	const char *body;	  /* NUL-terminated; "" when there is none or on_data took it */
	size_t len;
	uint32_t retry_after_s; /* 0: none */
	char why[256];		/* what failed, without secrets; "" when r is 0 */
};

struct fetch_request {
	const char *method;		 /* NULL: GET */
	const char *url;		 /* copied, as all that is not said to be borrowed */
	const char *unix_socket;	 /* the socket's path; NULL: TCP */
	const struct http_options *http; /* NULL: none */
	struct http_access *access;	 /* instead of http; a reference is taken */
	const struct label *headers;
	size_t n_headers;
	const uint8_t *body;
	size_t body_bytes;
	bool borrow_body;    /* the body stays valid until on_done() or fetch_cancel() */
	uint64_t timeout_ms; /* for the whole; 0: none */
	uint64_t idle_ms;    /* without a byte of the reply's body; 0: none */
	/* Data that comes soon after other data waits, at first for 50 ms, then for up to so long
	 * while more comes: for streams of many small pieces, each of which would wake the agent.
	 * 0: none waits. */
	uint64_t batch_ms;
	/* Of the body. More ends it with -E2BIG. 0: no limit for on_data, else FETCH_MAX_BYTES. */
	size_t max_bytes;
	/*
	 * Gets the body of a 2xx reply as it comes; < 0 ends the request with that. NULL: it is
	 * collected. Bodies of other replies are always collected (at most 64 KiB of them here).
	 */
	int (*on_data)(void *data, const uint8_t *p, size_t n);
	/* Once, from the loop, never from within fetch_start(), and not after fetch_cancel(). */
	void (*on_done)(void *data, const struct fetch_reply *reply);
	void *data;
};

struct fetch;

/*
 * 0, or -ENOMEM. Whatever else is wrong, with the request too, is told to on_done(). The fetch is
 * freed after on_done(); *ret must not be used from then on.
 */
int fetch_start(struct http_multi *m, const struct fetch_request *q, struct fetch **ret);
/* Ends it silently, also from its own on_data(). Accepts NULL; returns NULL. */
struct fetch *fetch_cancel(struct fetch *f);
