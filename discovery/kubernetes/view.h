/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kube_view: the objects of a role of Kubernetes discovery, and the targets that they are.
 * Labels and rules are those of Prometheus (discovery/kubernetes, d15adb9ad7e5), which Grafana
 * Alloy uses. Whoever fills the stores asks with kube_view_stale() which objects have to be built
 * again.
 */
#pragma once

#include "discovery/kubernetes/store.h"

enum kube_role {
	KUBE_ROLE_POD,
	KUBE_ROLE_NODE,
	KUBE_ROLE_SERVICE,
	KUBE_ROLE_ENDPOINTS,
	KUBE_ROLE_ENDPOINTSLICE,
	KUBE_ROLE_INGRESS,
};

#define KUBE_VIEW_MAX_TARGETS 20000 /* of one object; those after them are left out */

struct kube_view {
	enum kube_role role;
	bool attach_node, attach_namespace;
	uint64_t clock;
	struct kube_store stores[KUBE_KINDS];
};

/* Who takes the targets. */
struct kube_sink {
	/* prefix and name together (name NULL: the prefix is it all) are the label's name; `name`
	 * is the server's and may hold any character. shared: of all targets of the object; these
	 * come before the first target. */
	void (*label)(void *data, bool shared, const char *prefix, const char *name,
		      const char *value);
	void (*target)(void *data); /* one is complete */
	void *data;
};

/* release: see struct kube_store. */
void kube_view_init(struct kube_view *v, enum kube_role role, bool attach_node,
		    bool attach_namespace, void (*release)(void *user));
void kube_view_done(struct kube_view *v);
/* 0, or -EINVAL for a name that is no role. */
int kube_role_parse(const char *name, enum kube_role *ret);
/* The kind whose objects are the targets. */
enum kube_kind kube_view_primary(const struct kube_view *v);
/* Whether the role needs objects of that kind. */
bool kube_view_needs(const struct kube_view *v, enum kube_kind kind);
/* Whether an object of the primary kind, or one that it refers to, changed since e->built. */
bool kube_view_stale(const struct kube_view *v, const struct kube_entry *e);
/* Hands the targets of an object of the primary kind to the sink; how many it left out. */
size_t kube_view_build(const struct kube_view *v, const struct kube_entry *e,
		       const struct kube_sink *sink);
