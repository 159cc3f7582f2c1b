/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/json.h"

struct heard {
	struct buf text;
	struct json json;
	const char *skip; /* a key whose value is not wanted */
};

static int on_event(const struct json_event *e, void *data)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "{",	[JSON_OBJECT_END] = "}", [JSON_ARRAY] = "[",
		[JSON_ARRAY_END] = "]", [JSON_TRUE] = "true",	 [JSON_FALSE] = "false",
		[JSON_NULL] = "null",	[JSON_DONE] = ";",
	};
	struct heard *h = data;

	if (e->type == JSON_KEY)
		buf_printf(&h->text, "%s:", e->s);
	else if (e->type == JSON_STRING)
		buf_printf(&h->text, "'%s'%s", e->s, e->cut ? "..." : "");
	else if (e->type == JSON_NUMBER)
		buf_printf(&h->text, "%s ", e->s);
	else
		buf_adds(&h->text, names[e->type]);
	if (e->type == JSON_KEY && h->skip && !strcmp(e->s, h->skip))
		json_skip(&h->json);
	return 0;
}

/* The same whether it comes in one piece or byte by byte. */
static int parse(const char *text, size_t n, size_t step, size_t max, const char *skip, char *to,
		 size_t size)
{
	struct heard h = {.text = BUF_INIT(1u << 20), .skip = skip};
	int r = 0;

	json_init(&h.json, max, on_event, &h);
	for (size_t i = 0; i < n && !r; i += step)
		r = json_feed(&h.json, text + i, MIN(step, n - i));
	if (!r)
		r = json_end(&h.json);
	(void)snprintf(to, size, "%s", buf_cstr(&h.text));
	json_done(&h.json);
	buf_done(&h.text);
	return r;
}

static void check(const char *text, const char *want)
{
	for (size_t step = 1; step < 40; step += 19) {
		char got[1000];

		assert_int_equal(parse(text, strlen(text), step, 100, "skip", got, sizeof(got)), 0);
		assert_string_equal(got, want);
	}
}

static void refuse(const char *text)
{
	char got[1000];

	for (size_t step = 1; step < 40; step += 19)
		assert_int_equal(parse(text, strlen(text), step, 100, NULL, got, sizeof(got)),
				 -EBADMSG);
}

static void documents_of_any_shape_are_told_in_events(void **state)
{
	check("{}", "{};");
	check(" [1, -2.5e+3 ,true,false,null] ", "[1 -2.5e+3 truefalsenull];");
	check("{\"a\":{\"b\":[{}]},\"c\":\"d\"}{\"e\":1}\n[]", "{a:{b:[{}]}c:'d'};{e:1 };[];");
	check("42", "42 ;");
}

static void escapes_and_foreign_bytes_become_valid_text(void **state)
{
	check("\"\\u00e4\\n\\\"\\/\\ud83d\\ude00\"", "'\xc3\xa4\n\"/\xf0\x9f\x98\x80';");
	check("\"\\ud83d\"", "'\xef\xbf\xbd';");
	check("\"\\ud83dx\\ude00\"", "'\xef\xbf\xbdx\xef\xbf\xbd';");
	check("\"a\xff\xc3\"", "'a\xef\xbf\xbd\xef\xbf\xbd';");
	check("\"a\\u0000b\"", "'a\xef\xbf\xbd"
			       "b';");
}

static void what_is_skipped_is_not_told(void **state)
{
	check("{\"skip\":{\"a\":[1,{\"b\":2}]},\"c\":1}", "{skip:c:1 };");
	check("{\"skip\":[[]],\"skip\":\"x\",\"skip\":1.5,\"skip\":null,\"d\":2}",
	      "{skip:skip:skip:skip:d:2 };");
}

static void what_is_no_json_is_refused(void **state)
{
	static const char *const all[] = {
		"{",	       "}",   "[1,]",	"{\"a\"}", "{\"a\":1,}", "{a:1}",
		"[1 2]",       "01",  "-",	"1.",	   "1e",	 "\"\x01\"",
		"\"\\x\"",     "tru", "trux",	"[}",	   "{\"a\":]",	 "\"abc",
		"\"\\u12g4\"", ",",   "<html>", "[1}",	   "--1",	 "{\"a\",1}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		refuse(all[i]);
}

static void memory_and_depth_are_bounded(void **state)
{
	static char deep[JSON_MAX_DEPTH + 2], big[100000];
	char got[1000];

	memset(deep, '[', sizeof(deep));
	assert_int_equal(parse(deep, sizeof(deep), 7, 10, NULL, got, sizeof(got)), -E2BIG);
	memset(big, 'x', sizeof(big));
	big[0] = big[sizeof(big) - 1] = '"';
	memcpy(big + 8, "\xc3\xa4\xc3\xa4", 4);
	assert_int_equal(parse(big, sizeof(big), 1000, 8, NULL, got, sizeof(got)), 0);
	/* No half character. */
	assert_string_equal(got, "'xxxxxxx'...;");
	memset(big, '1', sizeof(big));
	assert_int_equal(parse(big, sizeof(big), 1000, 8, NULL, got, sizeof(got)), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_of_any_shape_are_told_in_events),
		cmocka_unit_test(escapes_and_foreign_bytes_become_valid_text),
		cmocka_unit_test(what_is_skipped_is_not_told),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(memory_and_depth_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
