/* SPDX-License-Identifier: Apache-2.0 */
/* struct http_url: the parts of an http or https URL, and what is asked about URLs. */
#pragma once

#include <curl/curl.h>

#include "agent/base/macro.h"

struct http_url {
	CURLU *u;
	char *scheme, *host, *port; /* host: without the brackets of IPv6 */
	uint16_t port_number;
	bool brackets, default_port;
};

/* -EINVAL when it is none, or neither http nor https; http_url_done() is due in any case. */
int http_url_parse(struct http_url *p, const char *url);
void http_url_done(struct http_url *p);

/* Whether b may have the credentials that a was given; see fetch.h. */
bool http_same_server(const char *a, const char *b);
/* Where a redirect leads: `location` relative to `base`. -EINVAL, -ENOMEM. */
int http_resolve(const char *base, const char *location, char **ret);
/* `path` behind the path of `base`, with `query` (NULL: that of base). -EINVAL, -ENOMEM. */
int http_join_url(const char *base, const char *path, const char *query, char **ret);
/* The URL without credentials, query and fragment, for people. NULL when it is none. */
char *http_shown_url(const char *url);
