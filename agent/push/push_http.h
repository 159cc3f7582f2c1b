/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side of one push endpoint: where its requests go, with which headers and credentials. */
#pragma once

#include "agent/http/access.h"
#include "agent/push/push.h"

struct push_http {
	char *base;	       /* as configured */
	char *push_url;	       /* of the requests */
	char *url;	       /* the endpoint without credentials, for people */
	struct label *headers; /* of every push; the array is owned, so are the texts */
	size_t n_headers;
	struct http_access *access;
};

/* -EINVAL with the reason in why; push_http_done() is due in any case. */
int push_http_init(struct push_http *h, const struct push_options *o, char *why, size_t size);
void push_http_done(struct push_http *h);
/* Those of a request to /ingest: an array that the caller frees, of borrowed texts. */
struct label *push_http_ingest_headers(const struct push_http *h, const char *content_type,
				       size_t *ret_n);
