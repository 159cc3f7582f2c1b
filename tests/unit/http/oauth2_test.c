/* SPDX-License-Identifier: Apache-2.0 */
/* What token servers answer, the usual and the strange. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/http/oauth2.h"

#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"

static const struct {
	const char *type, *body, *value; /* NULL: refused, with why */
	uint32_t expires_s;
	const char *why;
} replies[] = {
	{JSON, "{\"access_token\":\"abc\",\"token_type\":\"bearer\",\"expires_in\":3600}",
	 "Bearer abc", 3600, NULL},
	{JSON, "{\"access_token\":\"abc\"}", "Bearer abc", 0, NULL},
	{NULL, "{\"access_token\":\"a\",\"token_type\":\"MAC\",\"expires_in\":\"60\"}", "MAC a", 60,
	 NULL},
	{JSON, "{\"access_token\":\"a\",\"expires_in\":1.9}", "Bearer a", 1, NULL},
	{JSON, "{\"access_token\":\"a\",\"expires_in\":-5}", "Bearer a", 0, NULL},
	{JSON, "{\"access_token\":\"a\",\"expires_in\":1e300}", "Bearer a", 315360000, NULL},
	{JSON, "{\"access_token\":\"a\",\"expires_in\":[]}", "Bearer a", 0, NULL},
	{FORM, "access_token=a%2Fb&expires_in=10&token_type=bearer", "Bearer a/b", 10, NULL},
	{"text/plain; charset=utf-8", "x=1&access_token=a+b", "Bearer a b", 0, NULL},
	{FORM, "access_token=%4", "Bearer %4", 0, NULL},
	{JSON, "{\"access_token\":\"\"}", NULL, 0, "no access_token"},
	{JSON, "{\"access_token\":7}", NULL, 0, "no access_token"},
	{JSON, "{\"access_token\":\"a\\r\\nEvil: 1\"}", NULL, 0, "no text for a header"},
	{JSON, "{\"access_token\":\"a\",\"token_type\":\"x\\ny\"}", NULL, 0,
	 "no text for a header"},
	{JSON, "<html>", NULL, 0, "no JSON object"},
	{JSON, "[]", NULL, 0, "no JSON object"},
	{JSON, "", NULL, 0, "no JSON object"},
	{FORM, "", NULL, 0, "no access_token"},
	{FORM, "access_token", NULL, 0, "no access_token"},
	{FORM, "xaccess_token=1", NULL, 0, "no access_token"},
};

static void replies_are_read_as_go_reads_them(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++) {
		_cleanup_free_ char *value = NULL;
		char why[128] = "";
		uint32_t expires_s;
		int r = oauth2_parse_reply(replies[i].type, replies[i].body,
					   strlen(replies[i].body), &value, &expires_s, why,
					   sizeof(why));

		if (replies[i].value) {
			assert_int_equal(r, 0);
			assert_string_equal(value, replies[i].value);
			assert_int_equal(expires_s, replies[i].expires_s);
		} else {
			assert_int_equal(r, -EBADMSG);
			if (!strstr(why, replies[i].why))
				fail_msg("%s: %s", replies[i].body, why);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_read_as_go_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
