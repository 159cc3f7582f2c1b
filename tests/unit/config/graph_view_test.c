/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/log.h"
#include "agent/components/registry.h"
#include "agent/http/multi.h"
#include "agent/config/graph_view.h"

static const char text[] =
	"pyroscope.ebpf \"e\" {\nforward_to = [pyroscope.write.w.receiver]\n"
	"targets = discovery.process.p.targets\n}\n"
	"discovery.process \"p\" { refresh_interval = \"1h\" }\n"
	"pyroscope.write \"w\" {\nexternal_labels = {a = \"b\"}\nendpoint {\nurl = \"http://h:1\"\n"
	"basic_auth {\nusername = \"u\"\npassword = \"hunter2\"\n}\n}\n}\n";

static struct component_env env;

static struct graph *load(void)
{
	_cleanup_diag_ struct diag_list d = {0};
	struct graph *g = NULL;

	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	assert_true(graph_ok(g));
	return g;
}

static void every_component_is_seen_with_its_references(void **state)
{
	_cleanup_(graph_freep) struct graph *g = load();
	struct graph_view v;
	size_t cursor = 0, n = 0;

	while (graph_view_next(g, &cursor, &v))
		n++;
	assert_int_equal(n, 3);
	assert_true(graph_view_find(g, "pyroscope.ebpf.e", &v));
	assert_string_equal(v.name, "pyroscope.ebpf");
	assert_string_equal(v.label, "e");
	assert_string_equal(v.module, "");
	assert_string_equal(graph_view_to(&v, 0), "pyroscope.write.w");
	assert_string_equal(graph_view_to(&v, 1), "discovery.process.p");
	assert_null(graph_view_to(&v, 2));
	assert_null(graph_view_from(&v, 0));
	assert_true(graph_view_find(g, "pyroscope.write.w", &v));
	assert_string_equal(graph_view_from(&v, 0), "pyroscope.ebpf.e");
	assert_null(graph_view_from(&v, 1));
	assert_false(graph_view_find(g, "pyroscope.write.x", &v));
}

static void arguments_show_no_secret(void **state)
{
	_cleanup_(graph_freep) struct graph *g = load();
	_cleanup_value_ struct value *args = NULL, *exports = NULL, *debug = NULL;
	const struct value *endpoint, *v;
	struct graph_view view;

	assert_true(graph_view_find(g, "pyroscope.write.w", &view));
	args = graph_view_arguments(&view);
	endpoint = value_get(args, "endpoint")->items[0];
	assert_string_equal(value_get(endpoint, "url")->s, "http://h:1");
	assert_string_equal(value_get(endpoint, "remote_timeout")->s, "10s");
	assert_int_equal(value_get(endpoint, "oauth2")->kind, VALUE_NULL);
	v = value_get(value_get(endpoint, "basic_auth"), "password");
	assert_int_equal(v->kind, VALUE_CAPSULE);
	assert_ptr_equal(v->type, &capsule_secret);
	assert_string_equal(value_get(value_get(args, "external_labels"), "a")->s, "b");
	exports = graph_view_exports(&view);
	assert_ptr_equal(value_get(exports, "receiver")->type, &capsule_receiver);
	debug = graph_view_debug_info(&view);
	assert_int_equal(debug->kind, VALUE_OBJECT);
}

static void health_is_the_worst_of_all(void **state)
{
	_cleanup_(graph_freep) struct graph *g = load();
	struct graph_view v;

	assert_true(graph_view_find(g, "pyroscope.write.w", &v));
	assert_int_equal(v.health, HEALTH_UNKNOWN);
	assert_int_equal(graph_start(g), 0);
	assert_true(graph_view_find(g, "pyroscope.write.w", &v));
	assert_string_equal(health_name(v.health), "healthy");
	component_set_health((struct component *)v.component, HEALTH_UNHEALTHY, "no %s", "answer");
	assert_true(graph_view_find(g, "pyroscope.write.w", &v));
	assert_string_equal(health_name(v.health), "unhealthy");
	assert_string_equal(v.health_text, "no answer");
	assert_true(v.health_ms > 0);
}

static int setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	env.types = component_registry(&env.n_types);
	return loop_new(&env.loop) < 0 ? -1 : http_multi_new(env.loop, &env.http);
}

static int teardown(void **state)
{
	env.http = http_multi_free(env.http);
	env.loop = loop_free(env.loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_component_is_seen_with_its_references),
		cmocka_unit_test(arguments_show_no_secret),
		cmocka_unit_test(health_is_the_worst_of_all),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
