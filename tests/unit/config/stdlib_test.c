/* SPDX-License-Identifier: Apache-2.0 */
/* The standard library: values, and the errors that a person sees. Results of string.format() are
 * those that go1.19 prints. */
#include <errno.h>

#include "tests/unit/config/expr.h"

#define F(args, want)                                     \
	{                                                 \
		"string.format(" args ")", "\"" want "\"" \
	}

static const struct {
	const char *expr, *want;
} cases[] = {
	/* string.format */
	F("\"%v|%v|%v|%v|%v\", 21., 123456., 1e6, 1234567., 1.5e-5",
	  "21|123456|1e+06|1.234567e+06|1.5e-05"),
	F("\"%#g %.3g %10.2f|%-10.2f|%+.1e|%08.2f\", 1.5, 1234.5, 3.14159, 3.14159, 12345.678, "
	  "-3.14159",
	  "1.50000 1.23e+03       3.14|3.14      |+1.2e+04|-0003.14"),
	F("\"% d|%+d|%05d|%x|%X|%#x|%o|%#o|%O|%b|%c|%q|%U|%#U\", 5, 5, -42, 255, 255, 255, 8, 8, "
	  "8, 5, 128512, 128512, 128512, 128512",
	  " 5|+5|-0042|ff|FF|0xff|10|010|0o10|101|\xf0\x9f\x98\x80|'\xf0\x9f\x98\x80'|U+1F600|"
	  "U+1F600 '\xf0\x9f\x98\x80'"),
	F("\"%5s|%-5s|%.2s|%q|%+q|%#q|%x|% x|%#x|%X|%5t|%v|%d\", \"ab\", \"ab\", \"abcdef\", "
	  "\"a\\\"b\\n\xc3\xbc\\x01\\xff\", \"\xc3\xbc\", \"a b\", \"hi\", \"hi\", \"hi\", \"hi\", "
	  "true, null, \"x\"",
	  "   ab|ab   |ab|\"a\\\"b\\n\xc3\xbc\\x01\\xff\"|\"\\u00fc\"|`a b`|6869|68 69|0x6869|6869|"
	  " true|<nil>|%!d(string=x)"),
	F("\"%v %d %s %q %+v %#v %T\", [1, \"a\", null, true], [1, \"a\"], [1, \"a\"], [\"a\"], "
	  "{b = 1, a = 1.5}, {b = [null], a = \"x\"}, {}",
	  "[1 a <nil> true] [1 %!d(string=a)] [%!s(int64=1) a] [\"a\"] map[a:1.5 b:1] "
	  "map[string]interface {}{\"a\":\"x\", \"b\":[]interface {}{interface {}(nil)}} "
	  "map[string]interface {}"),
	F("\"%d %s\", 1", "1 %!s(MISSING)"),
	F("\"%d\", 1, \"x\", null, 2.5", "1%!(EXTRA string=x, <nil>, float64=2.5)"),
	F("\"%[1]d %d %[1]d|%*d|%[1]*[2]d\", 5, 7", "5 7 5|%!d(MISSING)|    7"),
	F("\"%[3]d|%[0]d|%[x]d|%[1\", 5", "%!d(BADINDEX)|%!d(BADINDEX)|%!d(BADINDEX)|%!(NOVERB)"),
	F("\"%05s|%-05d|%+05d|%05q|%x|%010x|%.5d|%8.5d|%+.3d|%.0d|%#08x|% 05d|%e\", \"ab\", 5, 5, "
	  "\"a\", -255, 255, 42, 42, 7, 0, 255, 42, 1e5",
	  "000ab|5    |+0005|00\"a\"|-ff|00000000ff|00042|   00042|+007||0x000000ff| 0042|"
	  "1.000000e+05"),
	F("\"%t %t %c %v %6.2f%%|%s|%v\", \"x\", 1, \"a\", true, 99.5, 1.5, \"\xc3\xa9\"",
	  "%!t(string=x) %!t(int64=1) %!c(string=a) true  99.50%|%!s(float64=1.5)|\xc3\xa9"),
	F("\"%!d %-+5d| %s\", 1, 2, [null]", "%!!(int64=1)d +2   | [<nil>]"),
	F("\"%5v|%-8v|%05v|%7v\", [1, 22], true, 3, null", "[    1    22]|true    |00003|  <nil>"),
	F("\"%\xc3\xa9|%d\", 1, 2", "%!\xc3\xa9(int64=1)|2"),
	F("\"%.3x|%5c|%-5c|%05c|%10q|%#U\", \"hello\", 65, 65, 65, 65, 127",
	  "68656c|    A|A    |0000A|       'A'|U+007F"),
	F("\"%.10g|%g|%g|%.3v|%10v|%+v|% g\", 1e11, 1e100, 1e-10, 3.14159, 2.5, 2.5, 2.5",
	  "1e+11|1e+100|1e-10|3.14|       2.5|2.5| 2.5"),
	F("\"%999999999d\", 1", "%!(NOVERB)%!(EXTRA int64=1)"),
	F("\"%*d|%*d|%.*f\", 4, 1, -4, 2, 1, 2.55", "   1|2   |2.5"),
	F("\"plain\"", "plain"),
	F("\"%d\", encoding.from_json(\"8080\")", "%!d(float64=8080)"),
	{"string.format(5)", "\"5\""},
	/* the rest of string.* */
	{"string.join([\"a\", 1, null], \"-\")", "\"a-1-\""},
	{"string.join([\"a\", true], \"-\")", "1:17: [\"a\", true][1] should be string, got bool"},
	{"string.split(\"a,b,,c\", \",\")", "[\"a\" \"b\" \"\" \"c\"]"},
	{"string.split(\"\", \",\")", "[\"\"]"},
	{"string.split(\"a\xc3\xbc\", \"\")", "[\"a\" \"\xc3\xbc\"]"},
	{"string.replace(\"a.b.c\", \".\", \"::\")", "\"a::b::c\""},
	{"string.replace(\"ab\", \"\", \"-\")", "\"-a-b-\""},
	{"string.replace(\"aaa\", \"aa\", \"b\")", "\"ba\""},
	{"string.to_upper(\"stra\xc3\x9f"
	 "e \xc3\xa9\xce\xb1\")",
	 "\"STRA\xc3\x9f"
	 "E \xc3\x89\xce\x91\""},
	{"string.to_lower(\"\xc3\x84"
	 "B\")",
	 "\"\xc3\xa4"
	 "b\""},
	{"string.trim(\"xxaxbxx\", \"x\")", "\"axb\""},
	{"string.trim(\"\xc3\xbc"
	 "a\xc3\xbc\", \"\xc3\xbc\")",
	 "\"a\""},
	{"string.trim(\"aaa\", \"a\")", "\"\""},
	{"string.trim_prefix(\"docker://x\", \"docker://\")", "\"x\""},
	{"string.trim_suffix(\"x.service\", \".service\")", "\"x\""},
	{"string.trim_suffix(\"x\", \"longer\")", "\"x\""},
	{"string.trim_space(\" \\t\\na b\xc2\xa0\\r\")", "\"a b\""},
	{"string.to_lower(true)", "1:21: true should be string, got bool"},
	{"string.trim(\"a\")", "1:5: string.trim expected 2 args, got 1"},
	{"string.format()", "1:5: string.format expected at least 1 args, got 0"},
	/* encoding.* */
	{"encoding.from_json(`{\"a\": [1, 2.5, null, \"x\"]}`).a", "[1f 2.5f null \"x\"]"},
	{"encoding.from_json(`{`)",
	 "1:24: `{` cannot be parsed: line 1, column 1: string or '}' expected near end of file"},
	{"encoding.from_yaml(\"a: [1, x]\")[\"a\"]", "[1 \"x\"]"},
	{"encoding.to_json({a = 1, b = [\"<x>\", null, true, 1.5]})",
	 "\"{\"a\":1,\"b\":[\"\\u003cx\\u003e\",null,true,1.5]}\""},
	{"encoding.to_json([1])", "1:22: [1] should be object, got array"},
	{"encoding.to_json({a = sys.env})",
	 "1:22: {a = sys.env} holds a function, which cannot be written as JSON"},
	{"encoding.to_base64(\"f\") + encoding.to_base64(\"fo\") + encoding.to_base64(\"foo\")",
	 "\"Zg==Zm8=Zm9v\""},
	{"encoding.from_base64(\"Zm9v\\nYg==\")", "\"foob\""},
	{"encoding.from_base64(\"Zm9\")", "1:26: \"Zm9\" illegal base64 data at input byte 3"},
	{"encoding.from_base64(\"Z-==\")", "1:26: \"Z-==\" illegal base64 data at input byte 1"},
	{"encoding.from_base64(\"Zg==x\")", "1:26: \"Zg==x\" illegal base64 data at input byte 4"},
	{"encoding.to_URLbase64(\"\\xff\\xfe\\xff\") + encoding.to_base64(\"\\xff\\xfe\\xff\")",
	 "\"__7_//7/\""},
	{"encoding.from_URLbase64(\"YT8_\")", "\"a??\""},
	{"encoding.url_encode(\"a b&c/\xc3\xbc~\")", "\"a+b%26c%2F%C3%BC~\""},
	{"encoding.url_decode(\"a+b%26c%2f\")", "\"a b&c/\""},
	{"encoding.url_decode(\"%zz\")", "1:25: \"%zz\" invalid URL escape \"%zz\""},
	{"encoding.url_decode(\"a%4\")", "1:25: \"a%4\" invalid URL escape \"%4\""},
	/* json_path */
	{"json_path(`{\"a\": {\"b\": [1, 2, 3]}}`, \"$.a.b[1]\")", "[2f]"},
	{"json_path(`{\"a\": {\"b\": [1, 2, 3]}}`, \".a.b[-1]\")", "[3f]"},
	{"json_path(`{\"a\": {\"b\": [1, 2, 3]}}`, \"a['b'][*]\")", "[1f 2f 3f]"},
	{"json_path(`[1, 2, 3, 4]`, \"$[1:3]\")", "[2f 3f]"},
	{"json_path(`[1, 2, 3, 4]`, \"$[::-2]\")", "[4f 2f]"},
	{"json_path(`[1, 2, 3, 4]`, \"$[-2:]\")", "[3f 4f]"},
	{"json_path(`[1, 2, 3, 4]`, \"$[0, 2, 9]\")", "[1f 3f]"},
	{"json_path(`{\"x y\": 1, \"z\": 2}`, \"$['x y', 'z']\")", "[1f 2f]"},
	{"json_path(`{\"a\": {\"n\": 1}, \"b\": [{\"n\": 2}]}`, \"$..n\")", "[1f 2f]"},
	{"json_path(`{\"a\": {\"n\": 1}}`, \"$.*.n\")", "[1f]"},
	{"json_path(`{\"a\": 1}`, \"$\")[0].a", "1f"},
	{"json_path(`{\"a\": 1}`, \"$.b.c\")", "[]"},
	{"json_path(`[{\"n\": 1, \"k\": \"x\"}, {\"n\": 5}]`, \"$[?(@.n > 1)].n\")", "[5f]"},
	{"json_path(`[{\"n\": 1, \"k\": \"x\"}, {\"n\": 5}]`, \"$[?(@.k)].n\")", "[1f]"},
	{"json_path(`[{\"n\": 1, \"k\": \"x\"}, {\"n\": 5}]`, \"$[?(!(@.k == 'x') && @.n >= "
	 "5)].n\")",
	 "[5f]"},
	{"json_path(`[{\"a\": [1]}, {\"a\": []}]`, \"$[?(@.a[?(@ == 1)])]\")", "[{a=[1f]}]"},
	{"json_path(`[1]`, \"$[\")", "1:22: \"$[\" is no JSONPath: expected a number at 3 in $["},
	{"json_path(`[1]`, \"$[1\")", "1:22: \"$[1\" is no JSONPath: expected ] at 4 in $[1"},
	{"json_path(`[]`, \"$[?(@.x ==)]\")", "1:21: \"$[?(@.x ==)]\" is no JSONPath: expected a "
					      "path, a string, a number, true, false or "
					      "null at 11 in $[?(@.x ==)]"},
	{"json_path(`[1`, \"$\")",
	 "1:15: `[1` cannot be parsed: line 1, column 2: ']' expected near "
	 "end of file"},
	/* array.* */
	{"array.combine_maps([{id = 1, a = 1}, {id = 2}], [{id = 1, a = 2, b = 3}], [\"id\"])",
	 "[{a=2 b=3 id=1}]"},
	{"array.combine_maps([{id = 1}, {id = 2}], [{id = 1, b = 3}, {id = 4}], [\"id\"], true)",
	 "[{b=3 id=1} {id=1} {id=2} {id=2}]"},
	{"array.combine_maps([1], [], [\"id\"])", "1:24: [1][0] should be object, got number"},
	{"array.combine_maps([], [], [])",
	 "1:32: [] combine_maps: merge conditions must not be empty"},
	{"array.combine_maps([])", "1:5: array.combine_maps expected 3 or 4 args, got 1"},
	{"array.group_by([{k = \"b\", v = 1}, {k = \"a\"}, {k = \"b\"}, {v = 2}], \"k\", true)",
	 "[{items=[{k=\"a\"}] k=\"a\"} {items=[{k=\"b\" v=1} {k=\"b\"}] k=\"b\"}]"},
	{"array.group_by([{v = 2}], \"k\", false)", "[{items=[{v=2}] k=\"\"}]"},
	{"array.group_by([{k = 1}], \"k\", false)",
	 "1:20: [{k = 1}][0].k should be string, got number"},
	/* the others */
	{"file.path_join(\"/a/\", \"\", \"../b\", \"c/.\")", "\"/b/c\""},
	{"file.path_join(\"a\", \"..\", \"..\", \"x\")", "\"../x\""},
	{"file.path_join(\"/..\")", "\"/\""},
	{"file.path_join(\"a\", \"..\")", "\".\""},
	{"file.path_join(\"a\", \"/b//c\")", "\"a/b/c\""},
	{"file.path_join()", "\"\""},
	{"convert.nonsensitive(\"x\")", "\"x\""},
	{"convert.nonsensitive(1)", "1:26: 1 should be secret, got number"},
	{"constants.version", "\"v" TEPHRA_VERSION "\""},
	{"sys.env(true)", "1:13: true should be string, got bool"},
	{"sys.nope", "1:5: field \"nope\" does not exist"},
	/* deprecated names */
	{"format(\"%s\", \"x\")", "\"x\""},
	{"json_decode(\"[1]\")", "[1f]"},
	{"yaml_decode(\"a\")", "\"a\""},
	{"base64_decode(\"eA==\")", "\"x\""},
	{"join(split(to_upper(trim_space(\" a-b \")), \"-\"), \"+\")", "\"A+B\""},
	{"nonsensitive(\"x\") + to_lower(\"A\") + replace(\"b\", \"b\", \"c\")", "\"xac\""},
	{"trim(\"xax\", \"x\") + trim_prefix(\"ab\", \"a\") + trim_suffix(\"ab\", \"b\")",
	 "\"aba\""},
};

static void functions_have_the_results_of_the_original(void **state)
{
	int wrong = 0;

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

/* A secret and an optional secret of each kind, as components export them. */
static int lookup(const struct ast_expr *x, struct eval *e, struct value **ret)
{
	if (x->kind != AST_IDENT || strcmp(x->name, "x") != 0)
		return -ENOENT;
	*ret = value_ref(e->data);
	return 0;
}

static void evaluate_with_secrets(const char *expr, char *to, size_t size)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 16);
	_cleanup_(ast_freep) struct ast_file *f = NULL;
	_cleanup_value_ struct value *all = NULL, *v = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct eval e = {.diags = &d, .lookup = lookup};
	struct source *s;
	const char *text;
	bool secret = false;
	size_t len;
	int r;

	value_list_add(&l, "secret", value_secret("hush"));
	value_list_add(&l, "hidden", value_optional_secret("hush", 4, true));
	value_list_add(&l, "open", value_optional_secret("text", 4, false));
	all = value_object(&l);
	buf_printf(&b, "a = %s", expr);
	assert_int_equal(source_new("t", buf_cstr(&b), b.len, &s), 0);
	e.source = s;
	e.data = all;
	assert_int_equal(parser_parse(s, &d, &f), 0);
	r = eval_expr(&e, f->body.first->value, &v);
	if (r < 0) {
		_cleanup_free_ char *line = d.n ? diag_line(&d.items[0]) : NULL;

		(void)snprintf(to, size, "%s", line ? line + 2 : "error");
		return;
	}
	text = value_text(v, &len, &secret);
	if (v->kind == VALUE_BOOL)
		(void)snprintf(to, size, "%s", v->b ? "true" : "false");
	else
		(void)snprintf(to, size, "%s%s", text, secret ? " (secret)" : "");
}

static void secrets_stay_secrets_and_open_text_is_a_string(void **state)
{
	static const struct {
		const char *expr, *want;
	} c[] = {
		{"x.secret", "hush (secret)"},
		{"x.secret + \"!\"", "hush! (secret)"},
		{"\"!\" + x.hidden", "!hush (secret)"},
		{"x.open + \"!\"", "text!"},
		{"x.open + x.secret", "texthush (secret)"},
		{"convert.nonsensitive(x.secret)", "hush"},
		{"convert.nonsensitive(x.hidden)", "hush"},
		{"convert.nonsensitive(x.open)", "text"},
		{"string.to_upper(x.open)", "TEXT"},
		{"string.format(\"%s\", x.open)", "text"},
		{"encoding.to_base64(x.secret)",
		 "1:24: x.secret is a secret: secrets may not be converted into strings"},
		{"string.to_upper(x.hidden)",
		 "1:21: x.hidden is a secret: secrets may not be converted into strings"},
		{"string.format(\"%s\", x.hidden)",
		 "1:25: x.hidden is a secret: secrets may not be converted into strings"},
		{"x.open == \"text\"", "false"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		char got[512];

		evaluate_with_secrets(c[i].expr, got, sizeof(got));
		assert_string_equal(got, c[i].want);
	}
}

static void a_path_that_visits_too_much_ends(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	char got[1024];

	/* 2000 values, and each ".." multiplies: 2000^3 without a limit. */
	buf_adds(&b, "json_path(`[");
	for (int i = 0; i < 2000; i++)
		buf_printf(&b, "%s[[0]]", i ? "," : "");
	buf_adds(&b, "]`, \"$..*..*..*..*..*..*..*..*..*..*..*..*\")");
	evaluate(buf_cstr(&b), got, sizeof(got));
	assert_null(strstr(got, "error"));
	buf_reset(&b);
	buf_adds(&b, "json_path(`{");
	for (int i = 0; i < 80; i++)
		buf_adds(&b, "\"a\":{");
	buf_adds(&b, "\"a\":1");
	for (int i = 0; i < 81; i++)
		buf_adds(&b, "}");
	buf_adds(&b, "`, \"$..*..*..*..*..*..*..*..*..*..*..*..*\")");
	evaluate(buf_cstr(&b), got, sizeof(got));
	assert_non_null(strstr(got, "visits more than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_have_the_results_of_the_original),
		cmocka_unit_test(secrets_stay_secrets_and_open_text_is_a_string),
		cmocka_unit_test(a_path_that_visits_too_much_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
