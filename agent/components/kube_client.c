/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/kube_client.h"

#include <errno.h>

bool kube_client_is_custom(const struct kube_client_args *a)
{
	const struct http_client *h = &a->http;

	return h->basic_auth.set || h->authorization.set || h->oauth2.set || *h->bearer_token ||
	       *h->bearer_token_file || *h->proxy.proxy_url || h->proxy.proxy_from_environment ||
	       h->proxy.proxy_connect_header.n || h->http_headers.n || h->tls_config.set;
}

int kube_client_validate(const struct kube_client_args *a, char *why, size_t size)
{
	if (*a->api_server && *a->kubeconfig_file) {
		(void)snprintf(why, size, "only one of api_server and kubeconfig_file can be set");
		return -EINVAL;
	}
	if (kube_client_is_custom(a) && *a->kubeconfig_file) {
		(void)snprintf(why, size,
			       "custom HTTP client configuration is not allowed when "
			       "kubeconfig_file is set");
		return -EINVAL;
	}
	/* Credentials that were written down and go nowhere. */
	if (kube_client_is_custom(a) && !*a->api_server) {
		(void)snprintf(why, size,
			       "api_server must be set when custom HTTP client configuration is "
			       "provided");
		return -EINVAL;
	}
	return http_client_validate(&a->http, why, size);
}

int kube_client_open(struct http_multi *multi, const struct kube_client_args *a, char *why,
		     size_t size, struct kube_client **ret)
{
	struct http_options http;
	struct kube_client_options o = {a->api_server, a->kubeconfig_file, &http};

	http_client_options(&a->http, &http);
	return kube_client_new(multi, &o, why, size, ret);
}
