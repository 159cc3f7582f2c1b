/* SPDX-License-Identifier: Apache-2.0 */
/* What `fmt` makes of a text; each result must also be what it makes of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/format.h"

static const struct {
	const char *in, *want;
} cases[] = {
	{"", ""},
	{"\n\n", ""},
	{"\xef\xbb\xbf"
	 "a=1\r\n",
	 "a = 1\n"},
	{"// only\n\n\n\n  // comments  ", "// only\n\n// comments\n"},
	/* attributes */
	{"a=1\nlonger  =  2\n\n\n\nb=3", "a      = 1\nlonger = 2\n\nb = 3\n"},
	{"a = 1 +\n2\nlonger = -x*!y^(3)\n", "a      = 1 + 2\nlonger = -x * !y ^ (3)\n"},
	{"a = 1 // one\nlonger = 22 /* two */\n", "a      = 1  // one\nlonger = 22 /* two */\n"},
	{"\xc3\xbc = 1\nlonger = 2", "\xc3\xbc      = 1\nlonger = 2\n"},
	{"a = `x\n\ty  `\nlonger = 2", "a = `x\n\ty  `\nlonger = 2\n"},
	{"a = 1 . b [ 0 ] ( )\n", "a = 1 .b[0]()\n"},
	{"a = b . c . d", "a = b.c.d\n"},
	{"a =\n1", "a = 1\n"},
	/* blocks */
	{"b \"l\" { }\nb { a = 1 }\nc = 1", "b \"l\" { }\n\nb {\n\ta = 1\n}\nc = 1\n"},
	{"b {\n\n\n}", "b { }\n"},
	{"b \"\" {\n\n  x = 1\n\n\n  yy = 2\n\n}", "b {\n\tx = 1\n\n\tyy = 2\n}\n"},
	{"a . b /* c */ \"l\" { d { e { } } }", "a.b /* c */ \"l\" {\n\td {\n\t\te { }\n\t}\n}\n"},
	{"b { // why\n  // first\n  x = 1\n  // last\n}",
	 "b { // why\n\t// first\n\tx = 1\n\t// last\n}\n"},
	{"b {\n// alone\n}", "b {\n\t// alone\n}\n"},
	{"a { }\n// of b\nb { }", "a { }\n// of b\nb { }\n"},
	{"x = 1\n/* of y */ y = 2", "x = 1\n/* of y */ y = 2\n"},
	/* lists */
	{"a = [ 1,2 , 3, ]", "a = [1, 2, 3]\n"},
	{"a = [\n1,2,\n3]", "a = [\n\t1, 2,\n\t3]\n"},
	{"a = [\n1, // one\n22,// two\n]", "a = [\n\t1, // one\n\t22, // two\n]\n"},
	{"a = [ // why\n\n1,\n\n// two\n2,\n]", "a = [ // why\n\n\t1,\n\n\t// two\n\t2,\n]\n"},
	{"a = [1 /* c */ , 2]", "a = [1, /* c */ 2]\n"},
	{"a = [\n]", "a = []\n"},
	{"a = {b=1,\"c d\"=2,}", "a = {b = 1, \"c d\" = 2}\n"},
	{"a = {\nb=1,\n\"c d\"=2,\n`e`={\nf=3,\n},\ng=4,\n}",
	 "a = {\n\tb     = 1,\n\t\"c d\" = 2,\n\t`e`   = {\n\t\tf = 3,\n\t},\n\tg = 4,\n}\n"},
	{"a = {}", "a = {}\n"},
	{"a = f(1,\n[2,\n],\n)", "a = f(1,\n\t[2,\n\t],\n)\n"},
	{"a = concat(\n  b.c,\n  [{\"x\"=\"1\"}],\n)",
	 "a = concat(\n\tb.c,\n\t[{\"x\" = \"1\"}],\n)\n"},
	{"a = b + // why\nc", "a = b + // why\nc\n"},
};

static void format(const char *in, struct buf *out)
{
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_(ast_freep) struct ast_file *f = NULL;
	struct source *s;

	assert_int_equal(source_new("t", in, strlen(in), &s), 0);
	if (parser_parse(s, &d, &f) < 0)
		fail_msg("does not parse: %s", in);
	assert_int_equal(format_file(f, out), 0);
}

static void text_is_written_in_the_usual_form(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf once = BUF_INIT(1u << 20), twice = BUF_INIT(1u << 20);

		format(cases[i].in, &once);
		format(buf_cstr(&once), &twice);
		if (!strcmp(buf_cstr(&once), cases[i].want) &&
		    !strcmp(buf_cstr(&twice), cases[i].want))
			continue;
		print_error("%s\n--- once\n%s--- twice\n%s--- want\n%s", cases[i].in,
			    buf_cstr(&once), buf_cstr(&twice), cases[i].want);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_written_in_the_usual_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
