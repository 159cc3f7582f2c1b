/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/url.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static void curlu_free(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void curlstr_free(char **s)
{
	curl_free(*s);
}

void http_url_done(struct http_url *p)
{
	curl_url_cleanup(p->u);
	curl_free(p->scheme);
	curl_free(p->host);
	curl_free(p->port);
}

int http_url_parse(struct http_url *ret, const char *url)
{
	char *explicit = NULL;
	unsigned int port = 0;
	size_t n;

	ret->u = curl_url();
	if (!ret->u || curl_url_set(ret->u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(ret->u, CURLUPART_SCHEME, &ret->scheme, 0) != CURLUE_OK ||
	    curl_url_get(ret->u, CURLUPART_HOST, &ret->host, 0) != CURLUE_OK ||
	    curl_url_get(ret->u, CURLUPART_PORT, &ret->port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return -EINVAL;
	if (strcmp(ret->scheme, "http") != 0 && strcmp(ret->scheme, "https") != 0)
		return -EINVAL;
	for (const char *d = ret->port; *d >= '0' && *d <= '9'; d++)
		port = port * 10 + (unsigned int)(*d - '0');
	ret->port_number = (uint16_t)port; /* libcurl has checked it */
	n = strlen(ret->host);
	if (n > 2 && ret->host[0] == '[') {
		memmove(ret->host, ret->host + 1, n - 2);
		ret->host[n - 2] = '\0';
		ret->brackets = true;
	}
	ret->default_port =
		curl_url_get(ret->u, CURLUPART_PORT, &explicit, CURLU_NO_DEFAULT_PORT) != CURLUE_OK;
	curl_free(explicit);
	return 0;
}

bool http_same_server(const char *a, const char *b)
{
	_cleanup_(http_url_done) struct http_url x = {0}, y = {0};

	if (http_url_parse(&x, a) < 0 || http_url_parse(&y, b) < 0 ||
	    strcasecmp(x.host, y.host) != 0)
		return false;
	if (!strcmp(x.scheme, y.scheme))
		return !strcmp(x.port, y.port);
	return !strcmp(y.scheme, "https") && x.default_port && y.default_port;
}

int http_resolve(const char *base, const char *location, char **ret)
{
	_cleanup_(curlu_free) CURLU *u = curl_url();
	_cleanup_(curlstr_free) char *url = NULL;

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, CURLU_URLENCODE) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK)
		return -EINVAL;
	*ret = strdup(url);
	return *ret ? 0 : -ENOMEM;
}

int http_join_url(const char *base, const char *path, const char *query, char **ret)
{
	_cleanup_(http_url_done) struct http_url p = {0};
	_cleanup_(curlstr_free) char *prefix = NULL, *full = NULL;
	_cleanup_free_ char *joined = NULL;
	size_t n;

	if (http_url_parse(&p, base) < 0 ||
	    curl_url_get(p.u, CURLUPART_PATH, &prefix, 0) != CURLUE_OK)
		return -EINVAL;
	for (n = strlen(prefix); n > 0 && prefix[n - 1] == '/';)
		n--;
	if (asprintf(&joined, "%.*s%s", (int)n, prefix, path) < 0) {
		joined = NULL;
		return -ENOMEM;
	}
	if (curl_url_set(p.u, CURLUPART_PATH, joined, 0) != CURLUE_OK ||
	    (query && curl_url_set(p.u, CURLUPART_QUERY, *query ? query : NULL, 0) != CURLUE_OK) ||
	    curl_url_get(p.u, CURLUPART_URL, &full, 0) != CURLUE_OK)
		return -EINVAL;
	*ret = strdup(full);
	return *ret ? 0 : -ENOMEM;
}

char *http_shown_url(const char *url)
{
	static const CURLUPart hidden[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
					   CURLUPART_FRAGMENT};
	_cleanup_(curlu_free) CURLU *u = curl_url();
	_cleanup_(curlstr_free) char *shown = NULL;

	if (!u || curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		(void)curl_url_set(u, hidden[i], NULL, 0);
	if (curl_url_get(u, CURLUPART_URL, &shown, 0) != CURLUE_OK)
		return NULL;
	return strdup(shown);
}
