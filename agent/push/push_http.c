/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_http.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "agent/base/why.h"
#include "agent/http/url.h"

#define PUSH_PATH   "/push.v1.PusherService/Push"
#define OWN_HEADERS 3

static int set_url(struct push_http *h, const char *base, char *why, size_t size)
{
	int r = http_join_url(base, PUSH_PATH, NULL, &h->push_url);

	if (r == -EINVAL && strstr(base, "://") && strncasecmp(base, "http", 4) != 0)
		return why_set(-EINVAL, why, size, "\"%.100s\" must begin with http:// or https://",
			       base);
	if (r == -EINVAL)
		return why_set(-EINVAL, why, size,
			       "\"%.100s\" is no valid URL, write it like http://host:4040", base);
	if (r < 0)
		return r;
	h->base = strdup(base);
	/* Dashboards look for what is written in the configuration. */
	h->url = strpbrk(base, "@?#") ? http_shown_url(base) : strdup(base);
	return h->base && h->url ? 0 : -ENOMEM;
}

/* Headers that make the request what it is; others may be anything. */
static bool is_ours(const char *name)
{
	static const char *const names[] = {
		"Content-Type",
		"Content-Length",
		"Content-Encoding",
		"Transfer-Encoding",
		"Connect-Protocol-Version",
		"Connect-Timeout-Ms",
		"Expect",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcasecmp(names[i], name))
			return true;
	}
	return false;
}

static int add_header(struct push_http *h, const char *name, const char *value)
{
	struct label *l = &h->headers[h->n_headers++];

	l->name = strdup(name);
	l->value = strdup(value);
	return l->name && l->value ? 0 : -ENOMEM;
}

static int set_headers(struct push_http *h, const struct push_options *o, char *why, size_t size)
{
	char timeout[24];
	int r = http_headers_check(o->headers, o->n_headers, why, size);

	if (r < 0)
		return r;
	h->headers = calloc(o->n_headers + OWN_HEADERS, sizeof(*h->headers));
	if (!h->headers)
		return -ENOMEM;
	(void)snprintf(timeout, sizeof(timeout), "%" PRIu64, o->timeout_ms);
	/* The first OWN_HEADERS belong to the protocol. */
	r = add_header(h, "Content-Type", "application/proto");
	if (r >= 0)
		r = add_header(h, "Connect-Protocol-Version", "1");
	if (r >= 0)
		r = add_header(h, "Connect-Timeout-Ms", timeout);
	for (size_t i = 0; i < o->n_headers && r >= 0; i++) {
		if (is_ours(o->headers[i].name))
			return why_set(-EINVAL, why, size,
				       "the header \"%s\" is set by tephra itself",
				       o->headers[i].name);
		r = add_header(h, o->headers[i].name, o->headers[i].value);
	}
	return r;
}

int push_http_init(struct push_http *h, const struct push_options *o, char *why, size_t size)
{
	int r = set_url(h, o->url, why, size);

	if (r >= 0)
		r = set_headers(h, o, why, size);
	return r < 0 ? r : http_access_new(o->http, why, size, &h->access);
}

struct label *push_http_ingest_headers(const struct push_http *h, const char *content_type,
				       size_t *ret_n)
{
	struct label *v = calloc(h->n_headers + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return NULL;
	/* Without one libcurl would call the body a form. */
	v[n++] = (struct label){"Content-Type",
				*content_type ? content_type : "application/octet-stream"};
	for (size_t i = OWN_HEADERS; i < h->n_headers; i++)
		v[n++] = h->headers[i];
	*ret_n = n;
	return v;
}

void push_http_done(struct push_http *h)
{
	for (size_t i = 0; i < h->n_headers; i++) {
		free((char *)h->headers[i].name);
		free((char *)h->headers[i].value);
	}
	free(h->headers);
	free(h->base);
	free(h->push_url);
	free(h->url);
	http_access_unref(h->access);
	*h = (struct push_http){0};
}
