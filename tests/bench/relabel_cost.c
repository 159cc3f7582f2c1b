/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to relabel a cluster: discovery.relabel in a graph gets 5,000 targets with 35
 * labels each, as the pod role of Kubernetes makes them, and ten rules. Timed is everything from
 * the new list until the output is there. Then rules that explode in other engines, and one that
 * is over its budget. Usage: relabel_cost [ROUNDS]; prints lines of: what, milliseconds, MiB at the
 * peak, MiB kept, targets left, health.
 */
#include <malloc.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "agent/base/buf.h"
#include "agent/base/log.h"
#include "agent/components/discovery_relabel.h"
#include "agent/components/registry.h"
#include "agent/components/targets_value.h"
#include "agent/config/graph.h"

#define TARGETS 5000
#define P	"__meta_kubernetes_"

static const char cluster[] =
	"rule {\n source_labels = [\"" P "pod_phase\"]\n regex = \"Pending|Running\"\n"
	" action = \"keep\"\n}\n"
	"rule {\n source_labels = [\"" P "pod_container_init\"]\n regex = \"true\"\n"
	" action = \"drop\"\n}\n"
	"rule {\n action = \"labelmap\"\n regex = \"" P "pod_label_(.+)\"\n}\n"
	"rule {\n source_labels = [\"" P "namespace\"]\n target_label = \"namespace\"\n}\n"
	"rule {\n source_labels = [\"" P "pod_name\"]\n target_label = \"pod\"\n}\n"
	"rule {\n source_labels = [\"" P "pod_container_name\"]\n target_label = \"container\"\n}\n"
	"rule {\n source_labels = [\"" P "namespace\", \"" P "pod_container_name\"]\n"
	" separator = \"/\"\n target_label = \"service_name\"\n}\n"
	"rule {\n source_labels = [\"__address__\", \"" P "pod_annotation_port\"]\n"
	" regex = \"(.+?)(?::\\\\d+)?;(\\\\d+)\"\n replacement = \"$1:$2\"\n"
	" target_label = \"__address__\"\n}\n"
	"rule {\n source_labels = [\"" P "pod_controller_name\"]\n"
	" regex = \"([a-z-]+)-[0-9a-f]{8,10}\"\n target_label = \"workload\"\n}\n"
	"rule {\n action = \"labeldrop\"\n regex = \"pod_template_hash|.*_revision_hash\"\n}\n";

static const char explosive[] =
	"rule {\n source_labels = [\"x\"]\n regex = \"(x+x+)+y\"\n target_label = \"a\"\n}\n"
	"rule {\n source_labels = [\"x\"]\n regex = \"((((x*)*)*)*)*y\"\n target_label = \"b\"\n}\n"
	"rule {\n source_labels = [\"x\"]\n regex = \"(x|xx|x+)*(.*)*y\"\n target_label = "
	"\"c\"\n}\n";

static const char wide[] = "rule {\n source_labels = [\"x\"]\n regex = \"(.*x.*x){500}y\"\n"
			   " target_label = \"a\"\n}\n";

static int source_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", value_array(&none));
	return c->exports ? 0 : -1;
}

static const struct schema nothing = {.size = 1};
static const struct component_type source_type = {.name = "bench.source",
						  .schema = &nothing,
						  .size = sizeof(struct component),
						  .init = source_init};

static void put(struct value_list *one, const char *name, const char *fmt, ...) _printf_(3, 4);
static void put(struct value_list *one, const char *name, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	targets_value_put(one, name, text);
}

/* 35 labels. `round` makes the list differ from the last one. */
static void pod(struct value_list *one, unsigned int i, unsigned int round)
{
	static const char *const labels[] = {"app_kubernetes_io_name",
					     "app_kubernetes_io_version",
					     "app_kubernetes_io_part_of",
					     "team",
					     "tier",
					     "pod_template_hash"};
	static const char *const annotations[] = {"checksum_config", "prometheus_io_scrape",
						  "kubectl_kubernetes_io_default_container"};
	unsigned int app = i / 10;
	char name[128];

	put(one, "__address__", "10.%u.%u.%u:8080", i >> 16, i >> 8 & 255, i & 255);
	put(one, P "namespace", "team-%u", app % 40);
	put(one, P "pod_name", "service-%u-7d4b9c6f%02x-x2%03u", app, app & 255, i % 1000);
	put(one, P "pod_ip", "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
	put(one, P "pod_ready", "true");
	put(one, P "pod_phase", "Running");
	put(one, P "pod_node_name", "node-%u.cluster.internal", i % 100);
	put(one, P "pod_host_ip", "192.168.1.%u", i % 100);
	put(one, P "pod_uid", "6b1f0e52-3c1d-4a57-9d3e-%012u", i * 7 + round);
	put(one, P "pod_controller_kind", "ReplicaSet");
	put(one, P "pod_controller_name", "service-7d4b9c6f%02x", app & 255);
	put(one, P "pod_container_name", "service-%u", app);
	put(one, P "pod_container_id", "containerd://%064u", i);
	put(one, P "pod_container_image", "registry.internal/team/service-%u:v1.%u", app, app % 9);
	put(one, P "pod_container_init", "false");
	put(one, P "pod_container_port_name", "http");
	put(one, P "pod_container_port_number", "8080");
	for (size_t k = 0; k < ARRAY_SIZE(labels); k++) {
		(void)snprintf(name, sizeof(name), P "pod_label_%s", labels[k]);
		put(one, name, "value-%u", app);
		(void)snprintf(name, sizeof(name), P "pod_labelpresent_%s", labels[k]);
		put(one, name, "true");
	}
	for (size_t k = 0; k < ARRAY_SIZE(annotations); k++) {
		(void)snprintf(name, sizeof(name), P "pod_annotation_%s", annotations[k]);
		put(one, name, "%064x", app);
		(void)snprintf(name, sizeof(name), P "pod_annotationpresent_%s", annotations[k]);
		put(one, name, "true");
	}
}

static struct value *list(unsigned int round, bool pods)
{
	struct value_list all = {0};

	for (unsigned int i = 0; i < TARGETS; i++) {
		struct value_list one = {0};

		if (pods)
			pod(&one, i, round);
		else
			put(&one, "x", "%0*u%s", 3, round,
			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		targets_value_add(&all, &one);
	}
	return targets_value_array(&all);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t resident_kib(const char *key)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)))
			return (size_t)atoll(line + strlen(key));
	}
	return 0;
}

static void forget_peak(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/clear_refs", "we");

	if (f)
		(void)fputs("5", f);
}

static struct graph *load(struct component_env *env, const char *rules)
{
	static const struct component_type *types[100];
	const struct component_type *const *known = component_registry(&env->n_types);
	_cleanup_buf_ struct buf text = BUF_INIT(100000);
	struct diag_list d = {0};
	struct graph *g = NULL;

	memcpy(types, known, env->n_types * sizeof(known[0]));
	types[env->n_types++] = &source_type;
	env->types = types;
	buf_printf(&text,
		   "bench.source \"s\" {}\ndiscovery.relabel \"r\" {\n"
		   "targets = bench.source.s.targets\n%s}\n",
		   rules);
	if (graph_load_text("bench", (const char *)text.data, text.len, env, &d, &g) < 0 ||
	    !graph_ok(g)) {
		diag_print(&d, stderr, false, 5);
		exit(1);
	}
	diag_done(&d);
	return g;
}

/* From a new list to the output, in a graph of its own: one that has just worked takes a rest. */
static void measure(struct component_env *env, const char *what, const char *rules, bool pods)
{
	struct graph *g = load(env, rules);
	struct component *source = graph_next(g, &source_type, NULL);
	const struct component *c = graph_next(g, &discovery_relabel_type, NULL);
	struct value *v = targets_value_exports("targets", list(1, pods));
	size_t before, used;
	double start;

	if (!v || graph_start(g) < 0)
		exit(1);
	(void)malloc_trim(0);
	forget_peak();
	before = resident_kib("VmRSS:");
	used = mallinfo2().uordblks + mallinfo2().hblkhd;
	start = now_ms();
	component_export(source, v);
	(void)loop_once(env->loop, 1000);
	start = now_ms() - start;
	printf("%s %.1f %.1f %.1f %zu %s\n", what, start,
	       (double)(resident_kib("VmHWM:") - before) / 1024,
	       (double)(mallinfo2().uordblks + mallinfo2().hblkhd - used) / 1048576,
	       value_get(c->exports, "output")->n_items,
	       c->health == HEALTH_UNHEALTHY ? "unhealthy" : "healthy");
	graph_stop(g);
	graph_free(g);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? (unsigned int)atoi(argv[1]) : 5;
	struct component_env env = {0};

	log_set_level(LOG_LEVEL_ERROR);
	if (loop_new(&env.loop) < 0)
		return 1;
	for (unsigned int i = 0; i < rounds; i++) {
		measure(&env, "cluster", cluster, true);
		measure(&env, "explosive", explosive, false);
		measure(&env, "wide", wide, false);
	}
	loop_free(env.loop);
	return 0;
}
