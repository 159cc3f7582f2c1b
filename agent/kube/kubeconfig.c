/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kube/kubeconfig.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/file.h"
#include "agent/config/data.h"

struct context {
	const char *dir;
	char *why;
	size_t size;
};

void kubeconfig_done(struct kubeconfig *k)
{
	char **all[] = {&k->server,   &k->ca_file,    &k->ca_pem,   &k->server_name, &k->proxy_url,
			&k->token,    &k->token_file, &k->username, &k->password,    &k->cert_file,
			&k->cert_pem, &k->key_file,   &k->key_pem};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		free(*all[i]);
		*all[i] = NULL;
	}
}

static int refuse(struct context *x, const char *fmt, ...) _printf_(2, 3);
static int refuse(struct context *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(x->why, x->size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static const struct value *get(const struct value *o, const char *key)
{
	return o && o->kind == VALUE_OBJECT ? value_get(o, key) : NULL;
}

/* "" when it is not there, or no text. */
static const char *get_text(const struct value *o, const char *key)
{
	const struct value *v = get(o, key);

	return v && v->kind == VALUE_STRING && strlen(v->s) == v->len ? v->s : "";
}

static bool get_bool(const struct value *o, const char *key)
{
	const struct value *v = get(o, key);

	return v && v->kind == VALUE_BOOL && v->b;
}

/* The entry of that name in one of the lists, and in it what `inner` holds. */
static int find(struct context *x, const struct value *doc, const char *list, const char *name,
		const char *inner, const struct value **ret)
{
	const struct value *l = get(doc, list);

	for (size_t i = 0; l && l->kind == VALUE_ARRAY && i < l->n_items; i++) {
		if (strcmp(get_text(l->items[i], "name"), name) != 0)
			continue;
		*ret = get(l->items[i], inner);
		return 0;
	}
	return refuse(x, "there is no \"%s\" in its %s", name, list);
}

static int set(char **to, const char *text)
{
	if (!*text)
		return 0;
	*to = strdup(text);
	return *to ? 0 : -ENOMEM;
}

static int set_path(const struct context *x, char **to, const char *path)
{
	if (!*path || *path == '/')
		return set(to, path);
	if (asprintf(to, "%s/%s", x->dir, path) < 0) {
		*to = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* KEY-data: the contents of the file, in base64. */
static int set_data(struct context *x, const struct value *o, const char *key, char **to)
{
	_cleanup_buf_ struct buf b = BUF_INIT(KUBECONFIG_MAX_BYTES);
	const char *text = get_text(o, key);

	if (!*text)
		return 0;
	if (base64_decode(text, strlen(text), &b) < 0)
		return refuse(x, "its %s is no base64", key);
	if (!b.failed && memchr(b.data, '\0', b.len))
		return refuse(x, "its %s is no text", key);
	return b.failed ? b.failed : set(to, buf_cstr(&b));
}

static int read_cluster(struct context *x, const struct value *c, struct kubeconfig *k)
{
	int r = set(&k->server, get_text(c, "server"));

	if (r >= 0 && !k->server)
		return refuse(x, "its cluster has no server");
	if (r >= 0)
		r = set_data(x, c, "certificate-authority-data", &k->ca_pem);
	/* Contents go before the file (client-go, rest.TLSClientConfig). */
	if (r >= 0 && !k->ca_pem)
		r = set_path(x, &k->ca_file, get_text(c, "certificate-authority"));
	if (r >= 0)
		r = set(&k->server_name, get_text(c, "tls-server-name"));
	if (r >= 0)
		r = set(&k->proxy_url, get_text(c, "proxy-url"));
	k->insecure = get_bool(c, "insecure-skip-tls-verify");
	return r;
}

static int read_user(struct context *x, const struct value *u, struct kubeconfig *k)
{
	static const char *const programs[] = {"exec", "auth-provider"};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (get(u, programs[i]))
			return refuse(x,
				      "its user gets credentials from a program (%s), which is not "
				      "run: use a token, tokenFile or client certificate",
				      programs[i]);
	}
	if (*get_text(u, "as"))
		return refuse(x, "its user acts as another one (as), which is not supported");
	r = set_path(x, &k->token_file, get_text(u, "tokenFile"));
	/* The file goes before the text (client-go, clientcmd.getUserIdentificationPartialConfig).
	 */
	if (r >= 0 && !k->token_file)
		r = set(&k->token, get_text(u, "token"));
	if (r >= 0 && !k->token && !k->token_file)
		r = set(&k->username, get_text(u, "username"));
	if (r >= 0 && k->username)
		r = set(&k->password, get_text(u, "password"));
	if (r >= 0)
		r = set_data(x, u, "client-certificate-data", &k->cert_pem);
	if (r >= 0 && !k->cert_pem)
		r = set_path(x, &k->cert_file, get_text(u, "client-certificate"));
	if (r >= 0)
		r = set_data(x, u, "client-key-data", &k->key_pem);
	if (r >= 0 && !k->key_pem)
		r = set_path(x, &k->key_file, get_text(u, "client-key"));
	if (r >= 0 && (k->cert_pem || k->cert_file) != (k->key_pem || k->key_file))
		return refuse(x, "its user has a client certificate without a key, or the reverse");
	return r;
}

static int read_document(struct context *x, const struct value *doc, struct kubeconfig *k)
{
	const char *current = get_text(doc, "current-context");
	const struct value *context, *cluster, *user = NULL;
	int r;

	if (doc->kind != VALUE_OBJECT)
		return refuse(x, "it is no kubeconfig");
	if (!*current)
		return refuse(x, "it has no current-context: kubectl config use-context NAME");
	r = find(x, doc, "contexts", current, "context", &context);
	if (r >= 0)
		r = find(x, doc, "clusters", get_text(context, "cluster"), "cluster", &cluster);
	if (r >= 0 && *get_text(context, "user"))
		r = find(x, doc, "users", get_text(context, "user"), "user", &user);
	if (r >= 0)
		r = read_cluster(x, cluster, k);
	return r < 0 ? r : read_user(x, user, k);
}

int kubeconfig_parse(const char *text, size_t n, const char *dir, char *why, size_t size,
		     struct kubeconfig *ret)
{
	struct context x = {dir, why, size};
	_cleanup_value_ struct value *doc = NULL;
	_cleanup_(kubeconfig_done) struct kubeconfig k = {0};
	int r = data_from_yaml(text, n, &doc, why, size);

	if (r >= 0)
		r = read_document(&x, doc, &k);
	if (r < 0)
		return r == -ENOMEM ? r : -EINVAL;
	*ret = k;
	k = (struct kubeconfig){0};
	return 0;
}

int kubeconfig_read(const char *path, char *why, size_t size, struct kubeconfig *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT(KUBECONFIG_MAX_BYTES);
	_cleanup_free_ char *dir = strdup(path);
	struct context x = {NULL, why, size};
	int r = file_read(path, &b, NULL);
	char *slash;

	if (!dir || r == -ENOMEM)
		return -ENOMEM;
	if (r == -E2BIG)
		return refuse(&x, "it is larger than 1 MiB");
	if (r < 0)
		return refuse(&x, "cannot read it: %s",
			      r == -EINVAL ? "not a regular file" : strerror(-r));
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	return kubeconfig_parse((const char *)b.data, b.len, slash ? (*dir ? dir : "/") : ".", why,
				size, ret);
}
