/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side of one push endpoint: its URL, options and credentials as libcurl wants them. */
#pragma once

#include <curl/curl.h>

#include "agent/push/push.h"

struct push_http {
	CURL *template;		    /* copied for every connection */
	struct curl_slist *headers; /* those of every request */
	char *url;		    /* without credentials, for people */
	char *username, *password, *password_file;
	char *auth_type, *token, *token_file;
};

/* -EINVAL with the reason in why; push_http_done() is due in any case. */
int push_http_init(struct push_http *h, const struct push_options *o, char *why, size_t size);
void push_http_done(struct push_http *h);
/*
 * Puts body and credentials into a copy of the template. *ret_headers belongs to the request and
 * is freed after it. A negative errno with the reason in why: a credentials file is unreadable.
 */
int push_http_prepare(const struct push_http *h, CURL *easy, const uint8_t *body, size_t len,
		      struct curl_slist **ret_headers, char *why, size_t size);
