/* SPDX-License-Identifier: Apache-2.0 */
/* The actions of relabelling rules on sets of labels. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/base/md5.h"
#include "agent/relabel/relabel.h"

#define SOURCE(...)                                          \
	.source_labels = (const char *const[]){__VA_ARGS__}, \
	.n_source_labels = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* Labels as "name=value|name=value". */
static void fill(struct relabel_set *s, char *text)
{
	char *save, *word;

	relabel_set_reset(s);
	for (word = strtok_r(text, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
		char *value = strchr(word, '=');

		*value++ = '\0';
		relabel_set_put(s, word, value, strlen(value), value);
	}
}

static void check(struct relabel *r, const char *labels, const char *want)
{
	_cleanup_(relabel_set_done) struct relabel_set s = {0};
	_cleanup_buf_ struct buf got = BUF_INIT(10000);
	_cleanup_free_ char *text = strdup(labels);
	uint64_t budget = RELABEL_STEPS;
	int k;

	fill(&s, text);
	k = relabel_apply(r, &s, &budget, NULL);
	assert_true(k >= 0);
	if (!k) {
		assert_null(want);
		return;
	}
	for (size_t i = 0; i < s.n; i++) {
		assert_int_equal(strlen(s.v[i].value), s.v[i].len);
		buf_printf(&got, "%s%s=%s", i ? "|" : "", s.v[i].name, s.v[i].value);
	}
	assert_non_null(want);
	assert_string_equal(buf_cstr(&got), want);
}

static const struct {
	struct relabel_spec rules[3];
	const char *in, *want; /* NULL: dropped */
} table[] = {
	{{{SOURCE("a"), .regex = "f(.*)", .target_label = "d", .replacement = "ch${1}-ch${1}"}},
	 "a=foo|b=bar",
	 "a=foo|b=bar|d=choo-choo"},
	{{{SOURCE("a", "b"), .regex = "f(.*);(.*)r", .target_label = "a",
	   .replacement = "b${1}${2}m"},
	  {SOURCE("c", "a"), .regex = "(b).*b(.*)ba(.*)", .target_label = "d",
	   .replacement = "$1$2$2$3"}},
	 "a=foo|b=bar|c=baz",
	 "a=boobam|b=bar|c=baz|d=boooom"},
	{{{.target_label = "env", .replacement = "prod"}}, "a=1", "a=1|env=prod"},
	{{{SOURCE("a"), .target_label = "b"}}, "a=1", "a=1|b=1"},
	{{{SOURCE("none"), .target_label = "b"}}, "a=1|b=2", "a=1"},
	{{{SOURCE("a"), .regex = "x", .target_label = "a", .replacement = ""}}, "a=1", "a=1"},
	{{{SOURCE("a"), .regex = "1", .target_label = "a", .replacement = ""}}, "a=1|b=2", "b=2"},
	{{{SOURCE("a"), .regex = "(some).*", .target_label = "${1}_x", .replacement = "$1"}},
	 "a=some-more",
	 "a=some-more|some_x=some"},
	{{{SOURCE("a"), .regex = "(.*)", .target_label = "${2}", .replacement = "x"}},
	 "a=1",
	 "a=1"}, /* no name: no label */
	{{{SOURCE("a"), .target_label = "service.name"}}, "a=1", "a=1|service.name=1"},
	{{{SOURCE("a", "b"), .separator = "@", .target_label = "c"}}, "a=1", "a=1|c=1@"},
	{{{.action = "keep", SOURCE("a"), .regex = "1|2"}}, "a=1", "a=1"},
	{{{.action = "keep", SOURCE("a"), .regex = "1|2"}}, "a=12", NULL},
	{{{.action = "keep", SOURCE("a"), .regex = ""}}, "b=1", "b=1"},
	{{{.action = "drop", SOURCE("a"), .regex = "1.*"}}, "a=12", NULL},
	{{{.action = "drop", SOURCE("a"), .regex = "1.*"},
	  {.target_label = "x", .replacement = "y"}},
	 "a=2",
	 "a=2|x=y"},
	{{{.action = "drop", SOURCE("a"), .regex = "a.b"}}, "a=a\nb", NULL},
	{{{.action = "keepequal", SOURCE("a"), .target_label = "b"}}, "a=1|b=1", "a=1|b=1"},
	{{{.action = "keepequal", SOURCE("a"), .target_label = "b"}}, "a=1|b=2", NULL},
	{{{.action = "keepequal", SOURCE("x"), .target_label = "y"}}, "a=1", "a=1"},
	{{{.action = "dropequal", SOURCE("a"), .target_label = "b"}}, "a=1|b=1", NULL},
	{{{.action = "dropequal", SOURCE("a"), .target_label = "b"}}, "a=1|b=", "a=1"},
	/* Values: Python's hashlib.md5, and Prometheus' own tests. */
	{{{.action = "hashmod", SOURCE("c"), .target_label = "d", .modulus = 1000}},
	 "c=baz",
	 "c=baz|d=976"},
	{{{.action = "hashmod", SOURCE("a"), .target_label = "b", .modulus = 1000}},
	 "a=foo\nbar",
	 "a=foo\nbar|b=734"},
	{{{.action = "hashmod", SOURCE("a"), .target_label = "b", .modulus = 1}}, "a=1", "a=1|b=0"},
	{{{.action = "labelmap", .regex = "__meta_(.+)"}},
	 "__meta_a=1|__meta_b=2|__meta_=3|b=0",
	 "__meta_=3|__meta_a=1|__meta_b=2|a=1|b=2"},
	{{{.action = "labelmap", .regex = "(.)", .replacement = "${1}x"}}, "a=1|ax=2", "a=1|ax=1"},
	{{{.action = "labeldrop", .regex = "__.*|a"}}, "__x=1|a=2|b=3|aa=4", "aa=4|b=3"},
	{{{.action = "labelkeep", .regex = "__.*|a"}}, "__x=1|a=2|b=3", "__x=1|a=2"},
	{{{.action = "lowercase", SOURCE("a"), .target_label = "b"}},
	 "a=FO\xc3\x89 \xc4\xb0\xff",
	 "a=FO\xc3\x89 \xc4\xb0\xff|b=fo\xc3\xa9 i\xef\xbf\xbd"},
	{{{.action = "uppercase", SOURCE("a"), .target_label = "b"}},
	 "a=\xc3\xa9\xc3\x9f\xc7\x86",
	 "a=\xc3\xa9\xc3\x9f\xc7\x86|b=\xc3\x89\xc3\x9f\xc7\x84"},
	{{{.action = "lowercase", SOURCE("none"), .target_label = "a"}}, "a=1|b=2", "b=2"},
};

static size_t n_rules(const struct relabel_spec *rules)
{
	size_t n = 1;

	while (n < 3 && (rules[n].action || rules[n].target_label))
		n++;
	return n;
}

static void each_action_does_what_prometheus_does(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(relabel_freep) struct relabel *r = NULL;
		char why[256] = "";

		if (relabel_new(table[i].rules, n_rules(table[i].rules), false, &r, why,
				sizeof(why)) < 0)
			fail_msg("rule %zu: %s", i, why);
		check(r, table[i].in, table[i].want);
		/* What is remembered changes nothing. */
		check(r, table[i].in, table[i].want);
	}
}

static void the_classic_mode_writes_no_dotted_names(void **state)
{
	const struct relabel_spec rules[] = {
		{SOURCE("a"), .target_label = "service.name"},
		{SOURCE("a"), .target_label = "1x"},
		{SOURCE("a"), .target_label = "_x1"},
	};
	_cleanup_(relabel_freep) struct relabel *r = NULL;
	char why[256];

	assert_int_equal(relabel_new(rules, 3, true, &r, why, sizeof(why)), 0);
	check(r, "a=1", "_x1=1|a=1");
}

static void a_rule_that_cannot_work_is_refused(void **state)
{
	const struct {
		struct relabel_spec rule;
		const char *want;
	} bad[] = {
		{{.action = ""}, "relabel action cannot be empty"},
		{{.action = "relpace", .target_label = "x"},
		 "unrecognized action type \"relpace\""},
		{{.action = "hashmod", .target_label = "x"},
		 "relabel configuration for hashmod requires non-zero modulus"},
		{{SOURCE("a")},
		 "relabel configuration for replace action requires 'target_label' value"},
		{{.action = "keepequal", SOURCE("a")},
		 "relabel configuration for keepequal action requires 'target_label' value"},
		{{.target_label = "a-$1"}, "\"a-$1\" is invalid 'target_label' for replace action"},
		{{.target_label = "\xff"}, "\"\xff\" is invalid 'target_label' for replace action"},
		{{.action = "labelmap", .replacement = "1-$1"},
		 "\"1-$1\" is invalid 'replacement' for labelmap action"},
		{{.action = "lowercase", .target_label = "a", .replacement = "x"},
		 "'replacement' can not be set for lowercase action"},
		{{.action = "dropequal", .target_label = "a", .regex = "x"},
		 "dropequal action requires only 'source_labels' and 'target_label', and no other "
		 "fields"},
		{{.action = "labeldrop", SOURCE("a")},
		 "labeldrop action requires only 'regex', and no other fields"},
		{{.action = "keep", .regex = "("}, "error parsing regexp: missing closing ): `(`"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct relabel *r;
		char why[256] = "";

		assert_int_equal(relabel_new(&bad[i].rule, 1, false, &r, why, sizeof(why)),
				 -EINVAL);
		assert_string_equal(why, bad[i].want);
	}
}

static void a_rule_may_not_take_more_than_its_budget(void **state)
{
	const struct relabel_spec doubling[] = {
		{SOURCE("a"), .target_label = "a", .replacement = "$1$1"},
		{SOURCE("a"), .target_label = "a", .replacement = "$1$1"},
		{SOURCE("a"), .target_label = "a", .replacement = "$1$1$1$1$1$1$1$1$1$1$1$1"},
	};
	const struct relabel_spec wide = {.action = "drop", SOURCE("a"), .regex = "(.*x.*x){500}y"};
	_cleanup_(relabel_freep) struct relabel *r = NULL, *w = NULL;
	_cleanup_(relabel_set_done) struct relabel_set s = {0};
	_cleanup_free_ char *big = malloc((1u << 20) + 1);
	uint64_t budget = RELABEL_STEPS;
	size_t rule = 9;
	char why[256];

	memset(big, 'x', 1u << 20);
	big[1u << 20] = '\0';
	assert_int_equal(relabel_new(doubling, 3, false, &r, why, sizeof(why)), 0);
	relabel_set_put(&s, "a", big, 1u << 20, NULL);
	assert_int_equal(relabel_apply(r, &s, &budget, &rule), -E2BIG);
	assert_int_equal(rule, 2);
	assert_int_equal(relabel_new(&wide, 1, false, &w, why, sizeof(why)), 0);
	relabel_set_reset(&s);
	relabel_set_put(&s, "a", big, 1u << 20, NULL);
	budget = RELABEL_STEPS;
	assert_int_equal(relabel_apply(w, &s, &budget, &rule), -E2BIG);
	assert_int_equal(rule, 0);
	assert_int_equal(budget, 0);
}

static void rules_count_what_they_do(void **state)
{
	const struct relabel_spec rules[] = {
		{.action = "keep", SOURCE("a"), .regex = "1"},
		{SOURCE("a"), .regex = "2", .target_label = "b"},
	};
	_cleanup_(relabel_freep) struct relabel *r = NULL;
	char why[256];

	assert_int_equal(relabel_new(rules, 2, false, &r, why, sizeof(why)), 0);
	check(r, "a=1", "a=1");
	check(r, "a=2", NULL);
	assert_int_equal(relabel_get_counts(r, 0)->seen, 2);
	assert_int_equal(relabel_get_counts(r, 0)->matched, 1);
	assert_int_equal(relabel_get_counts(r, 0)->dropped, 1);
	assert_int_equal(relabel_get_counts(r, 1)->seen, 1);
	assert_int_equal(relabel_get_counts(r, 1)->matched, 0);
}

/* RFC 1321, A.5. */
static void md5_gives_the_sums_of_its_standard(void **state)
{
	static const char *const sums[][2] = {
		{"", "d41d8cd98f00b204e9800998ecf8427e"},
		{"abc", "900150983cd24fb0d6963f7d28e17f72"},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		 "d174ab98d277d9f5a5611c2c9f419d9f"},
		{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		 "57edf4a22be3c955ac49da2e2107b67a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
		uint8_t sum[MD5_BYTES];
		char text[2 * MD5_BYTES + 1];

		md5(sums[i][0], strlen(sums[i][0]), sum);
		for (size_t k = 0; k < MD5_BYTES; k++)
			(void)snprintf(text + 2 * k, 3, "%02x", sum[k]);
		assert_string_equal(text, sums[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_action_does_what_prometheus_does),
		cmocka_unit_test(the_classic_mode_writes_no_dotted_names),
		cmocka_unit_test(a_rule_that_cannot_work_is_refused),
		cmocka_unit_test(a_rule_may_not_take_more_than_its_budget),
		cmocka_unit_test(rules_count_what_they_do),
		cmocka_unit_test(md5_gives_the_sums_of_its_standard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
