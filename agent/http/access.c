/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/access.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/why.h"
#include "agent/http/url.h"

/* One copied text or array; freed with the whole. */
struct http_text {
	struct http_text *next;
	_Alignas(max_align_t) char bytes[];
};

static bool has(const char *s)
{
	return s && *s;
}

static void *keep(struct http_access *a, const void *p, size_t n)
{
	struct http_text *t = malloc(sizeof(*t) + n);

	if (!t)
		return NULL;
	if (n)
		memcpy(t->bytes, p, n);
	t->next = a->texts;
	a->texts = t;
	return t->bytes;
}

/* Replaces the borrowed *s by a copy, and "" by NULL. */
static int own(struct http_access *a, const char **s)
{
	if (!has(*s)) {
		*s = NULL;
		return 0;
	}
	*s = keep(a, *s, strlen(*s) + 1);
	return *s ? 0 : -ENOMEM;
}

static int own_all(struct http_access *a, const char **const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = own(a, texts[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* A token that came out of a file by another way ends with a line break. */
static void trim(char *s)
{
	size_t n = s ? strlen(s) : 0;

	while (n && (unsigned char)s[n - 1] <= ' ')
		s[--n] = '\0';
}

static int own_labels(struct http_access *a, const struct label **v, size_t n)
{
	struct label *copy = keep(a, *v, n * sizeof(**v));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i].name = keep(a, copy[i].name, strlen(copy[i].name) + 1);
		copy[i].value = keep(a, copy[i].value, strlen(copy[i].value) + 1);
		if (!copy[i].name || !copy[i].value)
			return -ENOMEM;
	}
	*v = copy;
	return 0;
}

static int own_tls(struct http_access *a, struct http_tls_options *t)
{
	const char **const texts[] = {&t->ca_pem,  &t->ca_file,	 &t->cert_pem,	  &t->cert_file,
				      &t->key_pem, &t->key_file, &t->server_name, &t->min_version};

	return own_all(a, texts, ARRAY_SIZE(texts));
}

static int own_proxy(struct http_access *a, struct http_proxy_options *p)
{
	const char **const texts[] = {&p->url, &p->no_proxy};
	int r = own_all(a, texts, ARRAY_SIZE(texts));

	return r < 0 ? r : own_labels(a, &p->connect_headers, p->n_connect_headers);
}

static int own_oauth2(struct http_access *a, struct http_oauth2_options *o)
{
	const char **const texts[] = {&o->token_url, &o->client_id, &o->client_secret,
				      &o->client_secret_file};
	int r = own_all(a, texts, ARRAY_SIZE(texts));
	const char **scopes;

	if (r < 0)
		return r;
	scopes = keep(a, o->scopes, o->n_scopes * sizeof(*scopes));
	if (!scopes)
		return -ENOMEM;
	o->scopes = scopes;
	for (size_t i = 0; i < o->n_scopes; i++) {
		scopes[i] = keep(a, scopes[i], strlen(scopes[i]) + 1);
		if (!scopes[i])
			return -ENOMEM;
	}
	return own_labels(a, &o->params, o->n_params);
}

bool http_header_name_ok(const char *name)
{
	return *name &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "!#$%&'*+-.^_`|~")];
}

int http_headers_check(const struct label *headers, size_t n, char *why, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		if (!http_header_name_ok(headers[i].name))
			return why_set(-EINVAL, why, size, "\"%.60s\" is no valid header name",
				       headers[i].name);
		if (strpbrk(headers[i].value, "\r\n"))
			return why_set(-EINVAL, why, size,
				       "the value of header \"%.60s\" has a line break",
				       headers[i].name);
	}
	return 0;
}

int http_read_secret(const char *path, char *to, size_t to_size, char *why, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, to, to_size - 1), start = 0;

	if (n < 0)
		return why_set(-EINVAL, why, size, "cannot read '%.100s': %s", path,
			       strerror(errno));
	while (n > 0 && (unsigned char)to[n - 1] <= ' ')
		n--;
	while (start < n && (unsigned char)to[start] <= ' ')
		start++;
	memmove(to, to + start, (size_t)(n - start));
	to[n - start] = '\0';
	if (strpbrk(to, "\r\n"))
		return why_set(-EINVAL, why, size, "'%.100s' has more than one line", path);
	return 0;
}

static int check_tls(const struct http_tls_options *t, char *why, size_t size)
{
	if (t->min_version && strcmp(t->min_version, "TLS10") != 0 &&
	    strcmp(t->min_version, "TLS11") != 0 && strcmp(t->min_version, "TLS12") != 0 &&
	    strcmp(t->min_version, "TLS13") != 0)
		return why_set(-EINVAL, why, size, "unknown TLS version: %.20s", t->min_version);
	return 0;
}

/* A proxy may be written without a scheme; then it is an http one, as for libcurl. */
static int check_proxy(const struct http_proxy_options *p, char *why, size_t size)
{
	CURLU *u = p->url ? curl_url() : NULL;
	bool ok = !p->url ||
		  (u && curl_url_set(u, CURLUPART_URL, p->url,
				     CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK);

	curl_url_cleanup(u);
	if (!ok)
		return why_set(-EINVAL, why, size,
			       "proxy_url is no valid URL, write it like http://host:3128");
	return http_headers_check(p->connect_headers, p->n_connect_headers, why, size);
}

static int check_token_url(const char *url, char *why, size_t size)
{
	_cleanup_(http_url_done) struct http_url u = {0};

	if (url && http_url_parse(&u, url) < 0)
		return why_set(-EINVAL, why, size,
			       "oauth2 token_url is no valid URL with http:// or https://");
	return 0;
}

static int check(const struct http_options *o, char *why, size_t size)
{
	int r = check_tls(&o->tls, why, size);

	if (r >= 0)
		r = http_headers_check(o->headers, o->n_headers, why, size);
	if (r >= 0)
		r = check_proxy(&o->proxy, why, size);
	if (r >= 0)
		r = check_token_url(o->oauth2.token_url, why, size);
	if (r >= 0 && o->token && strpbrk(o->token, "\r\n"))
		r = why_set(-EINVAL, why, size, "the token has a line break");
	if (r >= 0 && o->auth_type && strpbrk(o->auth_type, "\r\n"))
		r = why_set(-EINVAL, why, size, "the authorization type has a line break");
	return r;
}

static int fill(struct http_access *a, char *why, size_t size)
{
	struct http_options *o = &a->o;
	const char **const texts[] = {&o->username,  &o->password, &o->password_file,
				      &o->auth_type, &o->token,	   &o->token_file};
	struct http_options for_token = {.tls = o->oauth2.tls,
					 .proxy = o->oauth2.proxy,
					 .follow_redirects = true,
					 .http2 = o->http2};
	int r = own_all(a, texts, ARRAY_SIZE(texts));

	if (r >= 0) {
		trim((char *)o->token);
		r = own_labels(a, &o->headers, o->n_headers);
	}
	if (r >= 0)
		r = own_tls(a, &o->tls);
	if (r >= 0)
		r = own_proxy(a, &o->proxy);
	if (r >= 0)
		r = own_oauth2(a, &o->oauth2);
	if (r >= 0)
		r = check(o, why, size);
	if (r >= 0 && o->oauth2.token_url)
		r = http_access_new(&for_token, why, size, &a->token_access);
	/* Those belong to token_access now. */
	o->oauth2.tls = (struct http_tls_options){0};
	o->oauth2.proxy = (struct http_proxy_options){0};
	return r;
}

int http_access_new(const struct http_options *o, char *why, size_t size, struct http_access **ret)
{
	_cleanup_(http_access_unrefp) struct http_access *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->refs = 1;
	if (o)
		a->o = *o;
	r = fill(a, why, size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

struct http_access *http_access_ref(struct http_access *a)
{
	a->refs++;
	return a;
}

struct http_access *http_access_unref(struct http_access *a)
{
	if (!a || --a->refs)
		return NULL;
	http_access_unref(a->token_access);
	while (a->texts) {
		struct http_text *t = a->texts;

		a->texts = t->next;
		free(t);
	}
	free(a);
	return NULL;
}
