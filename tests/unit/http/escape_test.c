/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/http/escape.h"

static void everything_that_is_not_plain_is_encoded(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(256);

	http_escape(&b, "aZ09-._~ /&=+%{}\xc3\xa4");
	assert_string_equal(buf_cstr(&b), "aZ09-._~%20%2F%26%3D%2B%25%7B%7D%C3%A4");
}

static void what_is_no_code_stands_for_itself(void **state)
{
	static const struct {
		const char *in, *plain, *form;
	} cases[] = {
		{"a%2fb", "a/b", "a/b"},
		{"a+b", "a+b", "a b"},
		{"%", "%", "%"},
		{"%4", "%4", "%4"},
		{"%zz%41", "%zzA", "%zzA"},
		{"%%41", "%A", "%A"},
		{"", "", ""},
	};
	char to[32];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = strlen(cases[i].in);

		assert_int_equal(http_unescape(cases[i].in, n, false, to), strlen(cases[i].plain));
		assert_string_equal(to, cases[i].plain);
		http_unescape(cases[i].in, n, true, to);
		assert_string_equal(to, cases[i].form);
	}
	/* No further than n. */
	assert_int_equal(http_unescape("%41", 2, false, to), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_that_is_not_plain_is_encoded),
		cmocka_unit_test(what_is_no_code_stands_for_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
