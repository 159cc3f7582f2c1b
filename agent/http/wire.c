/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/wire.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/base/why.h"
#include "agent/http/proxy.h"
#include "agent/http/url.h"

/* A connection that is not made by then never will be, also where the request may take for ever. */
#define CONNECT_TIMEOUT_MS 30000L
#define CA_CACHE_S	   60L

static void curlstr_free(char **s)
{
	curl_free(*s);
}

static int add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *l = curl_slist_append(*list, line);

	if (!l)
		return -ENOMEM;
	*list = l;
	return 0;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
	_cleanup_free_ char *line = NULL;

	/* A semicolon is how libcurl is told of an empty value; a bare colon removes the header. */
	if (asprintf(&line, *value ? "%s: %s" : "%s;", name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	return add_line(list, line);
}

static void set_protocol(CURL *c, const struct http_options *o)
{
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Ending a transfer would wait for its name resolution: seconds in which nothing goes on.
	 */
	curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "tephra/" TEPHRA_VERSION);
	/* fetch.c follows them: it knows what must not go to another server. */
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
			 (long)(o->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static void set_method(CURL *c, const struct http_wire_request *q)
{
	bool post = !strcmp(q->method, "POST");

	if (!strcmp(q->method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (post || q->body) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_bytes);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body ? (const char *)q->body : "");
	} else {
		curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	}
	if (!post && strcmp(q->method, "HEAD") != 0 && strcmp(q->method, "GET") != 0)
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int set_pem(CURL *c, CURLoption option, const char *pem, char *why, size_t size)
{
	struct curl_blob blob = {(void *)pem, pem ? strlen(pem) : 0, CURL_BLOB_COPY};

	if (pem && curl_easy_setopt(c, option, &blob) != CURLE_OK)
		return why_set(-EINVAL, why, size,
			       "this libcurl takes no certificates from memory: use *_file");
	return 0;
}

static void set_min_version(CURL *c, const char *name)
{
	static const struct {
		const char *name;
		long version;
		bool weak;
	} versions[] = {
		{"TLS10", CURL_SSLVERSION_TLSv1_0, true},
		{"TLS11", CURL_SSLVERSION_TLSv1_1, true},
		{"TLS12", CURL_SSLVERSION_TLSv1_2, false},
		{"TLS13", CURL_SSLVERSION_TLSv1_3, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		if (strcmp(versions[i].name, name ? name : "TLS12") != 0)
			continue;
		curl_easy_setopt(c, CURLOPT_SSLVERSION, versions[i].version);
		/* OpenSSL 3 knows their signatures at security level 0 only. */
		if (versions[i].weak)
			curl_easy_setopt(c, CURLOPT_SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0");
	}
}

static int set_tls(CURL *c, const struct http_tls_options *t, char *why, size_t size)
{
	int r = set_pem(c, CURLOPT_CAINFO_BLOB, t->ca_pem, why, size);

	if (r >= 0)
		r = set_pem(c, CURLOPT_SSLCERT_BLOB, t->cert_pem, why, size);
	if (r >= 0)
		r = set_pem(c, CURLOPT_SSLKEY_BLOB, t->key_pem, why, size);
	if (r < 0)
		return r;
	if (t->ca_file) {
		curl_easy_setopt(c, CURLOPT_CAINFO, t->ca_file);
#if LIBCURL_VERSION_NUM >= 0x075700
		/* It is kept parsed for a day unless told otherwise; the file may be replaced. */
		curl_easy_setopt(c, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
#endif
	}
	/* libcurl's own directory of CAs would be trusted as well. */
	if (t->ca_file || t->ca_pem)
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	if (t->cert_file)
		curl_easy_setopt(c, CURLOPT_SSLCERT, t->cert_file);
	if (t->key_file)
		curl_easy_setopt(c, CURLOPT_SSLKEY, t->key_file);
	if (t->insecure_skip_verify) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	set_min_version(c, t->min_version);
	return 0;
}

/*
 * libcurl takes the name for SNI and for the check of the certificate from the URL. So the URL
 * gets the wanted name, the connection goes to the real host all the same, and the header Host
 * names it.
 */
static int set_server_name(CURL *c, const struct http_wire_request *q, struct http_url *p,
			   struct http_wire *w)
{
	const char *name = q->access->o.tls.server_name;
	const char *open = p->brackets ? "[" : "", *close = p->brackets ? "]" : "";
	_cleanup_free_ char *connect = NULL, *host = NULL;
	bool own = false;
	int r;

	if (asprintf(&connect, "::%s%s%s:%s", open, p->host, close, p->port) < 0) {
		connect = NULL;
		return -ENOMEM;
	}
	r = add_line(&w->connect_to, connect);
	if (r < 0)
		return r;
	curl_easy_setopt(c, CURLOPT_CONNECT_TO, w->connect_to);
	if (curl_url_set(p->u, CURLUPART_HOST, name, 0) != CURLUE_OK)
		return -EINVAL;
	for (size_t i = 0; i < q->n_headers; i++)
		own = own || !strcasecmp(q->headers[i].name, "Host");
	if (own)
		return 0;
	if (asprintf(&host, "%s%s%s%s%s", open, p->host, close, p->default_port ? "" : ":",
		     p->default_port ? "" : p->port) < 0) {
		host = NULL;
		return -ENOMEM;
	}
	return add_header(&w->headers, "Host", host);
}

static int set_url(CURL *c, const struct http_wire_request *q, struct http_url *p,
		   struct http_wire *w, char *why, size_t size)
{
	_cleanup_(curlstr_free) char *full = NULL;

	if (!strcmp(p->scheme, "https") && q->access->o.tls.server_name) {
		int r = set_server_name(c, q, p, w);

		if (r < 0)
			return r == -EINVAL
				       ? why_set(-EINVAL, why, size, "\"%.100s\" is no server name",
						 q->access->o.tls.server_name)
				       : r;
	}
	if (curl_url_get(p->u, CURLUPART_URL, &full, 0) != CURLUE_OK)
		return -ENOMEM;
	return curl_easy_setopt(c, CURLOPT_URL, full) == CURLE_OK ? 0 : -ENOMEM;
}

static int set_proxy(CURL *c, const struct http_wire_request *q, const struct http_url *p,
		     struct http_wire *w)
{
	const struct http_proxy_options *o = &q->access->o.proxy;
	const char *url = q->unix_socket
				  ? NULL
				  : http_proxy_for(o, p->scheme, p->host, p->port_number, getenv);
	_cleanup_free_ char *remote = NULL;

	/* "": libcurl would otherwise take both from the environment unasked. */
	curl_easy_setopt(c, CURLOPT_NOPROXY, "");
	if (!url) {
		curl_easy_setopt(c, CURLOPT_PROXY, "");
		return 0;
	}
	/* Go's programs let a SOCKS proxy resolve the name; for libcurl that is another scheme. */
	if (!strncmp(url, "socks5://", 9)) {
		if (asprintf(&remote, "socks5h%s", url + 6) < 0) {
			remote = NULL;
			return -ENOMEM;
		}
		url = remote;
	}
	if (curl_easy_setopt(c, CURLOPT_PROXY, url) != CURLE_OK)
		return -ENOMEM;
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	if (strcmp(p->scheme, "https") != 0)
		return 0;
	for (size_t i = 0; i < o->n_connect_headers; i++) {
		int r = add_header(&w->proxy_headers, o->connect_headers[i].name,
				   o->connect_headers[i].value);

		if (r < 0)
			return r;
	}
	curl_easy_setopt(c, CURLOPT_PROXYHEADER, w->proxy_headers);
	return 0;
}

static int set_credentials(CURL *c, const struct http_wire_request *q, struct http_wire *w,
			   char *why, size_t size)
{
	const struct http_options *o = &q->access->o;
	const char *file = o->password_file ? o->password_file : o->token_file;
	const char *secret = o->password ? o->password : o->token;
	_cleanup_free_ char *value = NULL;
	char text[HTTP_MAX_SECRET];
	int r;

	if (q->authorization)
		return add_header(&w->headers, "Authorization", q->authorization);
	if (file) {
		r = http_read_secret(file, text, sizeof(text), why, size);
		if (r < 0)
			return r;
		secret = text;
	}
	if (o->username || o->password || o->password_file) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERNAME, o->username ? o->username : "");
		curl_easy_setopt(c, CURLOPT_PASSWORD, secret ? secret : "");
		return 0;
	}
	if (!o->token && !o->token_file)
		return 0;
	if (asprintf(&value, "%s %s", o->auth_type ? o->auth_type : "Bearer", secret) < 0) {
		value = NULL;
		return -ENOMEM;
	}
	return add_header(&w->headers, "Authorization", value);
}

/* Headers that prove who asks, whoever put them there. */
static bool is_credential(const char *name)
{
	return !strcasecmp(name, "Authorization") || !strcasecmp(name, "Cookie") ||
	       !strcasecmp(name, "Cookie2") || !strcasecmp(name, "Proxy-Authorization");
}

static int set_headers(CURL *c, const struct http_wire_request *q, struct http_wire *w)
{
	const struct http_options *o = &q->access->o;
	/* libcurl would wait a second for "100 Continue" before a large body. */
	int r = add_line(&w->headers, "Expect:");

	for (size_t i = 0; i < q->n_headers && r >= 0; i++) {
		if (q->trusted || !is_credential(q->headers[i].name))
			r = add_header(&w->headers, q->headers[i].name, q->headers[i].value);
	}
	for (size_t i = 0; q->trusted && i < o->n_headers && r >= 0; i++)
		r = add_header(&w->headers, o->headers[i].name, o->headers[i].value);
	return r;
}

int http_wire_up(CURL *c, const struct http_wire_request *q, struct http_wire *ret, char *why,
		 size_t size)
{
	_cleanup_(http_url_done) struct http_url p = {0};
	int r;

	*ret = (struct http_wire){0};
	if (http_url_parse(&p, q->url) < 0)
		return why_set(-EINVAL, why, size, "no valid URL with http:// or https://");
	set_protocol(c, &q->access->o);
	set_method(c, q);
	if (q->unix_socket)
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
	r = set_proxy(c, q, &p, ret);
	if (r >= 0)
		r = set_url(c, q, &p, ret, why, size);
	if (r >= 0)
		r = set_tls(c, &q->access->o.tls, why, size);
	if (r >= 0)
		r = set_headers(c, q, ret);
	if (r >= 0 && q->trusted)
		r = set_credentials(c, q, ret, why, size);
	if (r >= 0)
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, ret->headers);
	return r;
}

void http_wire_done(struct http_wire *w)
{
	curl_slist_free_all(w->headers);
	curl_slist_free_all(w->proxy_headers);
	curl_slist_free_all(w->connect_to);
	*w = (struct http_wire){0};
}
