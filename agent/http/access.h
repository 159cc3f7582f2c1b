/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct http_access: http_options that were checked and copied, shared by all requests that are
 * made with them.
 */
#pragma once

#include "agent/http/options.h"

struct http_access {
	uint32_t refs;
	struct http_options o; /* its texts and arrays are owned by texts */
	struct http_text *texts;
	struct http_access *token_access; /* for oauth2.token_url; NULL without oauth2 */
};

/* -EINVAL with the reason in why, -ENOMEM. o NULL: as zeroed options. */
int http_access_new(const struct http_options *o, char *why, size_t size, struct http_access **ret);
struct http_access *http_access_ref(struct http_access *a);
/* Accepts NULL; returns NULL. */
struct http_access *http_access_unref(struct http_access *a);
DEFINE_CLEANUP(struct http_access *, http_access_unref)

/* What RFC 9110 allows as the name of a header. */
bool http_header_name_ok(const char *name);
/* -EINVAL with the reason when a name or value cannot be sent. */
int http_headers_check(const struct label *headers, size_t n, char *why, size_t size);
/*
 * The first line of a file without blanks at its ends, NUL-terminated. -EINVAL with the reason in
 * why: it cannot be read, or has several lines.
 */
int http_read_secret(const char *path, char *to, size_t to_size, char *why, size_t size);
#define HTTP_MAX_SECRET 16384
