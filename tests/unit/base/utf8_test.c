/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/utf8.h"

static void check_clean(const char *in, size_t n, size_t max, const char *want)
{
	_cleanup_buf_ struct buf out = BUF_INIT(1000);

	utf8_clean(&out, in, n, max);
	assert_string_equal(buf_cstr(&out), want);
	assert_true(utf8_is_clean(buf_cstr(&out), out.len, 1000));
}

static void what_is_not_text_becomes_the_replacement_character(void **state)
{
	check_clean("caf\xc3\xa9 \xf0\x9f\x94\xa5", 10, 100, "caf\xc3\xa9 \xf0\x9f\x94\xa5");
	check_clean("a\xff\x62", 3, 100,
		    "a\xef\xbf\xbd"
		    "b");
	/* Overlong '/', a surrogate, beyond U+10FFFF, and a sequence that is cut off. */
	check_clean("\xc0\xaf", 2, 100, "\xef\xbf\xbd\xef\xbf\xbd");
	check_clean("\xed\xa0\x80", 3, 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	check_clean("\xf4\x90\x80\x80", 1, 100, "\xef\xbf\xbd");
	check_clean("x\xe2\x82", 3, 100, "x\xef\xbf\xbd\xef\xbf\xbd");
	check_clean("a\0b", 3, 100,
		    "a\xef\xbf\xbd"
		    "b");
}

static void cleaning_cuts_between_characters(void **state)
{
	check_clean("\xc3\xa9\xc3\xa9\xc3\xa9", 6, 5, "\xc3\xa9\xc3\xa9");
	check_clean("\xff\xff", 2, 4, "\xef\xbf\xbd");
	assert_false(utf8_is_clean("abcdef", 6, 5));
}

/* Eight bytes are looked at together: one that is no text, at every place of two such words. */
static void one_bad_byte_is_found_wherever_it_is(void **state)
{
	static const char bad[] = {0, '\x80', '\xff', 1};

	for (size_t at = 0; at < 17; at++) {
		for (size_t i = 0; i < sizeof(bad); i++) {
			char in[] = "abcdefghijklmnopq", want[40] = "";

			in[at] = bad[i];
			(void)snprintf(want, sizeof(want), "%.*s%s%s", (int)at, "abcdefghijklmnopq",
				       bad[i] == 1 ? "\x01" : UTF8_REPLACEMENT,
				       &"abcdefghijklmnopq"[at + 1]);
			check_clean(in, 17, 100, want);
			/* And cut behind it. */
			want[at + (bad[i] == 1 ? 1 : strlen(UTF8_REPLACEMENT))] = '\0';
			check_clean(in, 17, strlen(want), want);
		}
	}
}

static void check_fit(const char *in, unsigned int columns, const char *want)
{
	_cleanup_buf_ struct buf out = BUF_INIT(1000);
	unsigned int used = utf8_fit(&out, in, columns);

	assert_string_equal(buf_cstr(&out), want);
	assert_true(used <= columns);
	assert_int_equal(used, utf8_columns(want));
}

static void long_names_lose_their_middle(void **state)
{
	check_fit("short", 5, "short");
	check_fit("abcdefghij", 5, "ab" UTF8_ELLIPSIS "ij");
	check_fit("abcdefghij", 4, "ab" UTF8_ELLIPSIS "j");
	check_fit("abc", 1, UTF8_ELLIPSIS);
	check_fit("abc", 0, "");
	/* Two columns each: half a character is not printed. */
	check_fit("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 4, "\xe6\xbc\xa2" UTF8_ELLIPSIS);
	check_fit("e\xcc\x81"
		  "bc",
		  3,
		  "e\xcc\x81"
		  "bc");
}

static void names_can_not_speak_to_the_terminal(void **state)
{
	check_fit("a\033[31mb", 20, "a\xef\xbf\xbd[31mb");
	check_fit("\xc2\x9b"
		  "31m",
		  20,
		  "\xef\xbf\xbd"
		  "31m");
	check_fit("x\xe2\x80\xae"
		  "y\r\n",
		  20, "x\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_text_becomes_the_replacement_character),
		cmocka_unit_test(cleaning_cuts_between_characters),
		cmocka_unit_test(one_bad_byte_is_found_wherever_it_is),
		cmocka_unit_test(long_names_lose_their_middle),
		cmocka_unit_test(names_can_not_speak_to_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
