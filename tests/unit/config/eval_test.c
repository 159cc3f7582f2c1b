/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions, from text to value: precedence, operators, conversions of numbers, access. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/duration.h"
#include "tests/unit/config/expr.h"

static const struct {
	const char *expr, *want;
} cases[] = {
	{"1 + 2 * 3", "7"},
	{"(1 + 2) * 3", "9"},
	{"2 ^ 3 ^ 2", "512"},
	{"-2 ^ 2", "4"},
	{"7 / 2", "3"},
	{"-7 % 3", "-1"},
	{"7 / 2.0", "3.5f"},
	{"10 - 3 - 2", "5"},
	{"010", "8"},
	{"08", "8f"},
	{"9223372036854775807", "9223372036854775807"},
	{"18446744073709551615", "18446744073709551615"},
	{"18446744073709551616", "18446744073709552000f"},
	{"1e21", "1000000000000000000000f"},
	{"0.1", "0.1f"},
	{"1.5e-7", "0.00000015f"},
	{".5 + 1.", "1.5f"},
	{"-9223372036854775807 - 1", "-9223372036854775808"},
	{"(-9223372036854775807 - 1) / -1", "-9223372036854775808"},
	{"1e81",
	 "1000000000000000000000000000000000000000000000000000000000000000000000000000000000f"},
	{"-1.25e22", "-12500000000000000000000f"},
	{"10 ^ 30", "1000000000000000000000000000000f"},
	{"1 / 0", "1:5: divide by zero error"},
	{"1 % 0", "1:5: divide by zero error"},
	{"\"a\" + \"b\"", "\"ab\""},
	{"\"a\" + 1", "1:11: 1 should be string for binop +, got number"},
	{"true + 1", "1:5: true should be one of [number string] for binop +, got bool"},
	{"true && false || true", "true"},
	{"true || 1", "1:13: 1 should be bool for binop ||, got number"},
	{"!true", "false"},
	{"!1", "1:6: 1 should be bool for unary !, got number"},
	{"3 == 3.0", "true"},
	{"3 == \"3\"", "false"},
	{"1 < 2 == true", "true"},
	{"\"a\" < \"b\"", "true"},
	{"\"a\" <= 1", "1:12: 1 should be string for binop <=, got number"},
	{"[1, 2] == [1, 2.0]", "true"},
	{"{a = 1, \"b c\" = [2,],}", "{a=1 b c=[2]}"},
	{"{a = 1, a = 2}", "{a=2}"},
	{"[1, 2][1]", "2"},
	{"[1, 2][2]", "1:12: index 2 is out of range of array with length 2"},
	{"[1][-1]", "1:9: index -1 is out of range of array with length 1"},
	{"{a = {b = 5}}.a.b", "5"},
	{"{a = 1}[\"b\"]", "null"},
	{"{a = 1}.b", "1:5: field \"b\" does not exist"},
	{"null.a", "1:5: cannot access field \"a\" on value of type null"},
	{"nope", "1:5: identifier \"nope\" does not exist"},
	{"1(2)", "1:5: 1 should be function, got number"},
	{"concat([1], [2, 3], [])", "[1 2 3]"},
	{"array.concat()", "[]"},
	{"array.concat([1], 2)", "1:23: 2 should be array, got number"},
	{"coalesce(\"\", 0, null, [], \"x\", \"y\")", "\"x\""},
	{"coalesce(\"\", null)", "null"},
	{"coalesce()", "null"},
	{"sys.env(\"TEPHRA_TEST\")", "\"from here\""},
	{"sys.env(\"TEPHRA_TEST_UNSET\")", "\"\""},
	{"sys.env()", "1:5: sys.env expected 1 args, got 0"},
	{"constants.os", "\"linux\""},
	{"[\n1,\n2,\n]", "[1 2]"},
	{"[\n1,\n2\n]", "3:2: missing ',' in expression list"},
	{"{\n\ta = 1\n}", "2:7: missing ',' in field list"},
	{"[1 2]", "1:8: missing ',' in expression list"},
	{"{a: 1}", "1:7: illegal character U+003A ':'"},
	{"{1 = 2}", "1:6: expected field name (string or identifier), got NUMBER"},
	{"{b { }}", "1:8: cannot use a block as an expression"},
	{"1 +", "1:8: expected expression, got EOF"},
	{"", "1:5: expected expression, got EOF"},
	{"(1", "1:7: expected ), got TERMINATOR"},
	{"a.", "1:7: expected identifier, got EOF"},
	{"1\n + 2", "2:2: expected identifier, got +"},
	{"1 b = 2", "1:7: expected TERMINATOR, got IDENT"},
};

static void expressions_have_the_values_of_the_language(void **state)
{
	int wrong = 0;

	setenv("TEPHRA_TEST", "from here", 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char got[1024];

		evaluate(cases[i].expr, got, sizeof(got));
		if (strcmp(got, cases[i].want) != 0) {
			print_error("'%s': got  '%s'\nwant '%s'\n", cases[i].expr, got,
				    cases[i].want);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		buf_adds(b, s);
}

static void nesting_has_a_limit_and_ends_in_one_error(void **state)
{
	static const struct {
		const char *open, *close, *want;
	} deep[] = {
		{"[", "]", "nested more than 200 levels deep"},
		{"(", ")", "nested more than 200 levels deep"},
		{"{a=", "}", "nested more than 200 levels deep"},
		{"-", "", "nested more than 200 levels deep"},
		{"1 ^ ", "", "nested more than 200 levels deep"},
		{"1 + ", "", "more than 1000 operations"},
		{"a.", "a", "more than 1000 operations"},
		{"concat(", ")", "nested more than 200 levels deep"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(deep); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(1u << 24);
		char got[256];

		repeat(&b, deep[i].open, 100000);
		buf_adds(&b, "1");
		repeat(&b, deep[i].close, 100000);
		evaluate(buf_cstr(&b), got, sizeof(got));
		if (!strstr(got, deep[i].want))
			fail_msg("%s: %s", deep[i].open, got);
	}
	for (size_t i = 0; i < 2; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
		char got[1024];

		repeat(&b, deep[i].open, 190);
		buf_adds(&b, "1");
		repeat(&b, deep[i].close, 190);
		evaluate(buf_cstr(&b), got, sizeof(got));
		assert_null(strstr(got, "nested"));
	}
}

static void durations_are_those_of_go(void **state)
{
	static const struct {
		const char *text;
		int64_t ns; /* INT64_MIN: refused */
	} d[] = {
		{"15s", 15000000000},
		{"1m0.5s", 60500000000},
		{"1h30m", 5400000000000},
		{"500ms", 500000000},
		{"-3us", -3000},
		{"0", 0},
		{".5s", 500000000},
		{"1.s", 1000000000},
		{"15", INT64_MIN},
		{"", INT64_MIN},
		{"s", INT64_MIN},
		{".s", INT64_MIN},
		{"1d", INT64_MIN},
		{"1 s", INT64_MIN},
		{"9999999999h", INT64_MIN},
		{"1\xc2\xb5s", 1000},
		{"+1ns", 1},
		{"-", INT64_MIN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(d); i++) {
		int64_t ns = INT64_MIN;
		const char *why;

		(void)duration_parse(d[i].text, &ns, &why);
		if (ns != d[i].ns)
			fail_msg("'%s': %lld", d[i].text, (long long)ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_have_the_values_of_the_language),
		cmocka_unit_test(nesting_has_a_limit_and_ends_in_one_error),
		cmocka_unit_test(durations_are_those_of_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
