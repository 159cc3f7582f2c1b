/* SPDX-License-Identifier: Apache-2.0 */
/* Labels that roles share, and the roles node, service and ingress. */
#include <string.h>

#include "discovery/kubernetes/view_internal.h"

void kube_put(struct kube_out *out, const char *label, const char *value)
{
	out->sink->label(out->sink->data, out->shared, label, NULL, value);
}

static void put_map(struct kube_out *out, const char *resource, const char *what,
		    const struct kube_object *o, const struct kube_node *map)
{
	char label[128], present[128];

	(void)snprintf(label, sizeof(label), META "%s_%s_", resource, what);
	(void)snprintf(present, sizeof(present), META "%s_%spresent_", resource, what);
	for (const struct kube_node *n = kube_first(o, map); n; n = kube_next(o, n)) {
		const char *name = kube_entry_name(o, n);

		out->sink->label(out->sink->data, out->shared, label, name, kube_text(o, n));
		out->sink->label(out->sink->data, out->shared, present, name, "true");
	}
}

void kube_put_maps(struct kube_out *out, const char *resource, const struct kube_object *o)
{
	const struct kube_node *meta = kube_field(o, kube_object_root(o), KUBE_METADATA);

	put_map(out, resource, "label", o, kube_field(o, meta, KUBE_LABELS));
	put_map(out, resource, "annotation", o, kube_field(o, meta, KUBE_ANNOTATIONS));
}

void kube_put_meta(struct kube_out *out, const char *resource, const struct kube_object *o)
{
	char label[128];

	(void)snprintf(label, sizeof(label), META "%s_name", resource);
	kube_put(out, label, kube_name(o));
	kube_put_maps(out, resource, o);
}

void kube_put_namespace(struct kube_out *out, const char *name)
{
	const struct kube_entry *e;

	if (!out->view->attach_namespace)
		return;
	e = kube_store_find(&out->view->stores[KUBE_NAMESPACE_OBJECT], "", name);
	if (e)
		kube_put_maps(out, "namespace", e->object);
}

void kube_put_node(struct kube_out *out, const char *name)
{
	const struct kube_entry *e;

	if (!out->view->attach_node)
		return;
	e = kube_store_find(&out->view->stores[KUBE_NODE], "", name);
	if (e)
		kube_put_meta(out, "node", e->object);
}

void kube_put_address(struct kube_out *out, const char *host, const char *port)
{
	char text[512];

	/* As Go's net.JoinHostPort(). */
	(void)snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	kube_put(out, "__address__", text);
}

bool kube_out_room(struct kube_out *out)
{
	if (out->n < KUBE_VIEW_MAX_TARGETS)
		return true;
	out->left_out++;
	return false;
}

void kube_out_target(struct kube_out *out)
{
	out->n++;
	out->sink->target(out->sink->data);
}

static void lower(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + ('a' - 'A') : from[i]);
	to[i] = '\0';
}

/* The first address of that type; NULL when there is none. */
static const char *node_address(const struct kube_object *o, const struct kube_node *list,
				const char *type)
{
	for (const struct kube_node *a = kube_first(o, list); a; a = kube_next(o, a)) {
		if (!strcmp(kube_get(o, a, KUBE_TYPE), type))
			return kube_get(o, a, KUBE_ADDRESS);
	}
	return NULL;
}

static void build_node(struct kube_out *out)
{
	static const char *const types[] = {"InternalIP",  "InternalDNS",  "ExternalIP",
					    "ExternalDNS", "LegacyHostIP", "Hostname"};
	const struct kube_object *o = out->object;
	const struct kube_node *root = kube_object_root(o);
	const struct kube_node *status = kube_field(o, root, KUBE_STATUS);
	const struct kube_node *list = kube_field(o, status, KUBE_ADDRESSES);
	const struct kube_node *daemons = kube_field(o, status, KUBE_DAEMON_ENDPOINTS);
	const char *address = NULL, *port;
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(types) && !address; i++)
		address = node_address(o, list, types[i]);
	if (!address)
		return;
	kube_put(out, META "node_provider_id",
		 kube_get(o, kube_field(o, root, KUBE_SPEC), KUBE_PROVIDER_ID));
	for (const struct kube_node *c = kube_first(o, kube_field(o, status, KUBE_CONDITIONS)); c;
	     c = kube_next(o, c)) {
		char type[256];

		lower(type, sizeof(type), kube_get(o, c, KUBE_TYPE));
		lower(text, sizeof(text), kube_get(o, c, KUBE_STATUS));
		out->sink->label(out->sink->data, true, META "node_condition_", type, text);
	}
	kube_put_meta(out, "node", o);
	out->shared = false;
	port = kube_get(o, kube_field(o, daemons, KUBE_KUBELET_ENDPOINT), KUBE_PORT_UPPER);
	kube_put_address(out, address, *port ? port : "0");
	kube_put(out, "instance", kube_name(o));
	/* The first one of each type; the sink keeps the last label of a name. */
	for (const struct kube_node *a = kube_first(o, list); a; a = kube_next(o, a)) {
		const char *type = kube_get(o, a, KUBE_TYPE);

		out->sink->label(out->sink->data, false, META "node_address_", type,
				 node_address(o, list, type));
	}
	kube_out_target(out);
}

static void put_balancer(struct kube_out *out, const struct kube_node *spec)
{
	const struct kube_object *o = out->object;
	const struct kube_node *status = kube_field(o, kube_object_root(o), KUBE_STATUS);
	const struct kube_node *balancer = kube_field(o, status, KUBE_LOAD_BALANCER);
	char text[1024] = "";
	size_t len = 0;

	for (const struct kube_node *i = kube_first(o, kube_field(o, balancer, KUBE_INGRESS)); i;
	     i = kube_next(o, i)) {
		const char *ip = kube_get(o, i, KUBE_IP);

		if (*ip && len + strlen(ip) + 2 < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						len ? "," : "", ip);
	}
	kube_put(out, META "service_loadbalancer_ip",
		 len ? text : kube_get(o, spec, KUBE_LOAD_BALANCER_IP));
}

static void build_service(struct kube_out *out)
{
	const struct kube_object *o = out->object;
	const struct kube_node *spec = kube_field(o, kube_object_root(o), KUBE_SPEC);
	const char *type = kube_get(o, spec, KUBE_TYPE), *namespace = kube_namespace(o);
	char host[512];

	kube_put(out, META "namespace", namespace);
	kube_put_meta(out, "service", o);
	kube_put_namespace(out, namespace);
	out->shared = false;
	(void)snprintf(host, sizeof(host), "%s.%s.svc", kube_name(o), namespace);
	for (const struct kube_node *p = kube_first(o, kube_field(o, spec, KUBE_PORTS)); p;
	     p = kube_next(o, p)) {
		const char *port = kube_get(o, p, KUBE_PORT);

		if (!kube_out_room(out))
			continue;
		kube_put_address(out, host, port);
		kube_put(out, META "service_port_name", kube_get(o, p, KUBE_NAME));
		kube_put(out, META "service_port_number", port);
		kube_put(out, META "service_port_protocol", kube_get(o, p, KUBE_PROTOCOL));
		kube_put(out, META "service_type", type);
		if (!strcmp(type, "ExternalName"))
			kube_put(out, META "service_external_name",
				 kube_get(o, spec, KUBE_EXTERNAL_NAME));
		else
			kube_put(out, META "service_cluster_ip",
				 kube_get(o, spec, KUBE_CLUSTER_IP));
		if (!strcmp(type, "LoadBalancer"))
			put_balancer(out, spec);
		kube_out_target(out);
	}
}

/* "*.a.b" stands for exactly one more part. */
static bool host_matches(const char *pattern, const char *host)
{
	const char *rest;

	if (!strcmp(pattern, host))
		return true;
	if (strncmp(pattern, "*.", 2) != 0)
		return !strcmp(pattern, "*") && !strchr(host, '.');
	rest = strchr(host, '.');
	return rest && !strcmp(pattern + 1, rest);
}

static bool has_tls(const struct kube_object *o, const struct kube_node *spec, const char *host)
{
	for (const struct kube_node *t = kube_first(o, kube_field(o, spec, KUBE_TLS)); t;
	     t = kube_next(o, t)) {
		const struct kube_node *hosts = kube_field(o, t, KUBE_HOSTS);

		for (const struct kube_node *h = kube_first(o, hosts); h; h = kube_next(o, h)) {
			if (host_matches(kube_text(o, h), host))
				return true;
		}
	}
	return false;
}

static void ingress_target(struct kube_out *out, const char *host, const char *scheme,
			   const char *path)
{
	if (!kube_out_room(out))
		return;
	kube_put(out, "__address__", host);
	kube_put(out, META "ingress_scheme", scheme);
	kube_put(out, META "ingress_host", host);
	kube_put(out, META "ingress_path", *path ? path : "/");
	kube_out_target(out);
}

static void build_ingress(struct kube_out *out)
{
	const struct kube_object *o = out->object;
	const struct kube_node *spec = kube_field(o, kube_object_root(o), KUBE_SPEC);

	kube_put(out, META "namespace", kube_namespace(o));
	kube_put(out, META "ingress_class_name", kube_get(o, spec, KUBE_INGRESS_CLASS_NAME));
	kube_put_meta(out, "ingress", o);
	kube_put_namespace(out, kube_namespace(o));
	out->shared = false;
	for (const struct kube_node *r = kube_first(o, kube_field(o, spec, KUBE_RULES)); r;
	     r = kube_next(o, r)) {
		const char *host = kube_get(o, r, KUBE_HOST);
		const char *scheme = has_tls(o, spec, host) ? "https" : "http";
		const struct kube_node *http = kube_field(o, r, KUBE_HTTP);

		if (!http)
			ingress_target(out, host, scheme, "/");
		for (const struct kube_node *p = kube_first(o, kube_field(o, http, KUBE_PATHS)); p;
		     p = kube_next(o, p))
			ingress_target(out, host, scheme, kube_get(o, p, KUBE_PATH));
	}
}

size_t kube_view_build(const struct kube_view *v, const struct kube_entry *e,
		       const struct kube_sink *sink)
{
	struct kube_out out = {.view = v, .sink = sink, .object = e->object, .shared = true};

	switch (v->role) {
	case KUBE_ROLE_POD:
		kube_build_pod(&out);
		break;
	case KUBE_ROLE_NODE:
		build_node(&out);
		break;
	case KUBE_ROLE_SERVICE:
		build_service(&out);
		break;
	case KUBE_ROLE_ENDPOINTS:
		kube_build_endpoints(&out);
		break;
	case KUBE_ROLE_ENDPOINTSLICE:
		kube_build_endpointslice(&out);
		break;
	case KUBE_ROLE_INGRESS:
		build_ingress(&out);
		break;
	}
	return out.left_out;
}
