/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define PUSH_PATH	"/push.v1.PusherService/Push"
#define MAX_REDIRECTS	10L
#define MAX_CREDENTIALS 8192

static bool has(const char *s)
{
	return s && *s;
}

static void curlu_free(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void curlstr_free(char **s)
{
	curl_free(*s);
}

static int bad(char *why, size_t size, const char *fmt, ...) _printf_(3, 4);
static int bad(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* The request's URL into the template, and the one for people into h->url. */
static int set_url(struct push_http *h, const char *base, char *why, size_t size)
{
	_cleanup_(curlu_free) CURLU *u = curl_url();
	_cleanup_(curlstr_free) char *path = NULL, *scheme = NULL, *full = NULL, *shown = NULL;
	_cleanup_free_ char *to = NULL;
	size_t n;

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, base, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PATH, &path, 0) != CURLUE_OK)
		return bad(why, size, "\"%.100s\" is no valid URL, write it like http://host:4040",
			   base);
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return bad(why, size, "\"%.100s\" must begin with http:// or https://", base);
	for (n = strlen(path); n > 0 && path[n - 1] == '/';)
		n--;
	if (asprintf(&to, "%.*s" PUSH_PATH, (int)n, path) < 0) {
		to = NULL;
		return -ENOMEM;
	}
	if (curl_url_set(u, CURLUPART_PATH, to, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &full, 0) != CURLUE_OK ||
	    curl_easy_setopt(h->template, CURLOPT_URL, full) != CURLE_OK)
		return bad(why, size, "\"%.100s\" is no valid URL", base);
	path[n] = '\0';
	(void)curl_url_set(u, CURLUPART_USER, NULL, 0);
	(void)curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	(void)curl_url_set(u, CURLUPART_QUERY, NULL, 0);
	(void)curl_url_set(u, CURLUPART_PATH, *path ? path : "/", 0);
	if (curl_url_get(u, CURLUPART_URL, &shown, 0) != CURLUE_OK)
		return -ENOMEM;
	n = strlen(shown);
	h->url = strndup(shown, n && shown[n - 1] == '/' ? n - 1 : n);
	return h->url ? 0 : -ENOMEM;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
	_cleanup_free_ char *line = NULL;
	struct curl_slist *l;

	/* A semicolon is how libcurl is told of an empty value; a bare colon removes the header. */
	if (asprintf(&line, *value ? "%s: %s" : "%s;", name, value) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	l = curl_slist_append(*list, line);
	if (!l)
		return -ENOMEM;
	*list = l;
	return 0;
}

static bool is_token(const char *s)
{
	return *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "!#$%&'*+-.^_`|~")];
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

static int set_headers(struct push_http *h, const struct push_options *o, char *why, size_t size)
{
	char timeout[24];
	int r;

	(void)snprintf(timeout, sizeof(timeout), "%" PRIu64, o->timeout_ms);
	r = add_header(&h->headers, "Content-Type", "application/proto");
	if (r >= 0)
		r = add_header(&h->headers, "Connect-Protocol-Version", "1");
	if (r >= 0)
		r = add_header(&h->headers, "Connect-Timeout-Ms", timeout);
	for (size_t i = 0; i < o->n_headers && r >= 0; i++) {
		const char *name = o->headers[i].name, *value = o->headers[i].value;

		if (!is_token(name))
			return bad(why, size, "\"%.60s\" is no valid header name", name);
		if (is_ours(name))
			return bad(why, size, "the header \"%s\" is set by tephra itself", name);
		if (strpbrk(value, "\r\n"))
			return bad(why, size, "the value of header \"%s\" has a line break", name);
		r = add_header(&h->headers, name, value);
	}
	/* libcurl would wait a second for "100 Continue" before a large body. */
	if (r >= 0) {
		struct curl_slist *l = curl_slist_append(h->headers, "Expect:");

		r = l ? 0 : -ENOMEM;
		h->headers = l ? l : h->headers;
	}
	return r;
}

static int set_tls(CURL *c, const struct push_options *o, char *why, size_t size)
{
	static const struct {
		const char *name;
		long version;
	} versions[] = {
		{"TLS10", CURL_SSLVERSION_TLSv1_0},
		{"TLS11", CURL_SSLVERSION_TLSv1_1},
		{"TLS12", CURL_SSLVERSION_TLSv1_2},
		{"TLS13", CURL_SSLVERSION_TLSv1_3},
	};
	const struct {
		const char *pem;
		CURLoption option;
	} blobs[] = {
		{o->ca_pem, CURLOPT_CAINFO_BLOB},
		{o->cert_pem, CURLOPT_SSLCERT_BLOB},
		{o->key_pem, CURLOPT_SSLKEY_BLOB},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(blobs); i++) {
		struct curl_blob blob = {(void *)blobs[i].pem,
					 has(blobs[i].pem) ? strlen(blobs[i].pem) : 0,
					 CURL_BLOB_COPY};

		if (blob.len && curl_easy_setopt(c, blobs[i].option, &blob) != CURLE_OK)
			return bad(why, size, "certificates in the configuration are not usable");
	}
	if (has(o->ca_file))
		curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
	if (has(o->cert_file))
		curl_easy_setopt(c, CURLOPT_SSLCERT, o->cert_file);
	if (has(o->key_file))
		curl_easy_setopt(c, CURLOPT_SSLKEY, o->key_file);
	if (o->insecure_skip_verify) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	for (i = 0; has(o->min_tls) && i < ARRAY_SIZE(versions); i++) {
		if (!strcmp(o->min_tls, versions[i].name)) {
			curl_easy_setopt(c, CURLOPT_SSLVERSION, versions[i].version);
			return 0;
		}
	}
	return has(o->min_tls) ? bad(why, size, "unknown TLS version \"%.20s\"", o->min_tls) : 0;
}

static void set_transfer(CURL *c, const struct push_options *o)
{
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)o->timeout_ms);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "tephra/" TEPHRA_VERSION);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, o->follow_redirects ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	/* A redirected push is still a push: without this it would become a GET. */
	curl_easy_setopt(c, CURLOPT_POSTREDIR, (long)(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
			 (long)(o->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	/* "": libcurl would otherwise take a proxy from the environment unasked. */
	if (!o->proxy_from_environment)
		curl_easy_setopt(c, CURLOPT_PROXY, has(o->proxy_url) ? o->proxy_url : "");
	if (has(o->no_proxy))
		curl_easy_setopt(c, CURLOPT_NOPROXY, o->no_proxy);
}

static int copy_text(const char *s, char **ret)
{
	if (!has(s))
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

int push_http_init(struct push_http *h, const struct push_options *o, char *why, size_t size)
{
	int r;

	*h = (struct push_http){.template = curl_easy_init()};
	if (!h->template)
		return -ENOMEM;
	r = set_url(h, o->url, why, size);
	if (r >= 0)
		r = set_headers(h, o, why, size);
	if (r >= 0)
		r = set_tls(h->template, o, why, size);
	if (r < 0)
		return r;
	set_transfer(h->template, o);
	if (copy_text(o->username, &h->username) < 0 || copy_text(o->password, &h->password) < 0 ||
	    copy_text(o->password_file, &h->password_file) < 0 ||
	    copy_text(o->auth_type, &h->auth_type) < 0 || copy_text(o->token, &h->token) < 0 ||
	    copy_text(o->token_file, &h->token_file) < 0)
		return -ENOMEM;
	return 0;
}

void push_http_done(struct push_http *h)
{
	curl_easy_cleanup(h->template);
	curl_slist_free_all(h->headers);
	free(h->url);
	free(h->username);
	free(h->password);
	free(h->password_file);
	free(h->auth_type);
	free(h->token);
	free(h->token_file);
	*h = (struct push_http){0};
}

/* The file's text without blanks at its ends. */
static int read_credentials(const char *path, char *to, char *why, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, to, MAX_CREDENTIALS - 1);
	ssize_t start = 0;

	if (n < 0)
		return bad(why, size, "cannot read '%.100s': %s", path, strerror(errno));
	while (n > 0 && (unsigned char)to[n - 1] <= ' ')
		n--;
	while (start < n && (unsigned char)to[start] <= ' ')
		start++;
	memmove(to, to + start, (size_t)(n - start));
	to[n - start] = '\0';
	if (strpbrk(to, "\r\n"))
		return bad(why, size, "'%.100s' has more than one line", path);
	return 0;
}

static int set_credentials(const struct push_http *h, CURL *easy, struct curl_slist **headers,
			   char *why, size_t size)
{
	const char *file = h->password_file ? h->password_file : h->token_file;
	char text[MAX_CREDENTIALS], *secret = h->password ? h->password : h->token;
	_cleanup_free_ char *value = NULL;
	int r;

	if (file) {
		r = read_credentials(file, text, why, size);
		if (r < 0)
			return r;
		secret = text;
	}
	if (h->username || h->password || h->password_file) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, h->username ? h->username : "");
		curl_easy_setopt(easy, CURLOPT_PASSWORD, secret ? secret : "");
		return 0;
	}
	if (!h->token && !h->token_file)
		return 0;
	if (asprintf(&value, "%s %s", h->auth_type ? h->auth_type : "Bearer", secret) < 0) {
		value = NULL;
		return -ENOMEM;
	}
	return add_header(headers, "Authorization", value);
}

int push_http_prepare(const struct push_http *h, CURL *easy, const uint8_t *body, size_t len,
		      struct curl_slist **ret_headers, char *why, size_t size)
{
	struct curl_slist *headers = NULL;
	int r = 0;

	for (const struct curl_slist *l = h->headers; l && r >= 0; l = l->next) {
		struct curl_slist *more = curl_slist_append(headers, l->data);

		r = more ? 0 : -ENOMEM;
		headers = more ? more : headers;
	}
	if (r >= 0)
		r = set_credentials(h, easy, &headers, why, size);
	if (r < 0) {
		curl_slist_free_all(headers);
		return r;
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	*ret_headers = headers;
	return 0;
}
