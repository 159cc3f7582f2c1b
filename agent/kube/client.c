/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kube/client.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "agent/config/data.h"
#include "agent/kube/kubeconfig.h"

#define MAX_MESSAGE 400

static const char *text_or_empty(const char *s)
{
	return s ? s : "";
}

static int client_new(struct http_multi *multi, const char *server, const struct http_options *o,
		      char *why, size_t size, struct kube_client **ret)
{
	_cleanup_(kube_client_freep) struct kube_client *c = calloc(1, sizeof(*c));
	size_t len = strlen(server);
	int r;

	if (!c)
		return -ENOMEM;
	while (len && server[len - 1] == '/')
		len--;
	c->multi = multi;
	/* Like kubectl and client-go, which take a server without a scheme. */
	if (asprintf(&c->server, "%s%.*s", strstr(server, "://") ? "" : "https://", (int)len,
		     server) < 0) {
		c->server = NULL;
		return -ENOMEM;
	}
	r = http_access_new(o, why, size, &c->access);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

struct kube_client *kube_client_free(struct kube_client *c)
{
	if (!c)
		return NULL;
	http_access_unref(c->access);
	free(c->server);
	free(c);
	return NULL;
}

static int in_cluster(struct http_multi *multi, char *why, size_t size, struct kube_client **ret)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	struct http_options o = {
		.auth_type = "Bearer",
		.token_file = KUBE_ACCOUNT_DIR "/token",
		.tls.ca_file = KUBE_ACCOUNT_DIR "/ca.crt",
		.http2 = true,
	};
	char server[512];

	if (!host || !*host || !port || !*port) {
		(void)snprintf(why, size,
			       "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST "
			       "and KUBERNETES_SERVICE_PORT must be defined: outside of a cluster "
			       "set api_server or kubeconfig_file");
		return -EINVAL;
	}
	if (access(o.token_file, R_OK) < 0) {
		(void)snprintf(why, size,
			       "unable to load in-cluster configuration, cannot read %s: %s "
			       "(does the pod mount its service account's token?)",
			       o.token_file, strerror(errno));
		return -EINVAL;
	}
	if (access(o.tls.ca_file, R_OK) < 0)
		o.tls.ca_file = NULL;
	(void)snprintf(server, sizeof(server),
		       strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
	return client_new(multi, server, &o, why, size, ret);
}

static int by_kubeconfig(struct http_multi *multi, const char *path, char *why, size_t size,
			 struct kube_client **ret)
{
	_cleanup_(kubeconfig_done) struct kubeconfig k = {0};
	struct http_options o = {.http2 = true};
	char text[256] = "";
	int r = kubeconfig_read(path, text, sizeof(text), &k);

	if (r < 0) {
		(void)snprintf(why, size, "kubeconfig_file \"%s\": %s", path, text);
		return r;
	}
	o.username = k.username;
	o.password = k.password;
	if (k.token || k.token_file)
		o.auth_type = "Bearer";
	o.token = k.token;
	o.token_file = k.token_file;
	o.tls = (struct http_tls_options){
		.ca_pem = k.ca_pem,
		.ca_file = k.ca_file,
		.cert_pem = k.cert_pem,
		.cert_file = k.cert_file,
		.key_pem = k.key_pem,
		.key_file = k.key_file,
		.server_name = k.server_name,
		.insecure_skip_verify = k.insecure,
	};
	o.proxy.url = k.proxy_url;
	o.proxy.from_environment = !k.proxy_url;
	return client_new(multi, k.server, &o, why, size, ret);
}

int kube_client_new(struct http_multi *multi, const struct kube_client_options *o, char *why,
		    size_t size, struct kube_client **ret)
{
	if (*text_or_empty(o->kubeconfig_file))
		return by_kubeconfig(multi, o->kubeconfig_file, why, size, ret);
	if (*text_or_empty(o->api_server))
		return client_new(multi, o->api_server, o->http, why, size, ret);
	return in_cluster(multi, why, size, ret);
}

int kube_own_namespace(char *why, size_t size, char **ret)
{
	char text[256];
	int r = http_read_secret(KUBE_ACCOUNT_DIR "/namespace", text, sizeof(text), why, size);

	if (r < 0)
		return r;
	if (!*text) {
		(void)snprintf(why, size, "could not read own namespace name (empty file)");
		return -EINVAL;
	}
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

void kube_escape(struct buf *url, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~", *s))
			buf_add_u8(url, (uint8_t)*s);
		else
			buf_printf(url, "%%%02X", (unsigned char)*s);
	}
}

static const char *cure(long status)
{
	switch (status) {
	case 401:
		return " (is the token or certificate the right one?)";
	case 403:
		return " (the role of the service account must allow get, list and watch)";
	case 404:
		return " (is it the address of a Kubernetes API server?)";
	default:
		return "";
	}
}

void kube_explain(const struct fetch_reply *reply, char *why, size_t size)
{
	_cleanup_value_ struct value *v = NULL;
	char text[MAX_MESSAGE + 1] = "", ignored[64];
	const struct value *message;

	if (reply->r < 0) {
		(void)snprintf(why, size, "%s", *reply->why ? reply->why : strerror(-reply->r));
		return;
	}
	if (data_from_json(reply->body, reply->len, &v, ignored, sizeof(ignored)) >= 0 &&
	    v->kind == VALUE_OBJECT) {
		message = value_get(v, "message");
		if (message && message->kind == VALUE_STRING)
			(void)snprintf(text, sizeof(text), "%s", message->s);
	}
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	}
	(void)snprintf(why, size, "the server answers %ld%s%s%s", reply->status, *text ? ": " : "",
		       text, cure(reply->status));
}
