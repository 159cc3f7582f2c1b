/* SPDX-License-Identifier: Apache-2.0 */
/* The block http {} of the configuration, applied to the server. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/components/settings_http.h"
#include "agent/ops/ops_internal.h"

#define MAX_PEM_BYTES (1u << 20)

static int read_pem(const char *path, char **ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = BUF_INIT(MAX_PEM_BYTES + 1);
	char chunk[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(&b, chunk, (size_t)n);
	if (n < 0)
		return -errno;
	*ret = strdup(buf_cstr(&b));
	explicit_bzero(chunk, sizeof(chunk));
	if (b.data)
		explicit_bzero(b.data, b.len);
	return b.failed ? b.failed : *ret ? 0 : -ENOMEM;
}

/* The text, or what is in the file. *ret stays NULL when both are empty. */
static int load_pem(const char *what, const char *text, const char *file, char **ret)
{
	int r = 0;

	if (*file)
		r = read_pem(file, ret);
	else if (*text && !(*ret = strdup(text)))
		r = -ENOMEM;
	if (r < 0)
		log_error_errno(r, "http: cannot read %s %s, keeping what was there", what, file);
	return r;
}

static int apply_tls(struct ops *o, const struct http_tls *t)
{
	_cleanup_free_ char *cert = NULL, *key = NULL, *ca = NULL;
	struct http_server_tls tls = {0};
	char why[256] = "no memory";
	int r = 0;

	if (t && t->set) {
		r = load_pem("cert_file", t->cert_pem, t->cert_file, &cert);
		if (r >= 0)
			r = load_pem("key_file", t->key_pem, t->key_file, &key);
		if (r >= 0)
			r = load_pem("client_ca_file", t->client_ca_pem, t->client_ca_file, &ca);
		tls = (struct http_server_tls){
			.cert = cert,
			.key = key,
			.client_ca = ca,
			.client_auth = (enum http_client_auth)settings_http_client_auth(
				t->client_auth_type),
			.min_version = t->min_version,
			.max_version = t->max_version,
		};
	}
	if (r < 0)
		return r;
	r = http_server_set_tls(o->server, &tls, why, sizeof(why));
	if (r < 0)
		log_error("http: %s, keeping what was there", why);
	if (key)
		explicit_bzero(key, strlen(key));
	return r;
}

static int apply_auth(struct ops *o, const struct http_auth *a)
{
	struct http_server_auth auth = {0};

	if (a && a->set && a->basic.set) {
		auth.username = a->basic.username;
		auth.password = a->basic.password;
	}
	if (auth.username && a->filter.set) {
		auth.paths = (const char *const *)a->filter.paths.v;
		auth.n_paths = a->filter.paths.n;
		auth.except_paths = !a->filter.authenticate_matching_paths;
	}
	return http_server_set_auth(o->server, &auth);
}

int ops_apply_settings(struct ops *o)
{
	const struct component *c = graph_next(o->graph, &settings_http, NULL);
	const struct http_settings *s = c ? c->args : NULL;

	int r = apply_tls(o, s ? &s->tls : NULL);

	return r < 0 ? r : apply_auth(o, s ? &s->auth : NULL);
}
