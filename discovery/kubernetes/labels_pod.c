/* SPDX-License-Identifier: Apache-2.0 */
/* The role pod: one target for each port of each container. */
#include <string.h>

#include "discovery/kubernetes/view_internal.h"

static const char *ready(const struct kube_object *o, const struct kube_node *status)
{
	for (const struct kube_node *c = kube_first(o, kube_field(o, status, KUBE_CONDITIONS)); c;
	     c = kube_next(o, c)) {
		if (strcmp(kube_get(o, c, KUBE_TYPE), "Ready") != 0)
			continue;
		/* The API knows True, False and Unknown. */
		return !strcmp(kube_get(o, c, KUBE_STATUS), "True")    ? "true"
		       : !strcmp(kube_get(o, c, KUBE_STATUS), "False") ? "false"
								       : "unknown";
	}
	return "unknown";
}

static void put_controller(struct kube_out *out, const struct kube_object *o,
			   const struct kube_node *meta)
{
	for (const struct kube_node *r = kube_first(o, kube_field(o, meta, KUBE_OWNER_REFERENCES));
	     r; r = kube_next(o, r)) {
		if (strcmp(kube_get(o, r, KUBE_CONTROLLER), "true") != 0)
			continue;
		kube_put(out, META "pod_controller_kind", kube_get(o, r, KUBE_KIND));
		kube_put(out, META "pod_controller_name", kube_get(o, r, KUBE_NAME));
		return;
	}
}

void kube_put_pod(struct kube_out *out, const struct kube_object *o)
{
	const struct kube_node *root = kube_object_root(o);
	const struct kube_node *meta = kube_field(o, root, KUBE_METADATA);
	const struct kube_node *status = kube_field(o, root, KUBE_STATUS);
	const struct kube_node *spec = kube_field(o, root, KUBE_SPEC);

	kube_put(out, META "pod_ip", kube_get(o, status, KUBE_POD_IP));
	kube_put(out, META "pod_ready", ready(o, status));
	kube_put(out, META "pod_phase", kube_get(o, status, KUBE_PHASE));
	kube_put(out, META "pod_node_name", kube_get(o, spec, KUBE_NODE_NAME));
	kube_put(out, META "pod_host_ip", kube_get(o, status, KUBE_HOST_IP));
	kube_put(out, META "pod_uid", kube_get(o, meta, KUBE_UID));
	kube_put_meta(out, "pod", o);
	put_controller(out, o, meta);
}

static const char *container_id(const struct kube_object *o, const struct kube_node *statuses,
				const char *name)
{
	for (const struct kube_node *s = kube_first(o, statuses); s; s = kube_next(o, s)) {
		if (!strcmp(kube_get(o, s, KUBE_NAME), name))
			return kube_get(o, s, KUBE_CONTAINER_ID);
	}
	return "";
}

static void put_container(struct kube_out *out, const struct kube_node *c, const char *id,
			  bool init)
{
	kube_put(out, META "pod_container_name", kube_get(out->object, c, KUBE_NAME));
	kube_put(out, META "pod_container_id", id);
	kube_put(out, META "pod_container_image", kube_get(out->object, c, KUBE_IMAGE));
	kube_put(out, META "pod_container_init", init ? "true" : "false");
}

static void build_container(struct kube_out *out, const struct kube_node *c, const char *ip,
			    const struct kube_node *statuses, bool init)
{
	const struct kube_object *o = out->object;
	const char *id = container_id(o, statuses, kube_get(o, c, KUBE_NAME));
	const struct kube_node *port = kube_first(o, kube_field(o, c, KUBE_PORTS));

	if (!port && kube_out_room(out)) {
		kube_put(out, "__address__", ip);
		put_container(out, c, id, init);
		kube_out_target(out);
	}
	for (; port; port = kube_next(o, port)) {
		const char *number = kube_get(o, port, KUBE_CONTAINER_PORT);

		if (!kube_out_room(out))
			continue;
		kube_put_address(out, ip, number);
		put_container(out, c, id, init);
		kube_put(out, META "pod_container_port_number", number);
		kube_put(out, META "pod_container_port_name", kube_get(o, port, KUBE_NAME));
		kube_put(out, META "pod_container_port_protocol", kube_get(o, port, KUBE_PROTOCOL));
		kube_out_target(out);
	}
}

void kube_build_pod(struct kube_out *out)
{
	static const struct {
		enum kube_key containers, statuses;
	} lists[] = {{KUBE_CONTAINERS, KUBE_CONTAINER_STATUSES},
		     {KUBE_INIT_CONTAINERS, KUBE_INIT_CONTAINER_STATUSES}};
	const struct kube_object *o = out->object;
	const struct kube_node *root = kube_object_root(o);
	const struct kube_node *spec = kube_field(o, root, KUBE_SPEC);
	const struct kube_node *status = kube_field(o, root, KUBE_STATUS);
	const char *ip = kube_get(o, status, KUBE_POD_IP);
	const char *node = kube_get(o, spec, KUBE_NODE_NAME);

	/* It is starting, or was evicted. */
	if (!*ip)
		return;
	/* A node that a selector excludes excludes its pods. */
	if (out->view->attach_node && !kube_store_find(&out->view->stores[KUBE_NODE], "", node))
		return;
	kube_put_pod(out, o);
	kube_put(out, META "namespace", kube_namespace(o));
	kube_put_node(out, node);
	kube_put_namespace(out, kube_namespace(o));
	out->shared = false;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct kube_node *list = kube_field(o, spec, lists[i].containers);

		for (const struct kube_node *c = kube_first(o, list); c; c = kube_next(o, c))
			build_container(out, c, ip, kube_field(o, status, lists[i].statuses),
					i > 0);
	}
}
