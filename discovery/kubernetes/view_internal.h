/* SPDX-License-Identifier: Apache-2.0 */
/* What the roles share: the target that is being built, and the labels of an object's metadata. */
#pragma once

#include "discovery/kubernetes/view.h"

#define META "__meta_kubernetes_"

struct kube_out {
	const struct kube_view *view;
	const struct kube_sink *sink;
	const struct kube_object *object;
	bool shared; /* labels are of all targets */
	size_t n, left_out;
};

void kube_put(struct kube_out *out, const char *label, const char *value);
/* META RESOURCE "_name" and what the object is labelled and annotated with. */
void kube_put_meta(struct kube_out *out, const char *resource, const struct kube_object *o);
/* The same without the name. */
void kube_put_maps(struct kube_out *out, const char *resource, const struct kube_object *o);
/* What attach_metadata adds. */
void kube_put_namespace(struct kube_out *out, const char *name);
void kube_put_node(struct kube_out *out, const char *name);
void kube_put_address(struct kube_out *out, const char *host, const char *port);
/* Whether there is room for one more target; else it is counted. */
bool kube_out_room(struct kube_out *out);
void kube_out_target(struct kube_out *out);

/* labels_pod.c: labels of the pod itself, and those of one container (or NULL) and port (or NULL).
 */
void kube_put_pod(struct kube_out *out, const struct kube_object *pod);
void kube_build_pod(struct kube_out *out);
/* labels_endpoints.c */
void kube_build_endpoints(struct kube_out *out);
void kube_build_endpointslice(struct kube_out *out);
/* The service that a slice belongs to, "" when it says none. */
const char *kube_slice_service(const struct kube_object *slice);
