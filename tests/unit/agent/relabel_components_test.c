/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.relabel, pyroscope.relabel and pyroscope.enrich in a graph. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/log.h"
#include "agent/components/discovery_relabel.h"
#include "agent/components/pyroscope_enrich.h"
#include "agent/components/pyroscope_relabel.h"
#include "agent/components/registry.h"
#include "agent/components/relabel_memo.h"
#include "agent/components/targets_value.h"
#include "agent/config/graph.h"
#include "agent/export/receiver.h"
#include "agent/labels.h"

static struct component_env env;

/* A component that keeps what it receives. */
static struct sink {
	struct receiver receiver;
	struct label_set labels;
	size_t appended, ingested;
	char body[64];
} sink;

static void sink_append(struct receiver *self, const struct label *labels, size_t n,
			const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	label_set_done(&sink.labels);
	for (size_t i = 0; i < n; i++)
		label_set_put(&sink.labels, labels[i].name, labels[i].value);
	(void)snprintf(sink.body, sizeof(sink.body), "%.*s", (int)bytes, (const char *)pprof);
	sink.appended++;
}

static void sink_ingest(struct receiver *self, const struct ingest *in)
{
	sink_append(self, in->labels, in->n_labels, in->body, in->bytes, in->time_ns);
	assert_string_equal(in->path, "/ingest");
	assert_string_equal(in->query, "name=x");
	assert_string_equal(in->content_type, "text/plain");
	sink.appended--;
	sink.ingested++;
}

static int sink_init(struct component *c)
{
	struct value_list l = {0};

	sink.receiver.append = sink_append;
	sink.receiver.ingest = sink_ingest;
	value_list_add(&l, "receiver", value_capsule(&capsule_receiver, &sink.receiver));
	c->exports = value_object(&l);
	return 0;
}

static const struct schema nothing = {.size = 1};
static const struct component_type sink_type = {.name = "test.sink",
						.schema = &nothing,
						.size = sizeof(struct component),
						.init = sink_init};

static struct graph *load(const char *text, const char *want_error)
{
	static const struct component_type *types[64];
	const struct component_type *const *known;
	struct diag_list d = {0};
	struct graph *g;
	size_t n;

	known = component_registry(&n);
	memcpy(types, known, n * sizeof(known[0]));
	types[n] = &sink_type;
	env.types = types;
	env.n_types = n + 1;
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	if (want_error) {
		_cleanup_free_ char *line = d.n ? diag_line(&d.items[0]) : NULL;

		assert_false(graph_ok(g));
		assert_non_null(line);
		if (!strstr(line, want_error))
			fail_msg("%s", line);
	} else if (!graph_ok(g)) {
		diag_print(&d, stderr, false, 5);
		fail();
	}
	diag_done(&d);
	return g;
}

static struct value *output(const struct graph *g)
{
	return value_get(graph_next(g, &discovery_relabel_type, NULL)->exports, "output");
}

static void targets_are_relabelled(void **state)
{
	struct graph *g =
		load("discovery.relabel \"r\" {\n"
		     " targets = [{\"__meta_docker_container_name\" = \"/web\", port = 80},\n"
		     "  {\"__meta_docker_container_name\" = \"/db\"}, {plain = \"1\"}]\n"
		     " rule {\n  source_labels = [\"__meta_docker_container_name\"]\n"
		     "  regex = \"/(web|db)\"\n  target_label = \"service_name\"\n }\n"
		     " rule {\n  action = \"drop\"\n  source_labels = [\"service_name\"]\n"
		     "  regex = \"db\"\n }\n}\n",
		     NULL);
	const struct component *c = graph_next(g, &discovery_relabel_type, NULL);
	_cleanup_value_ struct value *debug = c->type->debug_info(c);
	const struct value *out = output(g), *rules = value_get(debug, "rules");

	assert_int_equal(out->n_items, 2);
	assert_string_equal(targets_value_get(out->items[0], "service_name"), "web");
	assert_string_equal(targets_value_get(out->items[0], "port"), "80");
	assert_string_equal(targets_value_get(out->items[1], "plain"), "1");
	assert_string_equal(targets_value_get(out->items[1], "service_name"), "");
	assert_int_equal(value_get(debug, "targets")->n.i, 3);
	assert_int_equal(value_get(debug, "output")->n.i, 2);
	assert_int_equal(value_get(rules->items[0], "matched")->n.i, 2);
	assert_int_equal(value_get(rules->items[1], "dropped")->n.i, 1);
	assert_int_equal(value_get(c->exports, "rules")->kind, VALUE_CAPSULE);
	graph_free(g);
}

static struct value *named(const char *name)
{
	struct value_list l = {0};

	targets_value_put(&l, "name", name);
	return value_object(&l);
}

static struct value *relabelled(struct relabel_memo *m, struct relabel *rules,
				struct value *const *v, size_t n)
{
	_cleanup_value_ struct value *list = NULL;
	struct value_list l = {0};
	struct value *out = NULL;
	size_t rule;

	for (size_t i = 0; i < n; i++)
		value_list_add(&l, NULL, value_ref(v[i]));
	list = value_array(&l);
	assert_non_null(list);
	assert_int_equal(relabel_memo_apply(m, rules, list, &out, &rule), 0);
	return out;
}

static void assert_counts(const struct relabel *r, size_t rule, uint64_t seen, uint64_t matched,
			  uint64_t dropped)
{
	const struct relabel_counts *k = relabel_get_counts(r, rule);

	assert_int_equal(k->seen, seen);
	assert_int_equal(k->matched, matched);
	assert_int_equal(k->dropped, dropped);
}

/* A list that changes by one: the rest comes out as it was, and counts as if it were relabelled. */
static void targets_that_stay_are_not_relabelled_again(void **state)
{
	static const char *const name[] = {"name"};
	const struct relabel_spec specs[] = {
		{.action = "drop", .source_labels = name, .n_source_labels = 1, .regex = "gone"},
		{.source_labels = name,
		 .n_source_labels = 1,
		 .regex = "(a|b)",
		 .target_label = "to"},
	};
	struct value *v[] = {named("a"), named("gone"), named("b"), named("c")};
	_cleanup_(relabel_freep) struct relabel *rules = NULL;
	_cleanup_(relabel_memo_done) struct relabel_memo m = {0};
	_cleanup_value_ struct value *first = NULL, *second = NULL, *third = NULL;
	char why[128];

	assert_int_equal(relabel_new(specs, ARRAY_SIZE(specs), false, &rules, why, sizeof(why)), 0);
	first = relabelled(&m, rules, v, 3);
	assert_int_equal(first->n_items, 2);
	assert_counts(rules, 0, 3, 1, 1);
	assert_counts(rules, 1, 2, 2, 0);
	second = relabelled(&m, rules, v + 1, 3);
	assert_int_equal(second->n_items, 2);
	assert_ptr_equal(second->items[0], first->items[1]);
	assert_string_equal(targets_value_get(second->items[0], "to"), "b");
	assert_ptr_equal(second->items[1], v[3]);
	assert_counts(rules, 0, 3, 1, 1);
	assert_counts(rules, 1, 2, 1, 0);
	/* One that was away is new again. */
	third = relabelled(&m, rules, v, 1);
	assert_int_equal(third->n_items, 1);
	assert_true(value_equal(third->items[0], first->items[0]));
	assert_counts(rules, 0, 1, 0, 0);
	assert_counts(rules, 1, 1, 1, 0);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		value_unref(v[i]);
}

static void mistakes_are_shown_where_they_are(void **state)
{
	static const char *const table[][2] = {
		{"regex = \"a(\"", "t:4:11: \"a(\" is not valid: error parsing regexp: missing "
				   "closing ): `a(`"},
		{"action = \"relpace\"", "t:4:12: \"relpace\" is not valid: unrecognized action "
					 "type \"relpace\""},
		{"action = \"hashmod\"",
		 "t:3:2: relabel configuration for hashmod requires non-zero modulus"},
		{"action = \"replace\"",
		 "t:3:2: relabel configuration for replace action requires 'target_label' value"},
		{"modulus = -1", "t:3:2: modulus must not be negative"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char text[512];

		(void)snprintf(text, sizeof(text),
			       "discovery.relabel \"r\" {\n targets = []\n rule {\n  %s\n }\n}",
			       table[i][0]);
		graph_free(load(text, table[i][1]));
	}
	graph_free(load("pyroscope.relabel \"r\" {\n forward_to = []\n max_cache_size = 0\n}",
			"max_cache_size must be greater than 0"));
}

static void rules_that_take_too_long_change_nothing(void **state)
{
	struct graph *g = load("discovery.relabel \"r\" {\n"
			       " targets = [{a = \"xxxxxxxxxxxxxxxxxxxxxxxx\"}]\n"
			       " rule {\n  source_labels = [\"a\"]\n"
			       "  regex = \"(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)y\"\n"
			       "  target_label = \"b\"\n }\n}\n",
			       NULL);
	struct component *c = graph_next(g, &discovery_relabel_type, NULL);
	struct value_list l = {0}, one = {0};
	_cleanup_free_ char *big = malloc((2u << 20) + 1);
	/* The only field before the rules is the list of targets. */
	struct value **targets = c->args;

	assert_int_not_equal(c->health, HEALTH_UNHEALTHY);
	assert_int_equal(output(g)->n_items, 1);
	memset(big, 'x', 2u << 20);
	big[2u << 20] = '\0';
	targets_value_put(&one, "a", big);
	targets_value_add(&l, &one);
	targets_value_put(&one, "a", "fine");
	targets_value_add(&l, &one);
	value_unref(*targets);
	*targets = targets_value_array(&l);
	assert_int_equal(c->type->update(c, c->args, (char[64]){0}, 64), 0);
	assert_int_equal(c->health, HEALTH_UNHEALTHY);
	assert_non_null(strstr(c->health_text, "rule 1 (replace) takes too long"));
	assert_int_equal(output(g)->n_items, 1);
	assert_int_equal(strlen(targets_value_get(output(g)->items[0], "a")), 24);
	graph_free(g);
}

static void profiles_are_relabelled_or_dropped(void **state)
{
	struct graph *g = load("test.sink \"s\" {}\n"
			       "pyroscope.relabel \"r\" {\n forward_to = [test.sink.s.receiver]\n"
			       " max_cache_size = 2\n"
			       " rule {\n  source_labels = [\"env\"]\n  target_label = \"stage\"\n"
			       " }\n rule {\n  source_labels = [\"env\"]\n"
			       "  target_label = \"a.b\"\n }\n"
			       " rule {\n  action = \"drop\"\n  source_labels = [\"stage\"]\n"
			       "  regex = \"test\"\n }\n"
			       " rule {\n  action = \"labeldrop\"\n  regex = \"env|only\"\n }\n}\n",
			       NULL);
	const struct component *c = graph_next(g, &pyroscope_relabel_type, NULL);
	struct receiver *r = value_get(c->exports, "receiver")->data;
	static const struct label prod[] = {{"__name__", "process_cpu"}, {"env", "prod"}},
				  test[] = {{"__name__", "process_cpu"}, {"env", "test"}},
				  only[] = {{"only", "x"}};
	const struct ingest in = {.labels = prod,
				  .n_labels = 2,
				  .path = "/ingest",
				  .query = "name=x",
				  .content_type = "text/plain",
				  .body = (const uint8_t *)"raw",
				  .bytes = 3};
	_cleanup_value_ struct value *debug = NULL;

	for (int i = 0; i < 3; i++) {
		r->append(r, prod, 2, (const uint8_t *)"pprof", 5, 1);
		r->append(r, test, 2, (const uint8_t *)"pprof", 5, 1);
	}
	assert_int_equal(sink.appended, 3);
	assert_string_equal(label_set_get(&sink.labels, "stage"), "prod");
	assert_null(label_set_get(&sink.labels, "env"));
	assert_null(label_set_get(&sink.labels, "a.b"));
	assert_string_equal(sink.body, "pprof");
	r->append(r, only, 1, (const uint8_t *)"pprof", 5, 1);
	assert_int_equal(sink.appended, 3);
	r->ingest(r, &in);
	assert_int_equal(sink.ingested, 1);
	assert_string_equal(sink.body, "raw");
	assert_string_equal(label_set_get(&sink.labels, "stage"), "prod");
	debug = c->type->debug_info(c);
	assert_int_equal(value_get(debug, "processed")->n.i, 8);
	assert_int_equal(value_get(debug, "written")->n.i, 4);
	assert_int_equal(value_get(debug, "dropped")->n.i, 4);
	label_set_done(&sink.labels);
	graph_free(g);
}

static int setup(void **state)
{
	log_set_level(LOG_LEVEL_ERROR);
	return loop_new(&env.loop);
}

static int teardown(void **state)
{
	loop_free(env.loop);
	return 0;
}

static struct receiver *enrich_of(const struct graph *g)
{
	const struct component *c = graph_next(g, &pyroscope_enrich_type, NULL);

	return value_get(c->exports, "receiver")->data;
}

static void profiles_get_labels_of_the_target_they_match(void **state)
{
	static const struct label matching[] = {{"host", "a"}, {"team", "old"}};
	static const struct label other[] = {{"host", "b"}};
	struct ingest in = {.labels = matching, .n_labels = 2, .path = "/ingest"};
	struct graph *g;

	env.stability = STABILITY_EXPERIMENTAL;
	g = load("test.sink \"s\" { }\n"
		 "pyroscope.enrich \"e\" {\n"
		 " targets = [{name = \"a\", team = \"t\", zone = \"z\"}, {team = \"none\"}]\n"
		 " target_match_label = \"name\"\n profiles_match_label = \"host\"\n"
		 " labels_to_copy = [\"team\", \"absent\"]\n"
		 " forward_to = [test.sink.s.receiver]\n}\n",
		 NULL);
	sink.appended = sink.ingested = 0;
	enrich_of(g)->append(enrich_of(g), matching, 2, (const uint8_t *)"p", 1, 1);
	assert_string_equal(label_set_get(&sink.labels, "team"), "t");
	assert_string_equal(label_set_get(&sink.labels, "host"), "a");
	assert_null(label_set_get(&sink.labels, "zone"));
	assert_null(label_set_get(&sink.labels, "absent"));
	enrich_of(g)->append(enrich_of(g), other, 1, (const uint8_t *)"p", 1, 1);
	assert_int_equal(sink.labels.n, 1);
	in.query = "name=x";
	in.content_type = "text/plain";
	in.body = (const uint8_t *)"i";
	in.bytes = 1;
	enrich_of(g)->ingest(enrich_of(g), &in);
	assert_string_equal(label_set_get(&sink.labels, "team"), "t");
	assert_int_equal(sink.appended, 2);
	assert_int_equal(sink.ingested, 1);
	graph_free(g);
	env.stability = STABILITY_GA;
	g = load("pyroscope.enrich \"e\" {\n targets = []\n target_match_label = \"a\"\n"
		 " forward_to = []\n}\n",
		 "is at stability level \"experimental\"");
	graph_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_are_relabelled),
		cmocka_unit_test(targets_that_stay_are_not_relabelled_again),
		cmocka_unit_test(mistakes_are_shown_where_they_are),
		cmocka_unit_test(rules_that_take_too_long_change_nothing),
		cmocka_unit_test(profiles_are_relabelled_or_dropped),
		cmocka_unit_test(profiles_get_labels_of_the_target_they_match),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
