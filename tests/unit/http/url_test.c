/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about URLs, of which the answers decide who gets credentials. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/http/url.h"

static const struct {
	const char *a, *b;
	bool same;
} servers[] = {
	{"http://h/a", "http://h/b?c", true},
	{"http://h/a", "http://H:80/b", true},
	{"https://h:443/", "https://h/", true},
	{"http://h:4040/", "http://h:4041/", false},
	{"http://h/", "http://h.evil/", false},
	{"http://h/", "http://sub.h/", false},
	{"http://u:p@h/", "http://h/", true},
	{"http://h@evil/", "http://h/", false},
	/* A server that sends its clients to TLS is still the same one. */
	{"http://h/", "https://h/", true},
	{"http://h:80/", "https://h:443/", true},
	{"http://h:4040/", "https://h:4040/", false},
	{"https://h/", "http://h/", false},
	{"http://[::1]:80/", "http://[::1]/", true},
	{"http://h/", "ftp://h/", false},
	{"http://h/", "", false},
};

static void credentials_stay_with_one_server(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		if (http_same_server(servers[i].a, servers[i].b) != servers[i].same)
			fail_msg("%s and %s", servers[i].a, servers[i].b);
	}
}

static void redirects_are_resolved_against_where_they_came_from(void **state)
{
	static const struct {
		const char *base, *location, *want; /* NULL: refused */
	} cases[] = {
		{"http://h:1/a/b?x", "c", "http://h:1/a/c"},
		{"http://h:1/a/b?x", "/c?y", "http://h:1/c?y"},
		{"http://h:1/a", "//other/c", "http://other/c"},
		{"http://h:1/a", "https://x:2/y", "https://x:2/y"},
		{"http://h:1/a", "/with space", "http://h:1/with%20space"},
		{"http://u:p@h/a", "/b", "http://u:p@h/b"},
		{"http://u:p@h/a", "http://h/b", "http://h/b"},
		{"http://h/a", "http://", NULL},
		{"http://h/a", "http://h:99999/", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;
		int r = http_resolve(cases[i].base, cases[i].location, &got);

		if (!cases[i].want) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(got, cases[i].want);
	}
}

static void paths_are_put_behind_the_prefix(void **state)
{
	static const struct {
		const char *base, *query, *want;
	} cases[] = {
		{"http://h", NULL, "http://h/x.v1/Y"},
		{"http://h/", NULL, "http://h/x.v1/Y"},
		{"http://h/a/b//", NULL, "http://h/a/b/x.v1/Y"},
		{"http://h/a?q=1", NULL, "http://h/a/x.v1/Y?q=1"},
		{"http://h/a?q=1", "r=2&s=%7b", "http://h/a/x.v1/Y?r=2&s=%7b"},
		{"http://h/a?q=1", "", "http://h/a/x.v1/Y"},
		{"http://u:p@[::1]:8/a", NULL, "http://u:p@[::1]:8/a/x.v1/Y"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;

		assert_int_equal(http_join_url(cases[i].base, "/x.v1/Y", cases[i].query, &got), 0);
		assert_string_equal(got, cases[i].want);
	}
}

static void what_people_see_has_no_credentials(void **state)
{
	_cleanup_free_ char *shown = http_shown_url("https://u:p@h:1/a?token=secret#f");

	assert_string_equal(shown, "https://h:1/a");
	assert_null(http_shown_url("http://"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_stay_with_one_server),
		cmocka_unit_test(redirects_are_resolved_against_where_they_came_from),
		cmocka_unit_test(paths_are_put_behind_the_prefix),
		cmocka_unit_test(what_people_see_has_no_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
