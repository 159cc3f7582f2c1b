/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/config/lexer.h"

/* The tokens of a text as their names, and the first diagnostic behind a bar. */
static void tokens(const char *text, size_t len, char *to, size_t size)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	_cleanup_diag_ struct diag_list d = {0};
	struct source *s;
	struct lexer l;
	struct token t;

	assert_int_equal(source_new("t", text, len, &s), 0);
	l = lexer_of(s, &d);
	while ((t = lexer_next(&l)).kind != TOKEN_EOF)
		buf_printf(&b, "%s%s", b.len ? " " : "",
			   t.kind == TOKEN_TERMINATOR ? ";" : token_name(t.kind));
	if (d.n)
		buf_printf(&b, " | %s", d.items[0].message);
	(void)snprintf(to, size, "%s", buf_cstr(&b));
	source_free(s);
}

static const struct {
	const char *text, *want;
} cases[] = {
	{"a = 1\n", "IDENT = NUMBER ;"},
	{"a = 1", "IDENT = NUMBER ;"},
	{"a = // why\n1", "IDENT = NUMBER ;"},
	{"a // why\n= 1", "IDENT ; = NUMBER ;"},
	{"a /* why */ = 1", "IDENT = NUMBER ;"},
	{"a /* why\n */ = 1", "IDENT ; = NUMBER ;"},
	{"a /* x */ // y\n= 1", "IDENT ; = NUMBER ;"},
	{"a /* x */ \r\n= 1", "IDENT ; = NUMBER ;"},
	{"a\r\nb", "IDENT ; IDENT ;"},
	{"f(\n1,\n2,\n)\n", "IDENT ( NUMBER , NUMBER , ) ;"},
	{"[{}]\n", "[ { } ] ;"},
	{"x +\ny", "IDENT + IDENT ;"},
	{"true null false truely", "BOOL NULL BOOL IDENT ;"},
	{".5 1. 1e3 1E-3 007 1.5.x", "FLOAT FLOAT FLOAT FLOAT NUMBER FLOAT . IDENT ;"},
	{"1e", "ILLEGAL ; | exponent has no digits"},
	{"a.b.c", "IDENT . IDENT . IDENT ;"},
	{"|| && ! != = == < <= > >= + - * / % ^ . , ( ) [ ] { }",
	 "|| && ! != = == < <= > >= + - * / % ^ . , ( ) [ ] { } ;"},
	{"a | b", "IDENT ILLEGAL IDENT ; | missing second | in ||"},
	{"a & b", "IDENT ILLEGAL IDENT ; | missing second & in &&"},
	{"# no", "ILLEGAL IDENT ; | illegal character U+0023 '#'"},
	{"a; b", "IDENT ILLEGAL IDENT ; | illegal character U+003B ';'"},
	{"'x'", "ILLEGAL ; | illegal single-quoted string; use double quotes"},
	{"\"a\nb", "ILLEGAL ; IDENT ; | string literal not terminated"},
	{"\"a", "ILLEGAL ; | string literal not terminated"},
	{"\"\\'\"", "ILLEGAL ; | unknown escape sequence"},
	{"\"\\400\"", "ILLEGAL ; | escape sequence is invalid Unicode code point"},
	{"\"\\ud800\"", "ILLEGAL ; | escape sequence is invalid Unicode code point"},
	{"\"\\U00110000\"", "ILLEGAL ; | escape sequence is invalid Unicode code point"},
	{"\"\\\\\" b", "STRING IDENT ;"},
	{"`a\n\\b` c", "STRING IDENT ;"},
	{"`a", "ILLEGAL ; | raw string literal not terminated"},
	{"/* a", " | block comment not terminated"},
	{"/*/", " | block comment not terminated"},
	{"\xef\xbb\xbf"
	 "a",
	 "IDENT ;"},
	{"a \xef\xbb\xbf", "IDENT ILLEGAL ; | illegal byte order mark"},
	{"\xff", "ILLEGAL | illegal UTF-8 encoding"},
	{"\"\xc0\x80\"", "ILLEGAL ; | illegal UTF-8 encoding"},
	{"gr\xc3\xb6\xc3\x9f"
	 "e_2",
	 "IDENT ;"},
	{"a\xe2\x80\x94"
	 "b",
	 "IDENT ILLEGAL IDENT ; | illegal character U+2014 '\xe2\x80\x94'"},
};

static void tokens_and_terminators_follow_the_language(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char got[1024];

		tokens(cases[i].text, strlen(cases[i].text), got, sizeof(got));
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("'%s': got  '%s'\nwant '%s'", cases[i].text, got, cases[i].want);
	}
}

static void a_nul_byte_is_an_error_and_not_the_end(void **state)
{
	char got[256];

	tokens("a\0b", 3, got, sizeof(got));
	assert_string_equal(got, "IDENT ILLEGAL IDENT ; | illegal character NUL");
	tokens("\"a\0b\" c", 7, got, sizeof(got));
	assert_string_equal(got, "ILLEGAL IDENT ; | illegal character NUL");
}

static void utf16_is_converted(void **state)
{
	char got[256];

	tokens("\xff\xfe"
	       "a\0=\0"
	       "1\0",
	       8, got, sizeof(got));
	assert_string_equal(got, "IDENT = NUMBER ;");
	tokens("\xfe\xff"
	       "\0a\0=\0"
	       "1",
	       8, got, sizeof(got));
	assert_string_equal(got, "IDENT = NUMBER ;");
}

static void escapes_are_decoded(void **state)
{
	static const char text[] =
		"\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\101\\x41\\u00e9\\U0001F600\\377\"";
	size_t n;
	char *s = token_string(text, sizeof(text) - 1, &n);

	assert_non_null(s);
	assert_string_equal(s, "\a\b\f\n\r\t\v\\\"AA\xc3\xa9\xf0\x9f\x98\x80\xff");
	assert_int_equal(n, strlen(s));
	free(s);
	s = token_string("`a\\n\r\nb`", 8, &n);
	assert_string_equal(s, "a\\n\nb");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_and_terminators_follow_the_language),
		cmocka_unit_test(a_nul_byte_is_an_error_and_not_the_end),
		cmocka_unit_test(utf16_is_converted),
		cmocka_unit_test(escapes_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
