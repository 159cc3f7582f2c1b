/* SPDX-License-Identifier: Apache-2.0 */
/* Targets by process and container, service names, and discovery.process on the real /proc. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/log.h"
#include "agent/components/pyroscope_ebpf.h"
#include "agent/components/registry.h"
#include "agent/components/targets_value.h"
#include "agent/config/graph.h"
#include "agent/metrics.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct loop *loop;

static struct graph *load(const char *text, struct component_env *env)
{
	struct diag_list d = {0};
	struct graph *g;

	*env = (struct component_env){.loop = loop};
	env->types = component_registry(&env->n_types);
	assert_int_equal(graph_load_text("t", text, strlen(text), env, &d, &g), 0);
	if (!graph_ok(g)) {
		diag_print(&d, stderr, false, 5);
		fail();
	}
	diag_done(&d);
	return g;
}

static struct ebpf_component *profiler(const struct graph *g)
{
	return (struct ebpf_component *)graph_next(g, &pyroscope_ebpf_type, NULL);
}

static const char *label(const struct ebpf_component *c, uint32_t pid, const char *container,
			 const char *name)
{
	const struct target *t = ebpf_target(c, pid, 0, container);

	return t ? targets_value_get(t->labels, name) : NULL;
}

static void a_target_is_found_by_process_before_container(void **state)
{
	struct component_env env;
	struct graph *g = load(
		"pyroscope.ebpf \"e\" {\n forward_to = []\n targets = [\n"
		"{\"__process_pid__\" = 10, n = \"pid\"},\n"
		"{\"__process_pid__\" = \"11\", n = \"old\"},\n"
		"{\"__process_pid__\" = \"11\", n = \"new\"},\n"
		"{\"__container_id__\" = \"c1\", n = \"id\"},\n"
		"{\"__meta_kubernetes_pod_container_id\" = \"containerd://c2\", n = \"k8s\"},\n"
		"{\"__meta_kubernetes_pod_container_id\" = \"other://c3\", n = \"x\"},\n"
		"{\"__meta_docker_container_id\" = \"c4\", n = \"docker\"},\n"
		"{\"__process_pid__\" = \"0\", \"__container_id__\" = \"c5\", n = \"zero\"},\n"
		"{\"__process_pid__\" = \"12x\", n = \"bad\"},\n"
		"{n = \"neither\"},\n]\n}",
		&env);
	const struct ebpf_component *c = profiler(g);

	assert_string_equal(label(c, 10, "c1", "n"), "pid");
	assert_string_equal(label(c, 11, NULL, "n"), "new");
	assert_string_equal(label(c, 99, "c1", "n"), "id");
	assert_string_equal(label(c, 99, "c2", "n"), "k8s");
	assert_null(ebpf_target(c, 99, 0, "c3"));
	assert_string_equal(label(c, 99, "c4", "n"), "docker");
	assert_string_equal(label(c, 99, "c5", "n"), "zero");
	assert_null(ebpf_target(c, 12, 0, ""));
	assert_null(ebpf_target(c, 0, 0, NULL));
	assert_int_equal(c->targets.unusable, 3);
	graph_free(g);
}

static void without_targets_only_services_have_names(void **state)
{
	struct component_env env;
	struct graph *g = load("pyroscope.ebpf \"e\" {\n forward_to = []\n targets_only = false\n"
			       "targets = [{\"__process_pid__\" = 10, service_name = \"ten\"}]\n}",
			       &env);
	_cleanup_labels_ struct label_set a = {0}, b = {0}, none = {0};

	assert_int_equal(ebpf_labels(ebpf_target(profiler(g), 10, 0, NULL), "", "", &a), 0);
	assert_null(ebpf_target(profiler(g), 11, 0, "c"));
	assert_int_equal(ebpf_labels(NULL, "nginx", "", &b), 0);
	assert_int_equal(ebpf_labels(NULL, "", "c", &none), 0);
	assert_string_equal(label_set_get(&a, "service_name"), "ten");
	assert_string_equal(label_set_get(&b, "service_name"), "nginx");
	assert_string_equal(label_set_get(&b, "otel.scope.name"),
			    "com.grafana.alloy/pyroscope.ebpf");
	assert_null(label_set_get(&b, "__container_id__"));
	assert_string_equal(label_set_get(&none, "service_name"), "ebpf/unspecified");
	assert_string_equal(label_set_get(&none, "__container_id__"), "c");
	graph_free(g);
}

static const struct {
	const char *labels, *want;
} names[] = {
	{"service_name = \"own\", \"__meta_docker_container_name\" = \"/d\"", "own"},
	{"\"__meta_kubernetes_pod_annotation_pyroscope_io_service_name\" = \"note\","
	 "\"__meta_kubernetes_namespace\" = \"ns\", \"__meta_kubernetes_pod_container_name\" = "
	 "\"c\"",
	 "note"},
	{"\"__meta_kubernetes_namespace\" = \"ns\", \"__meta_kubernetes_pod_container_name\" = "
	 "\"c\"",
	 "ebpf/ns/c"},
	{"\"__meta_kubernetes_namespace\" = \"ns\", \"__meta_docker_container_name\" = \"/d\"",
	 "/d"},
	{"\"__meta_dockerswarm_container_label_service_name\" = \"label\"", "label"},
	{"\"__meta_dockerswarm_service_name\" = \"swarm\"", "swarm"},
	{"service_name = \"\", other = \"x\"", "unspecified"},
};

static void the_service_name_comes_from_the_first_label_that_has_one(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_labels_ struct label_set set = {0};
		struct component_env env;
		struct graph *g;
		char text[1024];

		(void)snprintf(
			text, sizeof(text),
			"pyroscope.ebpf \"e\" { forward_to = []\n targets = [{\"__process_pid__\""
			" = 1, \"__name__\" = \"mine\", extra = 5, %s}]\n}",
			names[i].labels);
		g = load(text, &env);
		assert_int_equal(ebpf_labels(ebpf_target(profiler(g), 1, 0, NULL), "", "", &set),
				 0);
		assert_string_equal(label_set_get(&set, "service_name"), names[i].want);
		assert_string_equal(label_set_get(&set, "__name__"), "process_cpu");
		assert_string_equal(label_set_get(&set, "extra"), "5");
		for (size_t k = 0; k < set.n; k++)
			assert_true(strncmp(set.v[k].name, "__", 2) != 0 ||
				    !strcmp(set.v[k].name, "__name__") ||
				    !strcmp(set.v[k].name, "__process_pid__"));
		graph_free(g);
	}
}

static const char *const shown_lines[] = {
	"pyroscope_ebpf_active_targets 2\n",
	"pyroscope_ebpf_pprofs_total{service_name=\"busy\"} 2\n",
	"pyroscope_ebpf_pprof_bytes_total{service_name=\"busy\"} 8\n",
	"pyroscope_ebpf_pprof_samples_total{service_name=\"busy\"} 77\n",
	"pyroscope_ebpf_pprofs_dropped_total 0\n",
	"pyroscope_ebpf_profiling_sessions_total 0\n",
	"pyroscope_ebpf_profiling_sessions_failing_total 0\n",
	"pyroscope_forwarded_entries_total 0\n",
	"pyroscope_fanout_latency_bucket{le=\"+Inf\"} 2\n",
	"pyroscope_fanout_latency_count 2\n",
};

static void what_a_target_brought_is_shown(void **state)
{
	struct component_env env;
	struct graph *g = load("pyroscope.ebpf \"e\" {\n forward_to = []\n targets = [\n"
			       "{\"__process_pid__\" = 10, service_name = \"idle\"},\n"
			       "{\"__container_id__\" = \"c1\", service_name = \"busy\"},\n"
			       "{service_name = \"neither\"},\n]\n}",
			       &env);
	struct ebpf_component *c = profiler(g);
	struct target *t = ebpf_target(c, 99, 0, "c1");
	_cleanup_labels_ struct label_set labels = {0};
	_cleanup_buf_ struct buf text = BUF_INIT(1u << 20);
	_cleanup_(metrics_freep) struct metrics *m = NULL;
	_cleanup_value_ struct value *info = NULL;
	const struct value *first;

	assert_int_equal(ebpf_labels(t, "", "", &labels), 0);
	assert_string_equal(label_set_get(&labels, "__container_id__"), "c1");
	ebpf_append(c, t, &labels, (const uint8_t *)"four", 4, 70, 1);
	ebpf_append(c, t, &labels, (const uint8_t *)"four", 4, 7, 2);
	assert_int_equal(metrics_new(&m), 0);
	pyroscope_ebpf_type.metrics(&c->base, m);
	assert_int_equal(metrics_write(m, &text), 0);
	buf_add(&text, "", 1);
	for (size_t i = 0; i < ARRAY_SIZE(shown_lines); i++) {
		if (!strstr((const char *)text.data, shown_lines[i]))
			fail_msg("no \"%s\" in:\n%s", shown_lines[i], (const char *)text.data);
	}
	info = pyroscope_ebpf_type.debug_info(&c->base);
	assert_non_null(info);
	/* Those with samples come first. */
	first = value_get(info, "targets")->items[0];
	assert_string_equal(value_get(first, "container_id")->s, "c1");
	assert_true(number_float(value_get(first, "samples")->n) == 77);
	assert_true(number_float(value_get(info, "targets_total")->n) == 2);
	assert_true(number_float(value_get(info, "targets_matched")->n) == 1);
	assert_true(number_float(value_get(info, "targets_unusable")->n) == 1);
	graph_free(g);
}

static void a_retired_target_is_found_for_two_intervals(void **state)
{
	struct component_env env;
	struct graph *g = load("pyroscope.ebpf \"e\" {\n forward_to = []\n"
			       "targets = [{\"__process_pid__\" = 10, n = \"a\"}]\n}",
			       &env);
	struct ebpf_component *c = profiler(g);
	struct targets none = {0};

	targets_replace(&c->targets, &none, &c->retired[0]);
	assert_string_equal(label(c, 10, NULL, "n"), "a");
	ebpf_next_interval(c);
	assert_string_equal(label(c, 10, NULL, "n"), "a");
	ebpf_next_interval(c);
	assert_null(ebpf_target(c, 10, 0, NULL));
	graph_free(g);
}

static void discovery_finds_this_process_and_joins_containers(void **state)
{
	struct component_env env;
	struct graph *g =
		load("discovery.process \"p\" {\n join = [{\"__container_id__\" = \"" ID_A
		     "\", name = \"box\"}, {name = \"unkeyed\"}]\n"
		     "discover_config {\n uid = true\n username = true\n cgroup_path = true\n}\n}\n"
		     "pyroscope.ebpf \"e\" { forward_to = []\n"
		     "targets = discovery.process.p.targets\n}",
		     &env);
	const struct ebpf_component *c = profiler(g);
	char exe[256], uid[24];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	assert_true(n > 0);
	exe[n] = '\0';
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)getuid());
	assert_string_equal(label(c, (uint32_t)getpid(), NULL, "__meta_process_exe"), exe);
	assert_string_equal(label(c, (uint32_t)getpid(), NULL, "__meta_process_uid"), uid);
	assert_non_null(label(c, (uint32_t)getpid(), NULL, "__meta_process_cgroup_path"));
	assert_non_null(label(c, (uint32_t)getpid(), NULL, "__meta_process_commandline"));
	assert_string_equal(label(c, 0, ID_A, "name"), "box");
	assert_int_equal(c->targets.unusable, 1);
	graph_free(g);
}

static int setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	return loop_new(&loop);
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_found_by_process_before_container),
		cmocka_unit_test(without_targets_only_services_have_names),
		cmocka_unit_test(the_service_name_comes_from_the_first_label_that_has_one),
		cmocka_unit_test(what_a_target_brought_is_shown),
		cmocka_unit_test(a_retired_target_is_found_for_two_intervals),
		cmocka_unit_test(discovery_finds_this_process_and_joins_containers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
