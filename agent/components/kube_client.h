/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arguments that say which Kubernetes API server is meant, as discovery.kubernetes and the
 * client block of remote.kubernetes.* have them (grafana/alloy
 * internal/component/common/kubernetes, 66ebea856dff).
 */
#pragma once

#include "agent/components/http_client.h"
#include "agent/kube/client.h"

struct kube_client_args {
	bool set; /* as a block */
	char *api_server, *kubeconfig_file;
	struct http_client http;
};

#define KUBE_CLIENT_OPTIONS(type, member)                                                  \
	{"api_server", OPTION_STRING,                                                      \
	 .offset = offsetof(type, member) + offsetof(struct kube_client_args, api_server), \
	 .help = "empty: the API server of the cluster that this runs in"},                \
		{"kubeconfig_file", OPTION_STRING,                                         \
		 .offset = offsetof(type, member) +                                        \
			   offsetof(struct kube_client_args, kubeconfig_file),             \
		 .help = "a kubeconfig file with server and credentials"},                 \
		HTTP_CLIENT_OPTIONS(type, member.http)

/* Whether any HTTP client argument was given. */
bool kube_client_is_custom(const struct kube_client_args *a);
/* As the client block checks it: 0, or -EINVAL with the message. */
int kube_client_validate(const struct kube_client_args *a, char *why, size_t size);
/* See kube_client_new(). */
int kube_client_open(struct http_multi *multi, const struct kube_client_args *a, char *why,
		     size_t size, struct kube_client **ret);
