/* SPDX-License-Identifier: Apache-2.0 */
/* One request as libcurl wants it: URL, method, headers, credentials, TLS, proxy. */
#pragma once

#include <curl/curl.h>

#include "agent/http/access.h"

struct http_wire_request {
	const struct http_access *access;
	const char *url, *method, *unix_socket; /* unix_socket NULL: TCP */
	const struct label *headers;
	size_t n_headers;
	const uint8_t *body;
	size_t body_bytes;
	bool trusted;		   /* this server may have the credentials */
	const char *authorization; /* the header's value, from oauth2; NULL: see access */
};

/* What must live as long as the transfer. */
struct http_wire {
	struct curl_slist *headers, *proxy_headers, *connect_to;
};

/* -EINVAL with the reason in why; http_wire_done() is due in any case. */
int http_wire_up(CURL *c, const struct http_wire_request *q, struct http_wire *ret, char *why,
		 size_t size);
void http_wire_done(struct http_wire *w);
