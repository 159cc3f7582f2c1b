/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests go through a proxy; the cases are those of Go's httpproxy as its comments say. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/http/proxy.h"

static const struct label *vars;
static size_t n_vars;

static char *get_var(const char *name)
{
	for (size_t i = 0; i < n_vars; i++) {
		if (!strcmp(vars[i].name, name))
			return (char *)vars[i].value;
	}
	return NULL;
}

static const struct {
	const char *no_proxy, *host;
	uint16_t port;
	bool proxied;
} exceptions[] = {
	{"foo.com", "foo.com", 80, false},
	{"foo.com", "bar.foo.com", 80, false},
	{"foo.com", "xfoo.com", 80, true},
	{"foo.com", "FOO.COM", 80, false},
	{".foo.com", "bar.foo.com", 80, false},
	{".foo.com", "foo.com", 80, true},
	{"*.foo.com", "bar.foo.com", 80, false},
	{"*.foo.com", "foo.com", 80, true},
	{"foo.com:8080", "foo.com", 8080, false},
	{"foo.com:8080", "foo.com", 80, true},
	{"a, b ,foo.com ", "foo.com", 80, false},
	{"*", "anything", 80, false},
	{"x,*", "1.2.3.4", 80, false},
	{"1.2.3.4", "1.2.3.4", 80, false},
	{"1.2.3.4", "1.2.3.5", 80, true},
	{"1.2.3.4:81", "1.2.3.4", 80, true},
	{"1.2.3.4:80", "1.2.3.4", 80, false},
	{"10.0.0.0/8", "10.200.1.1", 80, false},
	{"10.0.0.0/8", "11.0.0.1", 80, true},
	{"10.1.2.128/25", "10.1.2.127", 80, true},
	{"10.1.2.128/25", "10.1.2.129", 80, false},
	{"10.0.0.0/33", "10.0.0.1", 80, true},
	{"10.0.0.0/", "10.0.0.1", 80, true},
	{"0.0.0.0/0", "8.8.8.8", 80, false},
	{"fd00::/8", "fd00::1", 80, false},
	{"fd00::/8", "fe00::1", 80, true},
	{"fd00::1", "fd00::1", 80, false},
	{"[fd00::1]:81", "fd00::1", 81, false},
	{"[fd00::1]:81", "fd00::1", 80, true},
	{"other", "localhost", 80, false},
	{"other", "127.0.0.2", 80, false},
	{"other", "::1", 80, false},
	{":80,,.,*.", "foo.com", 80, true},
	{"foo.com:x", "foo.com", 80, true},
};

static void exceptions_are_those_of_go(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(exceptions); i++) {
		struct http_proxy_options o = {.url = "http://p",
					       .no_proxy = exceptions[i].no_proxy};
		const char *p =
			http_proxy_for(&o, "http", exceptions[i].host, exceptions[i].port, get_var);

		if ((p != NULL) != exceptions[i].proxied)
			fail_msg("%s: %s:%u", exceptions[i].no_proxy, exceptions[i].host,
				 exceptions[i].port);
	}
}

static void a_proxy_without_exceptions_is_asked_for_everything(void **state)
{
	const struct http_proxy_options o = {.url = "http://p"};

	assert_string_equal(http_proxy_for(&o, "http", "localhost", 80, get_var), "http://p");
	assert_string_equal(http_proxy_for(&o, "https", "127.0.0.1", 80, get_var), "http://p");
}

static void the_environment_counts_only_when_asked_for(void **state)
{
	const struct label set[] = {{"HTTP_PROXY", "http://upper"},
				    {"http_proxy", "http://lower"},
				    {"https_proxy", "http://tls"},
				    {"NO_PROXY", "no.com"}};
	const struct http_proxy_options none = {0}, yes = {.from_environment = true};

	vars = set;
	n_vars = ARRAY_SIZE(set);
	assert_null(http_proxy_for(&none, "http", "h", 80, get_var));
	assert_string_equal(http_proxy_for(&yes, "http", "h", 80, get_var), "http://upper");
	assert_string_equal(http_proxy_for(&yes, "https", "h", 443, get_var), "http://tls");
	assert_null(http_proxy_for(&yes, "https", "x.no.com", 443, get_var));
	assert_null(http_proxy_for(&yes, "http", "localhost", 80, get_var));
	n_vars = 0;
	assert_null(http_proxy_for(&yes, "http", "h", 80, get_var));
}

static void a_cgi_program_does_not_believe_its_environment(void **state)
{
	const struct label set[] = {{"HTTP_PROXY", "http://evil"}, {"REQUEST_METHOD", "GET"}};
	const struct http_proxy_options yes = {.from_environment = true};

	vars = set;
	n_vars = ARRAY_SIZE(set);
	assert_null(http_proxy_for(&yes, "http", "h", 80, get_var));
	n_vars = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exceptions_are_those_of_go),
		cmocka_unit_test(a_proxy_without_exceptions_is_asked_for_everything),
		cmocka_unit_test(the_environment_counts_only_when_asked_for),
		cmocka_unit_test(a_cgi_program_does_not_believe_its_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
