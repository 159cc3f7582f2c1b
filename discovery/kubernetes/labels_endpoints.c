/* SPDX-License-Identifier: Apache-2.0 */
/* The roles endpoints and endpointslice: addresses, with the labels of the pods behind them. */
#include <string.h>

#include "discovery/kubernetes/view_internal.h"

#define MAX_PODS 4096 /* that one object refers to; the API allows 1000 addresses */

/* A pod that some address led to, and the ports that a service has of it. */
struct seen {
	const struct kube_object *pod;
	const struct kube_node *ports[16]; /* of the endpoints object */
	unsigned int n_ports;
};

struct endpoints {
	struct kube_out *out;
	struct seen *seen;
	size_t n_seen;
};

static const struct kube_object *resolve(const struct kube_out *out, const struct kube_node *ref)
{
	const struct kube_object *o = out->object;
	const struct kube_entry *e;

	if (strcmp(kube_get(o, ref, KUBE_KIND), "Pod") != 0)
		return NULL;
	e = kube_store_find(&out->view->stores[KUBE_POD], kube_get(o, ref, KUBE_NAMESPACE),
			    kube_get(o, ref, KUBE_NAME));
	return e ? e->object : NULL;
}

static void remember(struct endpoints *x, const struct kube_object *pod,
		     const struct kube_node *port)
{
	struct seen *s = NULL;

	for (size_t i = 0; i < x->n_seen && !s; i++) {
		if (x->seen[i].pod == pod)
			s = &x->seen[i];
	}
	if (!s && x->n_seen < MAX_PODS) {
		s = &x->seen[x->n_seen++];
		*s = (struct seen){.pod = pod};
	}
	if (s && s->n_ports < ARRAY_SIZE(s->ports))
		s->ports[s->n_ports++] = port;
}

static void put_container(struct kube_out *out, const struct kube_object *pod,
			  const struct kube_node *c, const struct kube_node *port,
			  const char *protocol, bool init)
{
	kube_put(out, META "pod_container_name", kube_get(pod, c, KUBE_NAME));
	kube_put(out, META "pod_container_image", kube_get(pod, c, KUBE_IMAGE));
	kube_put(out, META "pod_container_port_name", kube_get(pod, port, KUBE_NAME));
	kube_put(out, META "pod_container_port_number", kube_get(pod, port, KUBE_CONTAINER_PORT));
	kube_put(out, META "pod_container_port_protocol", protocol);
	kube_put(out, META "pod_container_init", init ? "true" : "false");
}

/* Calls fn for every port of every container of the pod. */
static void each_port(const struct kube_object *pod,
		      void (*fn)(const struct kube_node *c, const struct kube_node *port, bool init,
				 void *data),
		      void *data)
{
	const struct kube_node *spec = kube_field(pod, kube_object_root(pod), KUBE_SPEC);

	for (int init = 0; init < 2; init++) {
		const struct kube_node *list =
			kube_field(pod, spec, init ? KUBE_INIT_CONTAINERS : KUBE_CONTAINERS);

		for (const struct kube_node *c = kube_first(pod, list); c; c = kube_next(pod, c)) {
			const struct kube_node *ports = kube_field(pod, c, KUBE_PORTS);

			for (const struct kube_node *p = kube_first(pod, ports); p;
			     p = kube_next(pod, p))
				fn(c, p, init, data);
		}
	}
}

struct match {
	struct kube_out *out;
	const struct kube_object *pod;
	const char *port, *protocol; /* protocol NULL: the container's */
};

static void put_matching(const struct kube_node *c, const struct kube_node *p, bool init,
			 void *data)
{
	struct match *m = data;
	const char *protocol = m->protocol ? m->protocol : kube_get(m->pod, p, KUBE_PROTOCOL);

	if (*m->port && !strcmp(kube_get(m->pod, p, KUBE_CONTAINER_PORT), m->port))
		put_container(m->out, m->pod, c, p, protocol, init);
}

/* The rest of a target: labels of node and pod. */
static void finish(struct endpoints *x, const struct kube_node *ref, const char *node,
		   const struct kube_node *port, const char *protocol)
{
	struct kube_out *out = x->out;
	const struct kube_object *pod = resolve(out, ref);

	kube_put_node(out, node);
	if (pod) {
		struct match m = {out, pod, kube_get(out->object, port, KUBE_PORT), protocol};

		kube_put_pod(out, pod);
		each_port(pod, put_matching, &m);
		remember(x, pod, port);
	}
	kube_out_target(out);
}

struct rest {
	struct kube_out *out;
	const struct seen *seen;
	const char *ip;
};

static void put_rest(const struct kube_node *c, const struct kube_node *p, bool init, void *data)
{
	struct rest *r = data;
	const struct kube_object *pod = r->seen->pod;
	const char *number = kube_get(pod, p, KUBE_CONTAINER_PORT);

	for (unsigned int i = 0; i < r->seen->n_ports; i++) {
		if (!strcmp(kube_get(r->out->object, r->seen->ports[i], KUBE_PORT), number))
			return;
	}
	if (!kube_out_room(r->out))
		return;
	kube_put_address(r->out, r->ip, number);
	put_container(r->out, pod, c, p, kube_get(pod, p, KUBE_PROTOCOL), init);
	kube_put_pod(r->out, pod);
	kube_out_target(r->out);
}

/* Ports of the pods that no endpoint covers are targets, too. */
static void put_other_ports(struct endpoints *x)
{
	for (size_t i = 0; i < x->n_seen; i++) {
		const struct kube_object *pod = x->seen[i].pod;
		const struct kube_node *status =
			kube_field(pod, kube_object_root(pod), KUBE_STATUS);
		struct rest r = {x->out, &x->seen[i], kube_get(pod, status, KUBE_POD_IP)};

		if (*r.ip)
			each_port(pod, put_rest, &r);
	}
}

static const struct kube_object *put_service(struct kube_out *out, const char *name)
{
	const char *namespace = kube_namespace(out->object);
	const struct kube_entry *e =
		*name ? kube_store_find(&out->view->stores[KUBE_SERVICE], namespace, name) : NULL;

	if (e)
		kube_put_meta(out, "service", e->object);
	return e ? e->object : NULL;
}

static void endpoints_target(struct endpoints *x, const struct kube_node *a,
			     const struct kube_node *port, const char *ready)
{
	struct kube_out *out = x->out;
	const struct kube_object *o = out->object;
	const struct kube_node *ref = kube_field(o, a, KUBE_TARGET_REF);
	const char *node = kube_get(o, a, KUBE_NODE_NAME);
	const char *kind = kube_get(o, ref, KUBE_KIND), *name = kube_get(o, ref, KUBE_NAME);
	const char *protocol = kube_get(o, port, KUBE_PROTOCOL);

	if (!kube_out_room(out))
		return;
	kube_put_address(out, kube_get(o, a, KUBE_IP), kube_get(o, port, KUBE_PORT));
	kube_put(out, META "endpoint_port_name", kube_get(o, port, KUBE_NAME));
	kube_put(out, META "endpoint_port_protocol", protocol);
	kube_put(out, META "endpoint_ready", ready);
	kube_put(out, META "endpoint_address_target_kind", kind);
	kube_put(out, META "endpoint_address_target_name", name);
	kube_put(out, META "endpoint_node_name", node);
	kube_put(out, META "endpoint_hostname", kube_get(o, a, KUBE_HOSTNAME));
	if (!*node && !strcmp(kind, "Node"))
		node = name;
	finish(x, ref, node, port, protocol);
}

void kube_build_endpoints(struct kube_out *out)
{
	const struct kube_object *o = out->object;
	const struct kube_node *subsets = kube_field(o, kube_object_root(o), KUBE_SUBSETS);
	_cleanup_free_ struct seen *seen = calloc(MAX_PODS, sizeof(*seen));
	struct endpoints x = {.out = out, .seen = seen};

	if (!seen) {
		out->left_out++;
		return;
	}
	kube_put(out, META "namespace", kube_namespace(o));
	(void)put_service(out, kube_name(o));
	kube_put_meta(out, "endpoints", o);
	kube_put_namespace(out, kube_namespace(o));
	out->shared = false;
	for (const struct kube_node *s = kube_first(o, subsets); s; s = kube_next(o, s)) {
		const struct kube_node *ports = kube_field(o, s, KUBE_PORTS);

		for (const struct kube_node *p = kube_first(o, ports); p; p = kube_next(o, p)) {
			const struct kube_node *yes = kube_field(o, s, KUBE_ADDRESSES);
			const struct kube_node *no = kube_field(o, s, KUBE_NOT_READY_ADDRESSES);

			for (const struct kube_node *a = kube_first(o, yes); a; a = kube_next(o, a))
				endpoints_target(&x, a, p, "true");
			for (const struct kube_node *a = kube_first(o, no); a; a = kube_next(o, a))
				endpoints_target(&x, a, p, "false");
		}
	}
	put_other_ports(&x);
}

#define SLICE META "endpointslice_"

static void slice_target(struct endpoints *x, const struct kube_node *e,
			 const struct kube_node *port, const char *address)
{
	struct kube_out *out = x->out;
	const struct kube_object *o = out->object;
	const struct kube_node *ref = kube_field(o, e, KUBE_TARGET_REF);
	const struct kube_node *conditions = kube_field(o, e, KUBE_CONDITIONS);
	const struct kube_node *topology = kube_field(o, e, KUBE_DEPRECATED_TOPOLOGY);
	const char *number = kube_get(o, port, KUBE_PORT), *node = kube_get(o, e, KUBE_NODE_NAME);
	const char *kind = kube_get(o, ref, KUBE_KIND), *name = kube_get(o, ref, KUBE_NAME);

	if (!kube_out_room(out))
		return;
	if (*number)
		kube_put_address(out, address, number);
	else
		kube_put(out, "__address__", address);
	kube_put(out, SLICE "port_name", kube_get(o, port, KUBE_NAME));
	kube_put(out, SLICE "port_protocol", kube_get(o, port, KUBE_PROTOCOL));
	kube_put(out, SLICE "port", number);
	kube_put(out, SLICE "port_app_protocol", kube_get(o, port, KUBE_APP_PROTOCOL));
	kube_put(out, SLICE "endpoint_conditions_ready", kube_get(o, conditions, KUBE_READY));
	kube_put(out, SLICE "endpoint_conditions_serving", kube_get(o, conditions, KUBE_SERVING));
	kube_put(out, SLICE "endpoint_conditions_terminating",
		 kube_get(o, conditions, KUBE_TERMINATING));
	kube_put(out, SLICE "endpoint_hostname", kube_get(o, e, KUBE_HOSTNAME));
	kube_put(out, SLICE "address_target_kind", kind);
	kube_put(out, SLICE "address_target_name", name);
	kube_put(out, SLICE "endpoint_node_name", node);
	kube_put(out, SLICE "endpoint_zone", kube_get(o, e, KUBE_ZONE));
	for (const struct kube_node *t = kube_first(o, topology); t; t = kube_next(o, t)) {
		const char *key = kube_entry_name(o, t);

		out->sink->label(out->sink->data, false, SLICE "endpoint_topology_", key,
				 kube_text(o, t));
		out->sink->label(out->sink->data, false, SLICE "endpoint_topology_present_", key,
				 "true");
	}
	finish(x, ref, strcmp(kind, "Node") ? node : name, port, NULL);
}

/* Of a service with two address families the slices of the second one are the same pods again. */
static bool is_second_family(const struct kube_object *service, const char *address_type)
{
	const struct kube_node *spec, *family;
	const char *policy;

	if (!service)
		return false;
	spec = kube_field(service, kube_object_root(service), KUBE_SPEC);
	policy = kube_get(service, spec, KUBE_IP_FAMILY_POLICY);
	if (strcmp(policy, "PreferDualStack") != 0 && strcmp(policy, "RequireDualStack") != 0)
		return false;
	family = kube_first(service, kube_field(service, spec, KUBE_IP_FAMILIES));
	return family && strcmp(kube_text(service, family), address_type) != 0;
}

void kube_build_endpointslice(struct kube_out *out)
{
	const struct kube_object *o = out->object, *service;
	const struct kube_node *root = kube_object_root(o);
	const struct kube_node *ports = kube_field(o, root, KUBE_PORTS);
	const struct kube_node *list = kube_field(o, root, KUBE_ENDPOINTS);
	const char *type = kube_get(o, root, KUBE_ADDRESS_TYPE);
	_cleanup_free_ struct seen *seen = calloc(MAX_PODS, sizeof(*seen));
	struct endpoints x = {.out = out, .seen = seen};

	if (!seen) {
		out->left_out++;
		return;
	}
	kube_put(out, META "namespace", kube_namespace(o));
	kube_put(out, SLICE "address_type", type);
	kube_put_meta(out, "endpointslice", o);
	service = put_service(out, kube_slice_service(o));
	kube_put_namespace(out, kube_namespace(o));
	out->shared = false;
	if (is_second_family(service, type))
		return;
	for (const struct kube_node *e = kube_first(o, list); e; e = kube_next(o, e)) {
		const struct kube_node *addresses = kube_field(o, e, KUBE_ADDRESSES);

		for (const struct kube_node *p = kube_first(o, ports); p; p = kube_next(o, p)) {
			for (const struct kube_node *a = kube_first(o, addresses); a;
			     a = kube_next(o, a))
				slice_target(&x, e, p, kube_text(o, a));
		}
	}
	put_other_ports(&x);
}
