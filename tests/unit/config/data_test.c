/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and YAML of others: what comes out, what is refused and where, what is bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/data.h"

typedef int (*reader)(const char *s, size_t n, struct value **ret, char *why, size_t size);

/* Reads, and writes what was read as JSON; the error on failure. */
static int read_as(reader read, const char *text, size_t n, char *to, size_t size)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	_cleanup_value_ struct value *v = NULL;
	int r = read(text, n, &v, to, size);

	if (r < 0)
		return r;
	data_to_json(v, &b);
	(void)snprintf(to, size, "%s", buf_cstr(&b));
	return 0;
}

static const struct {
	const char *text, *want;
} json[] = {
	{"null", "null"},
	{" [1, 2.5, -3e2, 1e21, 1e-7, 12345678901234567890] ",
	 "[1,2.5,-300,1e+21,1e-7,12345678901234567000]"},
	{"{\"b\": true, \"a\": {\"c\": []}, \"b\": false}", "{\"a\":{\"c\":[]},\"b\":false}"},
	{"\"\\u00fc\\ud83d\\ude00\\n\\\"<&>\\u0001\\u2028\"",
	 "\"\xc3\xbc\xf0\x9f\x98\x80\\n\\\"\\u003c\\u0026\\u003e\\u0001\\u2028\""},
	{"\"a\\u0000b\"", "\"a\\u0000b\""},
	{"[\"a\\\"]\", \"\\\\\"]", "[\"a\\\"]\",\"\\\\\"]"},
};

static void json_is_read_and_written_as_go_does(void **state)
{
	char got[1000];

	for (size_t i = 0; i < ARRAY_SIZE(json); i++) {
		assert_int_equal(
			read_as(data_from_json, json[i].text, strlen(json[i].text), got, 1000), 0);
		assert_string_equal(got, json[i].want);
	}
}

static const struct {
	const char *text, *want;
} yaml[] = {
	{"", "null"},
	{"# nothing", "null"},
	{"a: 1\nb: [x, 'y', \"z\"]\n", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\"]}"},
	{"- 10\n- -10\n- 0x1F\n- 0o17\n- 010\n- 1_000\n- 1.5\n- .5\n- 1e3\n- 18446744073709551615",
	 "[10,-10,31,15,8,1000,1.5,0.5,1000,18446744073709551615]"},
	{"[true, False, yes, on, y, ~, null, Null, '']",
	 "[true,false,\"yes\",\"on\",\"y\",null,null,null,\"\"]"},
	{"['1', \"true\", !!str 5, !!int \"7\", 1.2.3, 10.0.0.1, +, -, 1e, .]",
	 "[\"1\",\"true\",\"5\",7,\"1.2.3\",\"10.0.0.1\",\"+\",\"-\",\"1e\",\".\"]"},
	{"[.inf, .nan]", "[null,null]"},
	{"1: a\ntrue: b\n~: c\n", "{\"1\":\"a\",\"null\":\"c\",\"true\":\"b\"}"},
	{"a: &x {k: 1, l: 2}\nb: *x\nc:\n  <<: *x\n  l: 3\n",
	 "{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":1,\"l\":2},\"c\":{\"k\":1,\"l\":3}}"},
	{"p: &p {k: 1}\nq: &q {k: 2, m: 3}\nr: {<<: [*p, *q]}\n",
	 "{\"p\":{\"k\":1},\"q\":{\"k\":2,\"m\":3},\"r\":{\"k\":1,\"m\":3}}"},
	{"a: |\n  one\n  two\nb: >\n  one\n  two\n",
	 "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\\n\"}"},
	{"--- first\n--- second\n", "\"first\""},
	{"a: 2024-01-02", "{\"a\":\"2024-01-02\"}"},
	{"{\"json\": [1, {\"is\": \"yaml\"}]}", "{\"json\":[1,{\"is\":\"yaml\"}]}"},
};

static void yaml_is_read_with_the_types_its_scalars_have(void **state)
{
	char got[1000];

	for (size_t i = 0; i < ARRAY_SIZE(yaml); i++) {
		int r = read_as(data_from_yaml, yaml[i].text, strlen(yaml[i].text), got, 1000);

		if (r < 0)
			fail_msg("%s: %s", yaml[i].text, got);
		assert_string_equal(got, yaml[i].want);
	}
}

static const struct {
	reader read;
	const char *text, *why;
	int r;
} refused[] = {
	{data_from_json, "", "line 1", -EBADMSG},
	{data_from_json, "{\"a\": 1,\n}", "line 2", -EBADMSG},
	{data_from_json, "[1] x", "end of file expected", -EBADMSG},
	{data_from_json, "\"\xff\"", "line 1", -EBADMSG},
	{data_from_json, "[1e999]", "overflow", -EBADMSG},
	{data_from_json, "{\"a\\u0000b\": 1}", "line 1", -EBADMSG},
	{data_from_yaml, "a: [1", "line 2: ", -EBADMSG},
	{data_from_yaml, "a: 1\na: 2", "line 1: a mapping has a key twice", -EBADMSG},
	{data_from_yaml, "a: *b", "line 1: unknown anchor 'b' referenced", -EBADMSG},
	{data_from_yaml, "a: &x [*x]", "unknown anchor 'x'", -EBADMSG},
	{data_from_yaml, "a: {<<: 1}", "map merge", -EBADMSG},
	{data_from_yaml, "? [a]\n: b", "a key must be a string", -EBADMSG},
	{data_from_yaml, "\"\xff\"", "line 1", -EBADMSG},
};

static void what_is_malformed_is_refused_with_its_line(void **state)
{
	char got[1000];

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		int r = read_as(refused[i].read, refused[i].text, strlen(refused[i].text), got,
				1000);

		if (r != refused[i].r || !strstr(got, refused[i].why))
			fail_msg("%s: %d %s", refused[i].text, r, got);
	}
}

static void depth_and_number_of_values_are_bounded(void **state)
{
	_cleanup_free_ char *deep = malloc(1u << 20), *wide = malloc(DATA_MAX_VALUES * 2 + 8);
	_cleanup_buf_ struct buf bomb = BUF_INIT(1u << 20);
	char got[1000];

	memset(deep, '[', 1u << 20);
	assert_int_equal(read_as(data_from_json, deep, 1u << 20, got, 1000), -E2BIG);
	assert_int_equal(read_as(data_from_yaml, deep, 1u << 20, got, 1000), -E2BIG);
	assert_non_null(strstr(got, "levels deep"));
	for (size_t i = 0; i < DATA_MAX_VALUES + 2; i++)
		memcpy(wide + 2 * i, i ? ",0" : "[0", 2);
	assert_int_equal(read_as(data_from_json, wide, DATA_MAX_VALUES * 2 + 4, got, 1000), -E2BIG);
	assert_non_null(strstr(got, "values"));
	/* Ten levels of ten times the level before: 10^10 values, if they were made. */
	buf_adds(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&bomb, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_printf(&bomb, "%s*a%d", k ? ", " : "", i - 1);
		buf_adds(&bomb, "]\n");
	}
	assert_int_equal(read_as(data_from_yaml, buf_cstr(&bomb), bomb.len, got, 1000), -E2BIG);
	assert_non_null(strstr(got, "values"));
}

static void secrets_are_not_written(void **state)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	_cleanup_buf_ struct buf b = BUF_INIT(1000);
	_cleanup_value_ struct value *v = NULL;

	value_list_add(&l, "a", value_secret("hush"));
	value_list_add(&l, "b", value_optional_secret("hush", 4, true));
	value_list_add(&l, "c", value_optional_secret("open", 4, false));
	value_list_add(&l, "d", value_capsule(&capsule_receiver, NULL));
	value_list_add(&l, "e\xff", value_string("\xc3", 1));
	v = value_object(&l);
	data_to_json(v, &b);
	assert_string_equal(buf_cstr(&b),
			    "{\"a\":\"(secret)\",\"b\":\"(secret)\",\"c\":\"open\","
			    "\"d\":\"capsule(\\\"receiver\\\")\",\"e\\ufffd\":\"\\ufffd\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_read_and_written_as_go_does),
		cmocka_unit_test(yaml_is_read_with_the_types_its_scalars_have),
		cmocka_unit_test(what_is_malformed_is_refused_with_its_line),
		cmocka_unit_test(depth_and_number_of_values_are_bounded),
		cmocka_unit_test(secrets_are_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
