/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kube_client: a Kubernetes API server and how to talk to it, out of the three sources that
 * Alloy knows: api_server with HTTP client arguments, kubeconfig_file, or else the service account
 * that is mounted into every pod (client-go rest.InClusterConfig, 0.33).
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/http/fetch.h"

#define KUBE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

struct kube_client_options {
	const char *api_server, *kubeconfig_file; /* at most one; "" or NULL: not given */
	const struct http_options *http;	  /* for api_server */
};

struct kube_client {
	struct http_multi *multi; /* borrowed */
	struct http_access *access;
	char *server; /* "https://10.96.0.1:443", no "/" at the end */
};

/* -EINVAL with the reason in why, -ENOMEM. */
int kube_client_new(struct http_multi *multi, const struct kube_client_options *o, char *why,
		    size_t size, struct kube_client **ret);
/* Accepts NULL; returns NULL. Nothing may be under way. */
struct kube_client *kube_client_free(struct kube_client *c);
DEFINE_CLEANUP(struct kube_client *, kube_client_free)
/* The namespace of the pod that this runs in; allocated. -EINVAL with the reason, -ENOMEM. */
int kube_own_namespace(char *why, size_t size, char **ret);
/* Appends the text as a part of a path or query (RFC 3986, percent-encoded). */
void kube_escape(struct buf *url, const char *s);
/*
 * Says in why, in one line, what a reply that is no success means: the message of the API if it
 * sent one, and what a person can do about it.
 */
void kube_explain(const struct fetch_reply *reply, char *why, size_t size);
