/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.kubernetes (grafana/alloy internal/component/discovery/kubernetes, 66ebea856dff, and
 * Prometheus discovery/kubernetes, d15adb9ad7e5). One reflector for each kind of object that the
 * role needs and each namespace feeds the stores of a view; what changed is made into targets in
 * steps and exported, the more seldom the more changes there are. The first list goes out as soon
 * as it is complete, and until then there is none: who uses it keeps what it has.
 */
#include "agent/components/discovery_kubernetes.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/kube_client.h"
#include "agent/components/kube_targets.h"
#include "agent/components/targets_value.h"
#include "agent/export/receiver.h"
#include "agent/kube/reflector.h"
#include "agent/metrics.h"

#define EXPORT_MIN_MS \
	200 /* from a change to its export, and twice that after each further one... */
#define EXPORT_MAX_MS \
	5000	       /* ...until changes are as far apart as Alloy exports them at all times */
#define STEP	  100  /* objects made into targets a turn of the loop */
#define MAX_NAMES 1000 /* namespaces */

struct namespaces_args {
	bool set, own_namespace;
	struct schema_strings names;
};

struct selector_args {
	bool set;
	char *role, *label, *field;
};

struct attach_args {
	bool set, node, namespace;
};

struct kubernetes_args {
	char *role;
	struct kube_client_args client;
	struct namespaces_args namespaces;
	struct schema_blocks selectors; /* struct selector_args */
	struct attach_args attach_metadata;
};

/* What is made of one set of arguments. */
struct discovery {
	struct kube_client *client;
	struct kube_view view;
	struct kube_reflector **reflectors;
	size_t n_reflectors;
	char **namespaces; /* none: all */
	size_t n_namespaces;
};

struct kubernetes_component {
	struct component base;
	struct discovery *discovery;
	struct loop_source *timer;
	uint64_t exported_ms, gap_ms; /* 0: not yet */
	uint64_t left_out, exports;
	size_t n_targets;
	bool armed;
};

#define NAMESPACES(member) offsetof(struct namespaces_args, member)
static const struct option namespaces_options[] = {
	{"own_namespace", OPTION_BOOL, "false", .offset = NAMESPACES(own_namespace),
	 .help = "the namespace that this agent runs in"},
	{"names", OPTION_STRINGS, .offset = NAMESPACES(names), .help = "empty: all namespaces"},
};

static const struct schema namespaces_schema = {
	.size = sizeof(struct namespaces_args),
	.options = namespaces_options,
	.n = ARRAY_SIZE(namespaces_options),
};

#define SELECTOR(member) offsetof(struct selector_args, member)
static const struct option selector_options[] = {
	{"role", OPTION_STRING, NULL, OPTION_REQUIRED, SELECTOR(role),
	 .help = "the kind of object it holds for"},
	{"label", OPTION_STRING, .offset = SELECTOR(label), .help = "a label selector"},
	{"field", OPTION_STRING, .offset = SELECTOR(field), .help = "spec.nodeName=..."},
};

static const struct schema selector_schema = {
	.size = sizeof(struct selector_args),
	.options = selector_options,
	.n = ARRAY_SIZE(selector_options),
};

#define ATTACH(member) offsetof(struct attach_args, member)
static const struct option attach_options[] = {
	{"node", OPTION_BOOL, "false", .offset = ATTACH(node), .help = "of the node of a pod"},
	{"namespace", OPTION_BOOL, "false", .offset = ATTACH(namespace),
	 .help = "of the namespace"},
};

static const struct schema attach_schema = {
	.size = sizeof(struct attach_args),
	.options = attach_options,
	.n = ARRAY_SIZE(attach_options),
};

#define ARGS(member) offsetof(struct kubernetes_args, member)
static const struct option kubernetes_options[] = {
	{"role", OPTION_STRING, NULL, OPTION_REQUIRED, ARGS(role), NULL,
	 "pod, node, service, endpoints, endpointslice or ingress"},
	KUBE_CLIENT_OPTIONS(struct kubernetes_args, client),
	{"namespaces", OPTION_BLOCK, .offset = ARGS(namespaces), .block = &namespaces_schema,
	 .help = "where objects are looked for"},
	{"selectors", OPTION_BLOCKS, .offset = ARGS(selectors), .block = &selector_schema,
	 .help = "which objects are asked for"},
	{"attach_metadata", OPTION_BLOCK, .offset = ARGS(attach_metadata), .block = &attach_schema,
	 .help = "more labels, of other objects"},
};

static int kubernetes_validate(const void *args, char *why, size_t size)
{
	const struct kubernetes_args *a = args;
	bool elsewhere = *a->client.api_server || *a->client.kubeconfig_file;
	enum kube_role role;

	if (kube_role_parse(a->role, &role) < 0) {
		(void)snprintf(why, size,
			       "unknown Kubernetes SD role \"%.64s\", expecting one of: pod, "
			       "service, endpoints, endpointslice, node or ingress",
			       a->role);
		return -EINVAL;
	}
	/* It is the namespace of the pod that this runs in. */
	if (a->namespaces.own_namespace && elsewhere && !a->namespaces.names.n) {
		(void)snprintf(why, size,
			       "cannot use '%s' and 'namespaces.own_namespace' simultaneously",
			       *a->client.api_server ? "api_server" : "kubeconfig_file");
		return -EINVAL;
	}
	if (a->namespaces.names.n > MAX_NAMES) {
		(void)snprintf(why, size, "more than %d namespaces: leave them out for all",
			       MAX_NAMES);
		return -EINVAL;
	}
	return http_client_validate(&a->client.http, why, size);
}

static const struct schema kubernetes_schema = {
	.size = sizeof(struct kubernetes_args),
	.options = kubernetes_options,
	.n = ARRAY_SIZE(kubernetes_options),
	.validate = kubernetes_validate,
};

/* ---- Targets ---- */

static bool is_synced(const struct discovery *d)
{
	for (size_t i = 0; i < d->n_reflectors; i++) {
		if (!kube_reflector_state(d->reflectors[i])->synced)
			return false;
	}
	return d->n_reflectors > 0;
}

static void update_health(struct kubernetes_component *c)
{
	const struct discovery *d = c->discovery;
	uint64_t left_out = c->left_out;
	const char *why = NULL;

	for (size_t i = 0; i < d->n_reflectors; i++) {
		const struct kube_reflector_state *s = kube_reflector_state(d->reflectors[i]);

		if (s->failing && !why)
			why = s->why;
		left_out += s->left_out;
	}
	if (why)
		component_set_health(&c->base, HEALTH_UNHEALTHY, "%s%s", why,
				     c->exported_ms ? "; keeping the last targets" : "");
	else if (!is_synced(d))
		component_set_health(&c->base, HEALTH_UNKNOWN, "waits for the first list");
	else if (left_out)
		component_set_health(&c->base, HEALTH_UNHEALTHY,
				     "objects or targets are left out, as there are too many or "
				     "they are too large: use selectors or namespaces");
	else
		component_set_health(&c->base, HEALTH_HEALTHY, "follows the API server");
}

static void arm(struct kubernetes_component *c)
{
	uint64_t now = clock_ms(), due = now;

	if (c->armed || !c->timer)
		return;
	if (c->exported_ms && now - c->exported_ms > 2 * EXPORT_MAX_MS)
		c->gap_ms = EXPORT_MIN_MS;
	if (c->exported_ms)
		due = MAX(now + EXPORT_MIN_MS, c->exported_ms + c->gap_ms);
	c->armed = true;
	loop_set_timer(c->timer, due > now ? due - now : 0, 0);
}

static void on_change(void *data)
{
	struct kubernetes_component *c = data;

	/* With the reflector at work: nothing is changed from here. */
	update_health(c);
	arm(c);
}

static void on_timer(void *data)
{
	struct kubernetes_component *c = data;
	struct discovery *d = c->discovery;
	struct value *targets;
	int r = 0;

	c->armed = false;
	update_health(c);
	if (!is_synced(d))
		return;
	r = kube_targets_step(&d->view, STEP, &c->left_out);
	if (r == 0) {
		c->armed = true;
		loop_set_timer(c->timer, 0, 0);
		return;
	}
	targets = r > 0 ? kube_targets_list(&d->view) : NULL;
	c->exported_ms = clock_ms();
	c->gap_ms = MIN(MAX(c->gap_ms * 2, EXPORT_MIN_MS), EXPORT_MAX_MS);
	if (!targets) {
		component_set_health(&c->base, HEALTH_UNHEALTHY,
				     "no memory for so many targets; keeping the last ones");
		arm(c);
		return;
	}
	c->n_targets = targets->n_items;
	c->exports++;
	component_export(&c->base, targets_value_exports("targets", targets));
	update_health(c);
}

/* ---- One set of arguments ---- */

static struct discovery *discovery_free(struct discovery *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n_reflectors; i++)
		kube_reflector_free(d->reflectors[i]);
	free(d->reflectors);
	for (size_t i = 0; i < d->n_namespaces; i++)
		free(d->namespaces[i]);
	free(d->namespaces);
	kube_view_done(&d->view);
	kube_client_free(d->client);
	free(d);
	return NULL;
}
DEFINE_CLEANUP(struct discovery *, discovery_free)

static int add_namespace(struct discovery *d, const char *name)
{
	for (size_t i = 0; i < d->n_namespaces; i++) {
		if (!strcmp(d->namespaces[i], name))
			return 0;
	}
	d->namespaces[d->n_namespaces] = strdup(name);
	return d->namespaces[d->n_namespaces++] ? 0 : -ENOMEM;
}

static int add_namespaces(struct discovery *d, const struct kubernetes_args *a, char *why,
			  size_t size)
{
	bool own = a->namespaces.own_namespace && !*a->client.api_server &&
		   !*a->client.kubeconfig_file;
	_cleanup_free_ char *name = NULL;
	int r = 0;

	d->namespaces = calloc(a->namespaces.names.n + 1, sizeof(*d->namespaces));
	if (!d->namespaces)
		return -ENOMEM;
	for (size_t i = 0; i < a->namespaces.names.n && r >= 0; i++)
		r = add_namespace(d, a->namespaces.names.v[i]);
	if (r >= 0 && own)
		r = kube_own_namespace(why, size, &name);
	return r >= 0 && own ? add_namespace(d, name) : r;
}

/* The selectors of a kind; what comes last holds, as in Alloy. */
static const struct selector_args *selector_of(const struct kubernetes_args *a, enum kube_kind kind)
{
	static const enum kube_kind of_role[] = {
		[KUBE_ROLE_POD] = KUBE_POD,
		[KUBE_ROLE_NODE] = KUBE_NODE,
		[KUBE_ROLE_SERVICE] = KUBE_SERVICE,
		[KUBE_ROLE_ENDPOINTS] = KUBE_ENDPOINTS_OBJECT,
		[KUBE_ROLE_ENDPOINTSLICE] = KUBE_ENDPOINTSLICE,
		[KUBE_ROLE_INGRESS] = KUBE_INGRESS_OBJECT,
	};
	const struct selector_args *v = a->selectors.v;

	for (size_t i = a->selectors.n; i > 0; i--) {
		enum kube_role role;

		if (kube_role_parse(v[i - 1].role, &role) >= 0 && of_role[role] == kind)
			return &v[i - 1];
	}
	return NULL;
}

/* Alloy takes them without a word. */
static void warn_of_useless(const struct component *base, const struct discovery *d)
{
	const struct kubernetes_args *a = base->args;
	const struct selector_args *v = a->selectors.v;
	bool remote = *a->client.api_server && !*a->client.kubeconfig_file;

	for (size_t i = 0; i < a->selectors.n; i++) {
		bool used = false;

		for (size_t k = 0; k < KUBE_KINDS && !used; k++)
			used = kube_view_needs(&d->view, k) && selector_of(a, k) == &v[i];
		if (!used)
			log_warn(
				"%s: ignoring the selectors of role \"%s\": role \"%s\" has no use "
				"for them, or others come later",
				base->id, v[i].role, a->role);
	}
	if (*a->client.api_server && *a->client.kubeconfig_file)
		log_warn("%s: ignoring api_server, as kubeconfig_file is given", base->id);
	if (!remote && kube_client_is_custom(&a->client))
		log_warn("%s: ignoring the HTTP client arguments: they belong to api_server",
			 base->id);
}

static int discovery_new(struct component *base, char *why, size_t size, struct discovery **ret)
{
	const struct kubernetes_args *a = base->args;
	_cleanup_(discovery_freep) struct discovery *d = calloc(1, sizeof(*d));
	enum kube_role role;
	int r;

	if (!d)
		return -ENOMEM;
	r = kube_role_parse(a->role, &role);
	if (r < 0)
		return r;
	kube_view_init(&d->view, role, a->attach_metadata.node, a->attach_metadata.namespace,
		       kube_targets_release);
	if (!base->env->http) {
		(void)snprintf(why, size, "there is no HTTP client");
		return -EINVAL;
	}
	r = kube_client_open(base->env->http, &a->client, why, size, &d->client);
	if (r >= 0)
		r = add_namespaces(d, a, why, size);
	if (r < 0)
		return r;
	warn_of_useless(base, d);
	*ret = TAKE_PTR(d);
	return 0;
}

static int add_reflector(struct kubernetes_component *c, enum kube_kind kind, const char *namespace)
{
	struct discovery *d = c->discovery;
	const struct selector_args *s = selector_of(c->base.args, kind);
	struct kube_reflector_options o = {
		.client = d->client,
		.kind = kind,
		.namespace = namespace,
		.label = s ? s->label : NULL,
		.field = s ? s->field : NULL,
		.store = &d->view.stores[kind],
		.on_change = on_change,
		.data = c,
	};
	int r = kube_reflector_new(&o, &d->reflectors[d->n_reflectors]);

	d->n_reflectors += r >= 0;
	return r;
}

static int discovery_start(struct kubernetes_component *c)
{
	struct discovery *d = c->discovery;
	size_t n = MAX(d->n_namespaces, 1u);
	int r = 0;

	d->reflectors = calloc(n * KUBE_KINDS, sizeof(*d->reflectors));
	if (!d->reflectors)
		return -ENOMEM;
	for (size_t kind = 0; kind < KUBE_KINDS; kind++) {
		bool whole = kind == KUBE_NODE || kind == KUBE_NAMESPACE_OBJECT || !d->n_namespaces;

		if (!kube_view_needs(&d->view, kind))
			continue;
		for (size_t i = 0; i < (whole ? 1 : n) && r >= 0; i++)
			r = add_reflector(c, kind, whole ? NULL : d->namespaces[i]);
	}
	return r;
}

static int kubernetes_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", targets_value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

static int kubernetes_build(struct component *base, char *why, size_t size)
{
	struct kubernetes_component *c = (struct kubernetes_component *)base;

	return discovery_new(base, why, size, &c->discovery);
}

static int kubernetes_start(struct component *base, char *why, size_t size)
{
	struct kubernetes_component *c = (struct kubernetes_component *)base;

	c->timer = loop_add_timer(base->env->loop, on_timer, c);
	if (!c->timer)
		return -ENOMEM;
	update_health(c);
	return discovery_start(c);
}

static int kubernetes_update(struct component *base, const void *old, char *why, size_t size)
{
	struct kubernetes_component *c = (struct kubernetes_component *)base;
	struct discovery *d = NULL;
	int r = discovery_new(base, why, size, &d);

	if (r < 0)
		return r;
	discovery_free(c->discovery);
	c->discovery = d;
	c->left_out = 0;
	if (!c->timer)
		return 0;
	/* The last targets stay until the new lists are complete. */
	c->armed = false;
	loop_stop_timer(c->timer);
	c->exported_ms = 0;
	return discovery_start(c);
}

static void kubernetes_stop(struct component *base)
{
	struct kubernetes_component *c = (struct kubernetes_component *)base;
	struct discovery *d = c->discovery;

	c->timer = loop_remove(c->timer);
	c->armed = false;
	for (size_t i = 0; i < d->n_reflectors; i++)
		kube_reflector_free(d->reflectors[i]);
	d->n_reflectors = 0;
	free(d->reflectors);
	d->reflectors = NULL;
}

static void kubernetes_done(struct component *base)
{
	struct kubernetes_component *c = (struct kubernetes_component *)base;

	c->discovery = discovery_free(c->discovery);
}

/* ---- What it shows ---- */

static const struct metric_family events_total = {"prometheus_sd_kubernetes_events_total",
						  "The number of Kubernetes events handled.",
						  METRIC_COUNTER};
static const struct metric_family failures_total = {"prometheus_sd_kubernetes_failures_total",
						    "The number of failed WATCH/LIST requests.",
						    METRIC_COUNTER};
static const struct metric_family targets_gauge = {
	"prometheus_sd_discovered_targets", "Current number of discovered targets.", METRIC_GAUGE};

static void add_events(struct metrics *m, const char *role, const char *event, uint64_t n)
{
	const struct label l[] = {{"event", (char *)event}, {"role", (char *)role}};

	metrics_add(m, &events_total, l, ARRAY_SIZE(l), (double)n);
}

static void kubernetes_metrics(const struct component *base, struct metrics *m)
{
	/* As Prometheus names the kinds here; several namespaces are one. */
	static const char *const roles[KUBE_KINDS] = {
		[KUBE_POD] = "pod",
		[KUBE_NODE] = "node",
		[KUBE_NAMESPACE_OBJECT] = "namespace",
		[KUBE_SERVICE] = "service",
		[KUBE_ENDPOINTS_OBJECT] = "endpoints",
		[KUBE_ENDPOINTSLICE] = "endpointslice",
		[KUBE_INGRESS_OBJECT] = "ingress",
	};
	const struct kubernetes_component *c = (const struct kubernetes_component *)base;
	const struct discovery *d = c->discovery;
	uint64_t failures = 0;

	for (size_t kind = 0; d && kind < KUBE_KINDS; kind++) {
		uint64_t added = 0, modified = 0, deleted = 0;

		if (!kube_view_needs(&d->view, kind))
			continue;
		for (size_t i = 0; i < d->n_reflectors; i++) {
			const struct kube_reflector_state *s =
				kube_reflector_state(d->reflectors[i]);

			if (kube_reflector_kind(d->reflectors[i]) != kind)
				continue;
			added += s->added;
			modified += s->modified;
			deleted += s->deleted;
			failures += s->failures;
		}
		add_events(m, roles[kind], "add", added);
		add_events(m, roles[kind], "update", modified);
		add_events(m, roles[kind], "delete", deleted);
	}
	metrics_add(m, &failures_total, NULL, 0, (double)failures);
	metrics_add(m, &targets_gauge, NULL, 0, (double)c->n_targets);
}

static struct value *reflector_info(const struct discovery *d, const struct kube_reflector *r)
{
	const struct kube_reflector_state *s = kube_reflector_state(r);
	enum kube_kind kind = kube_reflector_kind(r);
	struct value_list l = {0};

	value_list_add(&l, "resource", value_cstr(kube_kind_resource(kind)));
	value_list_add(&l, "objects", value_int((int64_t)d->view.stores[kind].n));
	value_list_add(&l, "bytes", value_int((int64_t)d->view.stores[kind].bytes));
	value_list_add(&l, "synced", value_bool(s->synced));
	value_list_add(&l, "error", value_cstr(s->why));
	value_list_add(&l, "lists", value_int((int64_t)s->lists));
	value_list_add(&l, "watches", value_int((int64_t)s->watches));
	value_list_add(&l, "failures", value_int((int64_t)s->failures));
	value_list_add(&l, "left_out", value_int((int64_t)s->left_out));
	value_list_add(
		&l, "seconds_since_contact",
		value_int(s->contact_ms ? (int64_t)(clock_ms() - s->contact_ms) / 1000 : -1));
	return value_object(&l);
}

static struct value *kubernetes_debug_info(const struct component *base)
{
	const struct kubernetes_component *c = (const struct kubernetes_component *)base;
	const struct discovery *d = c->discovery;
	struct value_list l = {0}, reflectors = {0};

	for (size_t i = 0; d && i < d->n_reflectors; i++)
		value_list_add(&reflectors, NULL, reflector_info(d, d->reflectors[i]));
	value_list_add(&l, "api_server", value_cstr(d ? d->client->server : ""));
	value_list_add(&l, "watched", value_array(&reflectors));
	value_list_add(&l, "targets", value_int((int64_t)c->n_targets));
	value_list_add(&l, "exports", value_int((int64_t)c->exports));
	return value_object(&l);
}

const struct component_type discovery_kubernetes_type = {
	.name = "discovery.kubernetes",
	.help = "objects of a Kubernetes cluster, followed as they change",
	.schema = &kubernetes_schema,
	.size = sizeof(struct kubernetes_component),
	.init = kubernetes_init,
	.build = kubernetes_build,
	.update = kubernetes_update,
	.start = kubernetes_start,
	.stop = kubernetes_stop,
	.done = kubernetes_done,
	.metrics = kubernetes_metrics,
	.debug_info = kubernetes_debug_info,
};
