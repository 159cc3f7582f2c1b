/* SPDX-License-Identifier: Apache-2.0 */
/* The shared HTTP client arguments: what loads, what is refused and why, what agent/http gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/components/http_client.h"
#include "agent/components/pyroscope_write.h"
#include "agent/components/registry.h"
#include "agent/config/graph.h"
#include "agent/http/multi.h"

static struct component_env env;

/* The text inside of an endpoint block; its first error, or "" . The caller frees both. */
static struct graph *load(const char *inside, char **ret_error)
{
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_free_ char *text = NULL;
	struct graph *g;

	assert_int_not_equal(
		asprintf(&text,
			 "pyroscope.write \"w\" {\nendpoint {\nurl = \"http://h\"\n%s\n}\n}\n",
			 inside),
		-1);
	assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
	*ret_error = d.n_errors ? diag_line(&d.items[0]) : strdup("");
	assert_non_null(*ret_error);
	return g;
}

static const struct {
	const char *inside, *message; /* NULL: it loads */
} cases[] = {
	{"basic_auth {\nusername = \"u\"\npassword = \"p\"\n}", NULL},
	{"basic_auth {\npassword = \"p\"\npassword_file = \"f\"\n}",
	 "at most one of basic_auth password & password_file must be configured"},
	{"authorization {\ntype = \"Token\"\ncredentials = \"c\"\n}", NULL},
	{"authorization {\ntype = \"BASIC\"\n}",
	 "authorization type cannot be set to \"basic\", use \"basic_auth\" block instead"},
	{"authorization {\ncredentials = \"c\"\ncredentials_file = \"f\"\n}",
	 "at most one of authorization credentials & credentials_file must be configured"},
	{"bearer_token = \"t\"\nbearer_token_file = \"f\"",
	 "at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file"},
	{"oauth2 {\nclient_id = \"i\"\nclient_secret = \"s\"\ntoken_url = \"http://t\"\n"
	 "scopes = [\"a\", \"b\"]\nendpoint_params = {x = \"y\"}\nproxy_url = \"http://p\"\n"
	 "tls_config {\nserver_name = \"n\"\n}\n}",
	 NULL},
	{"oauth2 {\nclient_secret = \"s\"\ntoken_url = \"http://t\"\n}",
	 "oauth2 client_id must be configured"},
	{"oauth2 {\nclient_id = \"i\"\nclient_secret = \"s\"\n}",
	 "oauth2 token_url must be configured"},
	{"oauth2 {\nclient_id = \"i\"\ntoken_url = \"http://t\"\n}",
	 "either oauth2 client_secret or client_secret_file must be configured"},
	{"oauth2 {\nclient_id = \"i\"\nclient_secret = \"s\"\nclient_secret_file = \"f\"\n"
	 "token_url = \"http://t\"\n}",
	 "at most one of oauth2 client_secret & client_secret_file must be configured"},
	{"oauth2 {\nclient_id = \"i\"\nclient_secret = \"s\"\ntoken_url = \"http://t\"\n"
	 "grant_type = \"password\"\n}",
	 "unsupported oauth2 grant_type \"password\""},
	{"oauth2 {\nclient_id = \"i\"\nclient_secret = \"s\"\ntoken_url = \"http://t\"\n"
	 "no_proxy = \"h\"\n}",
	 "if no_proxy is configured, proxy_url must also be configured"},
	{"oauth2 {\nclient_id = \"i\"\ntoken_url = \"http://t\"\niss = \"me\"\n}",
	 "\"iss\" is not supported by this version"},
	{"proxy_url = \"http://p:3128\"\nno_proxy = \"10.0.0.0/8\"\n"
	 "proxy_connect_header = {\"X-A\" = [\"1\", \"2\"]}",
	 NULL},
	{"proxy_url = \"http://p:99999\"", "proxy_url is no valid URL"},
	{"proxy_url = \"socks5://p:1080\"", NULL},
	{"oauth2 {\nclient_id = \"i\"\nclient_secret = \"s\"\ntoken_url = \"t\"\n}",
	 "oauth2 token_url is no valid URL with http:// or https://"},
	{"no_proxy = \"h\"", "if no_proxy is configured, proxy_url must also be configured"},
	{"proxy_from_environment = true\nproxy_url = \"http://p\"",
	 "if proxy_from_environment is configured, proxy_url must not be configured"},
	{"proxy_from_environment = true\nno_proxy = \"h\"",
	 "if proxy_from_environment is configured, no_proxy must not be configured"},
	{"proxy_connect_header = {\"X-A\" = [\"1\"]}",
	 "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also"},
	{"proxy_from_environment = true\nproxy_connect_header = {\"X-A\" = [\"1\"]}", NULL},
	{"http_headers = {\"X-A\" = [\"1\", \"2\"], \"X-B\" = []}", NULL},
	{"http_headers = {\"user-agent\" = [\"x\"]}",
	 "setting header \"User-Agent\" is not allowed"},
	{"http_headers = {\"X A\" = [\"x\"]}", "\"X A\" is no valid header name"},
	{"http_headers = {\"X-A\" = [\"x\\ny\"]}", "the value of header \"X-A\" has a line break"},
	{"http_headers = {\"X-A\" = [1, true]}", "[1] should be string, got bool"},
	{"http_headers = [\"x\"]", "should be object, got array"},
	{"tls_config {\nca_pem = \"a\"\nca_file = \"b\"\n}",
	 "at most one of ca_pem and ca_file must be configured"},
	{"tls_config {\ncert_pem = \"a\"\ncert_file = \"b\"\n}",
	 "at most one of cert_pem and cert_file must be configured"},
	{"tls_config {\nkey_pem = \"a\"\nkey_file = \"b\"\n}",
	 "at most one of key_pem and key_file must be configured"},
	{"tls_config {\ncert_pem = \"a\"\n}",
	 "exactly one of key_pem or key_file must be configured when a client certificate is "
	 "configured"},
	{"tls_config {\nkey_file = \"a\"\n}",
	 "exactly one of cert_pem or cert_file must be configured when a client key is configured"},
	{"tls_config {\nmin_version = \"SSL3\"\n}", "unknown TLS version: SSL3"},
	{"tls_config {\nmin_version = \"TLS13\"\nserver_name = \"x\"\n"
	 "insecure_skip_verify = true\n}",
	 NULL},
};

static void arguments_are_taken_and_refused_as_by_alloy(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(graph_freep) struct graph *g = NULL;
		_cleanup_free_ char *error = NULL;

		g = load(cases[i].inside, &error);
		if (cases[i].message ? !strstr(error, cases[i].message) : *error != '\0')
			fail_msg("%s\ngot  %s\nwant %s", cases[i].inside, error,
				 cases[i].message ? cases[i].message : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_taken_and_refused_as_by_alloy),
	};
	int r;

	env.types = component_registry(&env.n_types);
	if (loop_new(&env.loop) < 0 || http_multi_new(env.loop, &env.http) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	http_multi_free(env.http);
	loop_free(env.loop);
	return r;
}
