/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of running components when the text changes. The component test.part counts what
 * happens to it and fails when it is told to; test.sink takes profiles.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/config.h"
#include "agent/config/graph_view.h"
#include "agent/export/receiver.h"

static struct loop *loop;
static struct component_env env;
static struct buf events; /* "start a, update b, ..." */
static int fail_start;	  /* so many starts */

struct part_args {
	char *text, *fail;
	int64_t fixed;
	struct schema_receivers forward_to;
	struct value *any;
};

struct part {
	struct component base;
	struct receiver receiver;
	int taken;
};

static const struct option part_options[] = {
	{"text", OPTION_STRING, .offset = offsetof(struct part_args, text)},
	{"fail", OPTION_STRING, .offset = offsetof(struct part_args, fail)},
	{"fixed", OPTION_INT, .offset = offsetof(struct part_args, fixed)},
	{"forward_to", OPTION_RECEIVERS, .offset = offsetof(struct part_args, forward_to)},
	{"any", OPTION_ANY, .offset = offsetof(struct part_args, any)},
};

static const struct schema part_schema = {
	.size = sizeof(struct part_args), .options = part_options, .n = ARRAY_SIZE(part_options)};

static void event(const char *what, const struct component *c)
{
	const char *dot = strchr(c->id, '.');

	buf_printf(&events, "%s%s %s", events.len ? ", " : "", what, dot ? dot + 1 : c->id);
}

static void forget(void)
{
	buf_reset(&events);
}

static void hand_over(struct component *c)
{
	const struct part_args *a = c->args;

	for (size_t i = 0; i < a->forward_to.n; i++)
		a->forward_to.v[i]->append(a->forward_to.v[i], NULL, 0, (const uint8_t *)"x", 1, 0);
}

static void sink_append(struct receiver *r, const struct label *labels, size_t n,
			const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	struct part *p = container_of(r, struct part, receiver);

	p->taken++;
	event("profile", &p->base);
}

static int sink_init(struct component *c)
{
	struct part *p = (struct part *)c;
	struct value_list l = {0};

	p->receiver.append = sink_append;
	value_list_add(&l, "receiver", value_capsule(&capsule_receiver, &p->receiver));
	c->exports = value_object(&l);
	return c->exports ? 0 : -ENOMEM;
}

static int failure(const struct component *c, const char *when, char *why, size_t size)
{
	const struct part_args *a = c->args;

	if (strcmp(a->fail, when) != 0)
		return 0;
	(void)snprintf(why, size, "told to fail");
	return -EINVAL;
}

static void publish(struct component *c)
{
	const struct part_args *a = c->args;
	struct value_list l = {0};

	value_list_add(&l, "text", value_cstr(a->text));
	component_export(c, value_object(&l));
}

static int part_build(struct component *c, char *why, size_t size)
{
	event("build", c);
	if (!c->type->init)
		publish(c);
	return failure(c, "build", why, size);
}

static int part_update(struct component *c, const void *old, char *why, size_t size)
{
	const struct part_args *a = c->args, *b = old;

	if (a->fixed != b->fixed)
		return -EOPNOTSUPP;
	event("update", c);
	if (!c->type->init)
		publish(c);
	return failure(c, "update", why, size);
}

static int part_start(struct component *c, char *why, size_t size)
{
	event("start", c);
	if (fail_start && fail_start--) {
		(void)snprintf(why, size, "not yet");
		return -EPERM;
	}
	return failure(c, "start", why, size);
}

static void part_stop(struct component *c)
{
	event("stop", c);
	hand_over(c);
}

static void part_done(struct component *c)
{
	event("done", c);
}

static const struct component_type part_type = {
	.name = "test.part",
	.schema = &part_schema,
	.size = sizeof(struct part),
	.build = part_build,
	.update = part_update,
	.start = part_start,
	.stop = part_stop,
	.done = part_done,
};

static const struct component_type sink_type = {
	.name = "test.sink",
	.schema = &part_schema,
	.size = sizeof(struct part),
	.init = sink_init,
	.build = part_build,
	.update = part_update,
	.start = part_start,
	.stop = part_stop,
	.done = part_done,
};

static const struct component_type *const types[] = {&part_type, &sink_type};

#define PART(name, args) "test.part \"" name "\" {\n" args "\n}\n"
#define SINK(name, args) "test.sink \"" name "\" {\n" args "\n}\n"
#define TO(name)	 "forward_to = [test.sink." name ".receiver]\n"

static struct graph *running(const char *text)
{
	_cleanup_diag_ struct diag_list d = {0};
	struct graph *g = NULL;

	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	if (!graph_ok(g))
		diag_print(&d, stderr, false, 5);
	assert_true(graph_ok(g));
	assert_int_equal(graph_start(g), 0);
	forget();
	return g;
}

/* The first error, or "" when all is well. */
static const char *reload(struct graph *g, const char *text)
{
	static char *line;
	_cleanup_diag_ struct diag_list d = {0};
	int r = graph_reload_text(g, "t", text, strlen(text), &d);

	free(line);
	line = d.n_errors ? diag_summary(&d) : strdup("");
	assert_int_equal(r<0, d.n_errors> 0);
	return line;
}

static void expect_events(const char *want)
{
	assert_string_equal(buf_cstr(&events), want);
	forget();
}

static enum health health(const struct graph *g, const char *id)
{
	struct graph_view v;

	assert_true(graph_view_find(g, id, &v));
	return v.health;
}

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
	_cleanup_(graph_freep) struct graph *g = running(PART("a", "text = \"1\"") SINK("s", ""));

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		assert_string_not_equal(reload(g, broken[i]), "");
		expect_events("");
		assert_int_equal(health(g, "test.part.a"), HEALTH_HEALTHY);
		assert_int_equal(health(g, "test.sink.s"), HEALTH_HEALTHY);
	}
	assert_string_equal(reload(g, PART("a", "text = \"1\"") SINK("s", "")), "");
	expect_events("");
}

static void unchanged_arguments_are_not_touched(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		running(PART("a", "text = \"1\"") PART("b", "text = test.part.a.text"));

	assert_string_equal(reload(g, "// moved\n\n" PART("b", "text = test.part.a.text")
					      PART("a", "text = \"\" + \"1\"")),
			    "");
	expect_events("");
}

static void what_changed_is_updated_with_its_dependants(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		running(PART("a", "text = \"1\"") PART("b", "text = test.part.a.text"));

	assert_string_equal(
		reload(g, PART("a", "text = \"2\"") PART("b", "text = test.part.a.text")), "");
	expect_events("update part.a, update part.b");
}

static void what_is_new_is_built_and_started_in_order(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", ""));

	assert_string_equal(
		reload(g, PART("b", "text = test.part.a.text") PART("a", "") SINK("s", "")), "");
	expect_events("build part.a, build part.b, start part.a, start part.b");
	assert_int_equal(health(g, "test.part.b"), HEALTH_HEALTHY);
}

static void what_is_gone_hands_over_to_receivers_that_are_gone_too(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(reload(g, ""), "");
	expect_events("stop part.p, profile sink.s, done part.p, stop sink.s, done sink.s");
}

static void the_removed_ends_before_the_added_starts(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(reload(g, SINK("s", "") PART("q", TO("s"))), "");
	expect_events("build part.q, stop part.p, profile sink.s, done part.p, start part.q");
}

static void who_forwards_to_a_removed_receiver_is_told_before_it_goes(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(reload(g, SINK("t", "") PART("p", TO("t"))), "");
	expect_events("build sink.t, update part.p, stop sink.s, done sink.s, start sink.t");
}

static void a_component_that_fails_keeps_its_last_arguments(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		running(PART("a", "text = \"1\"") PART("b", "text = \"1\""));

	assert_string_equal(reload(g, PART("a", "text = [1]") PART("b", "text = \"2\"")),
			    "t:2:8: [1] should be string, got array");
	expect_events("update part.b");
	assert_int_equal(health(g, "test.part.a"), HEALTH_UNHEALTHY);
	assert_int_equal(health(g, "test.part.b"), HEALTH_HEALTHY);
	assert_string_equal(reload(g, PART("a", "text = \"1\"") PART("b", "text = \"2\"")), "");
	expect_events("");
	assert_int_equal(health(g, "test.part.a"), HEALTH_HEALTHY);
}

static void a_new_component_that_fails_is_absent_and_the_rest_is_applied(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(PART("a", "text = \"1\""));

	assert_string_equal(reload(g, PART("a", "text = \"2\"") PART("b", "fail = \"build\"")
					      PART("c", "text = test.part.b.text")),
			    "t:4:1: Failed to build component: told to fail");
	expect_events("update part.a, build part.b, done part.b");
	assert_int_equal(health(g, "test.part.b"), HEALTH_UNHEALTHY);
	assert_int_equal(health(g, "test.part.c"), HEALTH_UNHEALTHY);
}

static void a_receiver_that_cannot_be_built_does_not_get_profiles(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", "") PART("p", TO("s")));

	/* p keeps forwarding to s, which is not in the text any more. */
	assert_string_not_equal(reload(g, SINK("t", "fail = \"build\"") PART("p", TO("t"))), "");
	expect_events("build sink.t, done sink.t");
	graph_stop(g);
	expect_events("stop part.p, profile sink.s, stop sink.s");
}

static void a_removed_receiver_stays_as_long_as_someone_has_it_in_its_arguments(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", "") PART("p", TO("s")));

	assert_string_not_equal(reload(g, PART("p", "text = [1]")), "");
	expect_events("");
	assert_string_equal(reload(g, PART("p", "")), "");
	expect_events("update part.p, stop sink.s, done sink.s");
}

static void a_type_that_cannot_update_is_replaced(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(SINK("s", "") PART("p", TO("s")));

	assert_string_equal(reload(g, SINK("s", "") PART("p", TO("s") "fixed = 1")), "");
	expect_events("build part.p, stop part.p, profile sink.s, done part.p, start part.p");
	/* A receiver: who forwards to it gets the new one before the old one goes. */
	assert_string_equal(reload(g, SINK("s", "fixed = 1") PART("p", TO("s") "fixed = 1")), "");
	expect_events("build sink.s, update part.p, stop sink.s, done sink.s, start sink.s");
	/* The replacement fails: the old one goes on. */
	assert_string_not_equal(
		reload(g, SINK("s", "fixed = 1") PART("p", TO("s") "fixed = 2\nfail = \"build\"")),
		"");
	expect_events("build part.p, done part.p, done part.p");
}

static void wait_for_event(const char *want)
{
	uint64_t end = clock_ms() + 5000;

	while (!strstr(buf_cstr(&events), want) && clock_ms() < end)
		assert_int_equal(loop_once(loop, 100), 0);
	if (!strstr(buf_cstr(&events), want))
		fail_msg("no %s in: %s", want, buf_cstr(&events));
	forget();
}

static void a_component_that_does_not_start_is_tried_again(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(PART("a", ""));

	fail_start = 1;
	assert_string_equal(reload(g, PART("a", "") PART("b", "")), "");
	expect_events("build part.b, start part.b, stop part.b");
	assert_int_equal(health(g, "test.part.b"), HEALTH_UNHEALTHY);
	wait_for_event("start part.b");
	assert_int_equal(health(g, "test.part.b"), HEALTH_HEALTHY);
}

static void a_component_that_is_not_built_is_tried_again(void **state)
{
	_cleanup_(graph_freep) struct graph *g = running(PART("a", ""));

	assert_string_not_equal(reload(g, PART("a", "") PART("b", "fail = \"build\"")), "");
	forget();
	wait_for_event("build part.b");
}

static void no_source_of_profiles_that_starts_ends_the_program(void **state)
{
	static const char text[] = SINK("s", "") PART("p", TO("s"));
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};

	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	fail_start = 2;
	assert_int_equal(graph_start(g), -EPERM);
	fail_start = 0;
	graph_stop(g);
	forget();
}

static void changed_exports_reach_dependants_in_one_pass(void **state)
{
	_cleanup_(graph_freep) struct graph *g =
		running(PART("a", "text = \"1\"") PART("b", "text = test.part.a.text")
				PART("c", "text = test.part.b.text + test.part.a.text"));
	struct component *a = graph_next(g, &part_type, NULL);
	struct value_list l = {0};

	assert_string_equal(a->id, "test.part.a");
	value_list_add(&l, "text", value_cstr("2"));
	component_export(a, value_object(&l));
	wait_for_event("update part.b, update part.c");
	/* Not a string any more: both keep what they had. */
	value_list_add(&l, "text", value_bool(true));
	component_export(a, value_object(&l));
	while (health(g, "test.part.b") == HEALTH_HEALTHY)
		assert_int_equal(loop_once(loop, 1000), 0);
	expect_events("");
	value_list_add(&l, "text", value_cstr("3"));
	component_export(a, value_object(&l));
	wait_for_event("update part.b, update part.c");
	assert_int_equal(health(g, "test.part.c"), HEALTH_HEALTHY);
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
	assert_int_equal(graph_load_text("t", buf_cstr(&text), text.len, &env, &d, &g), 0);
	assert_true(graph_ok(g));
	forget();
	g = graph_free(g);
	buf_adds(&text, "test.part \"more\" { }\n");
	assert_int_equal(graph_load_text("t", buf_cstr(&text), text.len, &env, &d, &g), 0);
	assert_int_equal(d.n_errors, 1);
	forget();
}

static int setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	events = BUF_INIT(1u << 20);
	env = (struct component_env){.types = types, .n_types = ARRAY_SIZE(types)};
	if (loop_new(&loop) < 0)
		return -1;
	env.loop = loop;
	return 0;
}

static int teardown(void **state)
{
	loop_free(loop);
	buf_done(&events);
	return 0;
}

static int reset(void **state)
{
	forget();
	fail_start = 0;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_cannot_be_planned_changes_nothing, reset),
		cmocka_unit_test_setup(unchanged_arguments_are_not_touched, reset),
		cmocka_unit_test_setup(what_changed_is_updated_with_its_dependants, reset),
		cmocka_unit_test_setup(what_is_new_is_built_and_started_in_order, reset),
		cmocka_unit_test_setup(what_is_gone_hands_over_to_receivers_that_are_gone_too,
				       reset),
		cmocka_unit_test_setup(the_removed_ends_before_the_added_starts, reset),
		cmocka_unit_test_setup(who_forwards_to_a_removed_receiver_is_told_before_it_goes,
				       reset),
		cmocka_unit_test_setup(a_component_that_fails_keeps_its_last_arguments, reset),
		cmocka_unit_test_setup(a_new_component_that_fails_is_absent_and_the_rest_is_applied,
				       reset),
		cmocka_unit_test_setup(a_receiver_that_cannot_be_built_does_not_get_profiles,
				       reset),
		cmocka_unit_test_setup(
			a_removed_receiver_stays_as_long_as_someone_has_it_in_its_arguments, reset),
		cmocka_unit_test_setup(a_type_that_cannot_update_is_replaced, reset),
		cmocka_unit_test_setup(a_component_that_does_not_start_is_tried_again, reset),
		cmocka_unit_test_setup(a_component_that_is_not_built_is_tried_again, reset),
		cmocka_unit_test_setup(no_source_of_profiles_that_starts_ends_the_program, reset),
		cmocka_unit_test_setup(changed_exports_reach_dependants_in_one_pass, reset),
		cmocka_unit_test_setup(ten_thousand_references_in_a_chain_are_no_problem, reset),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
