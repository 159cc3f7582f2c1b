/* SPDX-License-Identifier: Apache-2.0 */
/* The roles: which objects they need, what refers to what. The labels are in labels.c. */
#include "discovery/kubernetes/view.h"

#include <errno.h>
#include <string.h>

#include "discovery/kubernetes/view_internal.h"

static const struct {
	const char *name;
	enum kube_kind primary;
} roles[] = {
	[KUBE_ROLE_POD] = {"pod", KUBE_POD},
	[KUBE_ROLE_NODE] = {"node", KUBE_NODE},
	[KUBE_ROLE_SERVICE] = {"service", KUBE_SERVICE},
	[KUBE_ROLE_ENDPOINTS] = {"endpoints", KUBE_ENDPOINTS_OBJECT},
	[KUBE_ROLE_ENDPOINTSLICE] = {"endpointslice", KUBE_ENDPOINTSLICE},
	[KUBE_ROLE_INGRESS] = {"ingress", KUBE_INGRESS_OBJECT},
};

int kube_role_parse(const char *name, enum kube_role *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (!strcmp(name, roles[i].name)) {
			*ret = (enum kube_role)i;
			return 0;
		}
	}
	return -EINVAL;
}

void kube_view_init(struct kube_view *v, enum kube_role role, bool attach_node,
		    bool attach_namespace, void (*release)(void *user))
{
	*v = (struct kube_view){
		.role = role,
		.attach_node = attach_node,
		.attach_namespace = attach_namespace,
	};
	for (size_t i = 0; i < KUBE_KINDS; i++)
		kube_store_init(&v->stores[i], &v->clock, release);
}

void kube_view_done(struct kube_view *v)
{
	for (size_t i = 0; i < KUBE_KINDS; i++)
		kube_store_done(&v->stores[i]);
}

enum kube_kind kube_view_primary(const struct kube_view *v)
{
	return roles[v->role].primary;
}

static bool joins_pods(const struct kube_view *v)
{
	return v->role == KUBE_ROLE_ENDPOINTS || v->role == KUBE_ROLE_ENDPOINTSLICE;
}

bool kube_view_needs(const struct kube_view *v, enum kube_kind kind)
{
	switch (kind) {
	case KUBE_NODE:
		return v->role == KUBE_ROLE_NODE ||
		       (v->attach_node && (v->role == KUBE_ROLE_POD || joins_pods(v)));
	case KUBE_NAMESPACE_OBJECT:
		return v->attach_namespace && v->role != KUBE_ROLE_NODE;
	case KUBE_POD:
	case KUBE_SERVICE:
		return kind == kube_view_primary(v) || joins_pods(v);
	case KUBE_ENDPOINTS_OBJECT:
	case KUBE_ENDPOINTSLICE:
	case KUBE_INGRESS_OBJECT:
		return kind == kube_view_primary(v);
	case KUBE_KINDS:
		break;
	}
	return false;
}

static bool changed(const struct kube_view *v, const struct kube_entry *e, enum kube_kind kind,
		    const char *namespace, const char *name)
{
	const struct kube_store *s = &v->stores[kind];
	const struct kube_entry *other = *name ? kube_store_find(s, namespace, name) : NULL;

	return other ? other->changed > e->built : s->removed > e->built;
}

/* What one address of an endpoint refers to; a is what holds nodeName and targetRef. */
static bool address_changed(const struct kube_view *v, const struct kube_entry *e,
			    const struct kube_node *a)
{
	const struct kube_object *o = e->object;
	const struct kube_node *ref = kube_field(o, a, KUBE_TARGET_REF);
	const char *kind = kube_get(o, ref, KUBE_KIND), *name = kube_get(o, ref, KUBE_NAME);

	if (!strcmp(kind, "Pod") && changed(v, e, KUBE_POD, kube_get(o, ref, KUBE_NAMESPACE), name))
		return true;
	if (!v->attach_node)
		return false;
	return changed(v, e, KUBE_NODE, "", kube_get(o, a, KUBE_NODE_NAME)) ||
	       (!strcmp(kind, "Node") && changed(v, e, KUBE_NODE, "", name));
}

static bool addresses_changed(const struct kube_view *v, const struct kube_entry *e,
			      const struct kube_node *list)
{
	for (const struct kube_node *a = kube_first(e->object, list); a;
	     a = kube_next(e->object, a)) {
		if (address_changed(v, e, a))
			return true;
	}
	return false;
}

static bool endpoints_changed(const struct kube_view *v, const struct kube_entry *e)
{
	const struct kube_object *o = e->object;
	const struct kube_node *subsets = kube_field(o, kube_object_root(o), KUBE_SUBSETS);

	for (const struct kube_node *s = kube_first(o, subsets); s; s = kube_next(o, s)) {
		if (addresses_changed(v, e, kube_field(o, s, KUBE_ADDRESSES)) ||
		    addresses_changed(v, e, kube_field(o, s, KUBE_NOT_READY_ADDRESSES)))
			return true;
	}
	return changed(v, e, KUBE_SERVICE, kube_namespace(o), kube_name(o));
}

const char *kube_slice_service(const struct kube_object *o)
{
	const struct kube_node *meta = kube_field(o, kube_object_root(o), KUBE_METADATA);
	const struct kube_node *labels = kube_field(o, meta, KUBE_LABELS);

	for (const struct kube_node *l = kube_first(o, labels); l; l = kube_next(o, l)) {
		if (!strcmp(kube_entry_name(o, l), "kubernetes.io/service-name"))
			return kube_text(o, l);
	}
	return "";
}

bool kube_view_stale(const struct kube_view *v, const struct kube_entry *e)
{
	const struct kube_object *o = e->object;
	const struct kube_node *root = kube_object_root(o);

	if (e->changed > e->built)
		return true;
	if (v->attach_namespace && v->role != KUBE_ROLE_NODE &&
	    changed(v, e, KUBE_NAMESPACE_OBJECT, "", kube_namespace(o)))
		return true;
	switch (v->role) {
	case KUBE_ROLE_POD:
		return v->attach_node &&
		       changed(v, e, KUBE_NODE, "",
			       kube_get(o, kube_field(o, root, KUBE_SPEC), KUBE_NODE_NAME));
	case KUBE_ROLE_ENDPOINTS:
		return endpoints_changed(v, e);
	case KUBE_ROLE_ENDPOINTSLICE:
		return changed(v, e, KUBE_SERVICE, kube_namespace(o), kube_slice_service(o)) ||
		       addresses_changed(v, e, kube_field(o, root, KUBE_ENDPOINTS));
	case KUBE_ROLE_NODE:
	case KUBE_ROLE_SERVICE:
	case KUBE_ROLE_INGRESS:
		break;
	}
	return false;
}
