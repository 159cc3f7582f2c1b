/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of running components when the text changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "tests/unit/config/part.h"

static void what_cannot_be_planned_changes_nothing(void **state)
{
	static const char *const broken[] = {
		PART("a", "text = \"2\"") "oops",		 /* does not parse */
		PART("a", "text = \"2\"") "test.nope \"x\" { }", /* unknown component */
		PART("a", "text = test.part.z.text"),		 /* missing reference */
		PART("a", "text = test.part.b.text") PART("b", "text = test.part.a.text"),
		PART("a", "text = \"2\"") PART("a", ""), /* twice */
		"test.part { }",
	};
	_cleanup_(graph_freep) struct graph *g =
		part_running(PART("a", "text = \"1\"") SINK("s", ""));

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		assert_string_not_equal(part_reload(g, broken[i]), "");
		part_expect("");
		assert_int_equal(part_health(g, "test.part.a"), HEALTH_HEALTHY);
		assert_int_equal(part_health(g, "test.sink.s"), HEALTH_HEALTHY);
	}
	assert_string_equal(part_reload(g, PART("a", "text = \"1\"") SINK("s", "")), "");
	part_expect("");
}

static void unchanged_arguments_are_not_touched(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		part_running(PART("a", "text = \"1\"") PART("b", "text = test.part.a.text"));

	assert_string_equal(part_reload(g, "// moved\n\n" PART("b", "text = test.part.a.text")
						   PART("a", "text = \"\" + \"1\"")),
			    "");
	part_expect("");
}

static void what_changed_is_updated_with_its_dependants(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		part_running(PART("a", "text = \"1\"") PART("b", "text = test.part.a.text"));

	assert_string_equal(
		part_reload(g, PART("a", "text = \"2\"") PART("b", "text = test.part.a.text")), "");
	part_expect("update part.a, update part.b");
}

static void what_is_new_is_built_and_started_in_order(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", ""));

	assert_string_equal(
		part_reload(g, PART("b", "text = test.part.a.text") PART("a", "") SINK("s", "")),
		"");
	part_expect("build part.a, build part.b, start part.a, start part.b");
	assert_int_equal(part_health(g, "test.part.b"), HEALTH_HEALTHY);
}

static void what_is_gone_hands_over_to_receivers_that_are_gone_too(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(part_reload(g, ""), "");
	part_expect("stop part.p, profile sink.s, done part.p, stop sink.s, done sink.s");
}

static void the_removed_ends_before_the_added_starts(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(part_reload(g, SINK("s", "") PART("q", TO("s"))), "");
	part_expect("build part.q, stop part.p, profile sink.s, done part.p, start part.q");
}

static void who_forwards_to_a_removed_receiver_is_told_before_it_goes(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(part_reload(g, SINK("t", "") PART("p", TO("t"))), "");
	part_expect("build sink.t, update part.p, stop sink.s, done sink.s, start sink.t");
}

static void a_component_that_fails_keeps_its_last_arguments(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		part_running(PART("a", "text = \"1\"") PART("b", "text = \"1\""));

	assert_string_equal(part_reload(g, PART("a", "text = [1]") PART("b", "text = \"2\"")),
			    "t:2:8: [1] should be string, got array");
	part_expect("update part.b");
	assert_int_equal(part_health(g, "test.part.a"), HEALTH_UNHEALTHY);
	assert_int_equal(part_health(g, "test.part.b"), HEALTH_HEALTHY);
	assert_string_equal(part_reload(g, PART("a", "text = \"1\"") PART("b", "text = \"2\"")),
			    "");
	part_expect("");
	assert_int_equal(part_health(g, "test.part.a"), HEALTH_HEALTHY);
}

static void a_new_component_that_fails_is_absent_and_the_rest_is_applied(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(PART("a", "text = \"1\""));

	assert_string_equal(part_reload(g, PART("a", "text = \"2\"") PART("b", "fail = \"build\"")
						   PART("c", "text = test.part.b.text")),
			    "t:4:1: Failed to build component: told to fail");
	part_expect("update part.a, build part.b, done part.b");
	assert_int_equal(part_health(g, "test.part.b"), HEALTH_UNHEALTHY);
	assert_int_equal(part_health(g, "test.part.c"), HEALTH_UNHEALTHY);
}

static void a_receiver_that_cannot_be_built_does_not_get_profiles(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", "") PART("p", TO("s")));

	/* p keeps forwarding to s, which is not in the text any more. */
	assert_string_not_equal(part_reload(g, SINK("t", "fail = \"build\"") PART("p", TO("t"))),
				"");
	part_expect("build sink.t, done sink.t");
	graph_stop(g);
	part_expect("stop part.p, profile sink.s, stop sink.s");
}

static void a_removed_receiver_stays_as_long_as_someone_has_it_in_its_arguments(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", "") PART("p", TO("s")));

	assert_string_not_equal(part_reload(g, PART("p", "text = [1]")), "");
	part_expect("");
	assert_string_equal(part_reload(g, PART("p", "")), "");
	part_expect("update part.p, stop sink.s, done sink.s");
}

static void a_type_that_cannot_update_is_replaced(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(part_reload(g, SINK("s", "") PART("p", TO("s") "fixed = 1")), "");
	part_expect("build part.p, stop part.p, profile sink.s, done part.p, start part.p");
	/* A receiver: who forwards to it gets the new one before the old one goes. */
	assert_string_equal(part_reload(g, SINK("s", "fixed = 1") PART("p", TO("s") "fixed = 1")),
			    "");
	part_expect("build sink.s, update part.p, stop sink.s, done sink.s, start sink.s");
	/* The replacement fails: the old one goes on. */
	assert_string_not_equal(part_reload(g, SINK("s", "fixed = 1") PART(
						       "p", TO("s") "fixed = 2\nfail = \"build\"")),
				"");
	part_expect("build part.p, done part.p, done part.p");
}

static void a_component_that_does_not_start_is_tried_again(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(PART("a", ""));

	part_fail_start = 1;
	assert_string_equal(part_reload(g, PART("a", "") PART("b", "")), "");
	part_expect("build part.b, start part.b, stop part.b");
	assert_int_equal(part_health(g, "test.part.b"), HEALTH_UNHEALTHY);
	part_wait("start part.b");
	assert_int_equal(part_health(g, "test.part.b"), HEALTH_HEALTHY);
}

static void a_component_that_is_not_built_is_tried_again(void **state)
{
	_cleanup_(graph_freep) struct graph *g = part_running(PART("a", ""));

	assert_string_not_equal(part_reload(g, PART("a", "") PART("b", "fail = \"build\"")), "");
	part_forget();
	part_wait("build part.b");
}

static void no_source_of_profiles_that_starts_ends_the_program(void **state)
{
	static const char text[] = SINK("s", "") PART("p", TO("s"));
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};

	assert_int_equal(graph_load_text("t", text, strlen(text), &part_env, &d, &g), 0);
	part_fail_start = 2;
	assert_int_equal(graph_start(g), -EPERM);
	part_fail_start = 0;
	graph_stop(g);
	part_forget();
}

static void changed_exports_reach_dependants_in_one_pass(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		part_running(PART("a", "text = \"1\"") PART("b", "text = test.part.a.text")
				     PART("c", "text = test.part.b.text + test.part.a.text"));
	struct component *a = graph_next(g, &part_type, NULL);
	struct value_list l = {0};

	assert_string_equal(a->id, "test.part.a");
	value_list_add(&l, "text", value_cstr("2"));
	component_export(a, value_object(&l));
	part_wait("update part.b, update part.c");
	/* Not a string any more: both keep what they had. */
	value_list_add(&l, "text", value_bool(true));
	component_export(a, value_object(&l));
	while (part_health(g, "test.part.b") == HEALTH_HEALTHY)
		assert_int_equal(loop_once(part_env.loop, 1000), 0);
	part_expect("");
	value_list_add(&l, "text", value_cstr("3"));
	component_export(a, value_object(&l));
	part_wait("update part.b, update part.c");
	assert_int_equal(part_health(g, "test.part.c"), HEALTH_HEALTHY);
}

static void ten_thousand_references_in_a_chain_are_no_problem(void **state)
{
	_cleanup_buf_ struct buf text = BUF_INIT(4u << 20);
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};

	for (int i = 0; i < GRAPH_MAX_COMPONENTS; i++) {
		if (i)
			buf_printf(&text, "test.part \"p%d\" { any = test.part.p%d.text }\n", i,
				   i - 1);
		else
			buf_adds(&text, "test.part \"p0\" { }\n");
	}
	assert_int_equal(graph_load_text("t", buf_cstr(&text), text.len, &part_env, &d, &g), 0);
	assert_true(graph_ok(g));
	part_forget();
	g = graph_free(g);
	buf_adds(&text, "test.part \"more\" { }\n");
	assert_int_equal(graph_load_text("t", buf_cstr(&text), text.len, &part_env, &d, &g), 0);
	assert_int_equal(d.n_errors, 1);
	part_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_cannot_be_planned_changes_nothing, part_reset),
		cmocka_unit_test_setup(unchanged_arguments_are_not_touched, part_reset),
		cmocka_unit_test_setup(what_changed_is_updated_with_its_dependants, part_reset),
		cmocka_unit_test_setup(what_is_new_is_built_and_started_in_order, part_reset),
		cmocka_unit_test_setup(what_is_gone_hands_over_to_receivers_that_are_gone_too,
				       part_reset),
		cmocka_unit_test_setup(the_removed_ends_before_the_added_starts, part_reset),
		cmocka_unit_test_setup(who_forwards_to_a_removed_receiver_is_told_before_it_goes,
				       part_reset),
		cmocka_unit_test_setup(a_component_that_fails_keeps_its_last_arguments, part_reset),
		cmocka_unit_test_setup(a_new_component_that_fails_is_absent_and_the_rest_is_applied,
				       part_reset),
		cmocka_unit_test_setup(a_receiver_that_cannot_be_built_does_not_get_profiles,
				       part_reset),
		cmocka_unit_test_setup(
			a_removed_receiver_stays_as_long_as_someone_has_it_in_its_arguments,
			part_reset),
		cmocka_unit_test_setup(a_type_that_cannot_update_is_replaced, part_reset),
		cmocka_unit_test_setup(a_component_that_does_not_start_is_tried_again, part_reset),
		cmocka_unit_test_setup(a_component_that_is_not_built_is_tried_again, part_reset),
		cmocka_unit_test_setup(no_source_of_profiles_that_starts_ends_the_program,
				       part_reset),
		cmocka_unit_test_setup(changed_exports_reach_dependants_in_one_pass, part_reset),
		cmocka_unit_test_setup(ten_thousand_references_in_a_chain_are_no_problem,
				       part_reset),
	};

	return cmocka_run_group_tests(tests, part_setup, part_teardown);
}
