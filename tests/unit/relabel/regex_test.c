/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions without Go at hand; regex_differential.py is the larger test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/relabel/regex.h"

static const struct {
	const char *expr, *text, *template, *want; /* want NULL: no match */
} whole[] = {
	{"(.*)", "a\nb", "$1", "a\nb"},
	{"a|ab", "ab", "<$0>", "<ab>"},
	{"a", "ab", "", NULL},
	{"", "", "x", "x"},
	{"", "a", "", NULL},
	{"([^:]+)(?::\\d+)?;(\\d+)", "10.1.2.3:80;9090", "$1:$2", "10.1.2.3:9090"},
	{"(a)(b)", "ab", "$1_x ${1}_x $$1 $3 $", " a_x $1  $"},
	{"(?P<first>a)(?<second>b)", "ab", "$second${first}", "ba"},
	{"a)|(b", "xxb", "$0", "b"}, /* as in Go: the anchors are text around it */
	{".", "\xff", "<$0>", "<\xff>"},
	{"\xef\xbf\xbd", "\xff", "y", "y"},
};

static void the_whole_text_must_match(void **state)
{
	struct regex_scratch x = {0};

	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		_cleanup_(regex_freep) struct regex *re = NULL;
		_cleanup_buf_ struct buf out = BUF_INIT(1000);
		uint64_t budget = 10000;
		char why[256];
		int r;

		assert_int_equal(regex_new_whole(whole[i].expr, strlen(whole[i].expr), &re, why,
						 sizeof(why)),
				 0);
		r = regex_match(re, &x, whole[i].text, strlen(whole[i].text), &budget);
		assert_int_equal(r, whole[i].want != NULL);
		if (!r)
			continue;
		regex_expand(re, &x, whole[i].text, whole[i].template, strlen(whole[i].template),
			     &out);
		assert_string_equal(buf_cstr(&out), whole[i].want);
	}
	regex_scratch_done(&x);
}

static void an_error_shows_what_the_person_wrote(void **state)
{
	static const char *const table[][2] = {
		{"(", "error parsing regexp: missing closing ): `(`"},
		{"a)", "error parsing regexp: unexpected ): `a)`"},
		{"a**", "error parsing regexp: invalid nested repetition operator: `**`"},
		{"(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		{"(?<=a)b", "error parsing regexp: invalid named capture: `(?<=a)b`"},
		{"\\1", "error parsing regexp: invalid escape sequence: `\\1`"},
		{"[b-a]", "error parsing regexp: invalid character class range: `b-a`"},
		{"a\\", "error parsing regexp: trailing backslash at end of expression: ``"},
		{"(?:\\pL{1000}){100}", "error parsing regexp: invalid repeat count: `{100}`"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct regex *re;
		char why[256] = "";

		assert_int_equal(
			regex_new_whole(table[i][0], strlen(table[i][0]), &re, why, sizeof(why)),
			-EINVAL);
		assert_string_equal(why, table[i][1]);
	}
}

static void what_explodes_elsewhere_takes_linear_time(void **state)
{
	static const char *const table[] = {"(x+x+)+y", "(x|xx)*y", "(.*)*(.*)*(.*)*y",
					    "((((x*)*)*)*)*y", "(x?){30}(x*){30}y"};
	_cleanup_free_ char *text = malloc(1u << 20);
	struct regex_scratch x = {0};

	memset(text, 'x', 1u << 20);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(regex_freep) struct regex *re = NULL;
		uint64_t budget, short_steps, long_steps;
		char why[256];

		assert_int_equal(regex_new_whole(table[i], strlen(table[i]), &re, why, sizeof(why)),
				 0);
		budget = 1000000000;
		assert_int_equal(regex_match(re, &x, text, 100, &budget), 0);
		short_steps = 1000000000 - budget;
		budget = 1000000000;
		assert_int_equal(regex_match(re, &x, text, 10000, &budget), 0);
		long_steps = 1000000000 - budget;
		assert_true(long_steps < short_steps * 300);
		/* And nothing takes more than it was given. */
		budget = 5000;
		assert_int_equal(regex_match(re, &x, text, 1u << 20, &budget), -E2BIG);
		assert_int_equal(budget, 0);
	}
	regex_scratch_done(&x);
}

static void a_large_program_is_refused(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	struct regex *re;
	char why[512];

	for (int i = 0; i < 300; i++)
		buf_adds(&b, "[a-z]{1000}");
	assert_int_equal(regex_new((char *)b.data, b.len, &re, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "expression too large"));
	buf_reset(&b);
	for (int i = 0; i < 30000; i++)
		buf_adds(&b, "(?i)\\pL");
	assert_int_equal(regex_new((char *)b.data, b.len, &re, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "expression too large"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_text_must_match),
		cmocka_unit_test(an_error_shows_what_the_person_wrote),
		cmocka_unit_test(what_explodes_elsewhere_takes_linear_time),
		cmocka_unit_test(a_large_program_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
