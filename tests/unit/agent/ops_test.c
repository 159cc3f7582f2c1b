/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent says of its components: valid JSON and HTML whatever the names, no secrets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/components/registry.h"
#include "agent/components/settings_http.h"
#include "agent/config/data.h"
#include "agent/base/utf8.h"
#include "agent/ops/ops_internal.h"

static const char config[] = "http {\n"
			     "  auth {\n"
			     "    basic {\n"
			     "      username = \"u\"\n"
			     "      password = \"hush\"\n"
			     "    }\n"
			     "    filter {\n"
			     "      paths = [\"/metrics\"]\n"
			     "    }\n"
			     "  }\n"
			     "}\n"
			     "pyroscope.write \"w\" {\n"
			     "  endpoint {\n"
			     "    url = \"http://127.0.0.1:1/<x>\"\n"
			     "    basic_auth {\n"
			     "      username = \"u\"\n"
			     "      password = \"hush\"\n"
			     "    }\n"
			     "  }\n"
			     "}\n"
			     "pyroscope.ebpf \"e\" {\n"
			     "  forward_to = [pyroscope.write.w.receiver]\n"
			     "  targets    = [{\"a\" = \"b\"}]\n"
			     "}\n";

static struct graph *load(struct component_env *env, struct diag_list *d, const char *text)
{
	struct graph *g = NULL;

	*env = (struct component_env){.check_only = true};
	env->types = component_registry(&env->n_types);
	assert_int_equal(graph_load_text("test", text, strlen(text), env, d, &g), 0);
	if (d->n_errors)
		diag_print(d, stderr, false, 10);
	return g;
}

static void json_strings_are_valid_whatever_the_bytes_are(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);

	json_string(&b, "a\"\\\n\0<\xff\xc3\xa4", 9);
	assert_string_equal(buf_cstr(&b), "\"a\\\"\\\\\\u000a\\u0000\\u003c\\ufffd\xc3\xa4\"");
}

static void html_text_is_only_text(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);

	html_text(&b, "<a href=\"x\">&'\x1b\xff");
	assert_string_equal(
		buf_cstr(&b),
		"&#60;a href=&#34;x&#34;&#62;&#38;&#39;" UTF8_REPLACEMENT UTF8_REPLACEMENT);
}

static void a_component_is_shown_as_alloy_shows_it(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_value_ struct value *parsed = NULL;
	struct component_env env;
	struct graph_view v;
	char why[256] = "";
	struct graph *g = load(&env, &d, config);

	assert_true(graph_view_find(g, "pyroscope.write.w", &v));
	json_component(&b, &v, true);
	if (data_from_json(buf_cstr(&b), b.len, &parsed, why, sizeof(why)) < 0)
		fail_msg("%s: %s", why, buf_cstr(&b));
	assert_string_equal(value_get(parsed, "localID")->s, "pyroscope.write.w");
	assert_string_equal(value_get(parsed, "label")->s, "w");
	assert_string_equal(value_get(parsed, "referencedBy")->items[0]->s, "pyroscope.ebpf.e");
	assert_non_null(strstr(buf_cstr(&b), "{\"name\":\"endpoint\",\"type\":\"block\",\"body\":["
					     "{\"name\":"));
	assert_non_null(strstr(buf_cstr(&b),
			       "{\"name\":\"url\",\"type\":\"attr\",\"value\":{\"type\":\"string\","
			       "\"value\":\"http://127.0.0.1:1/\\u003cx\\u003e\"}}"));
	assert_non_null(strstr(buf_cstr(&b), "\"(secret)\""));
	assert_non_null(strstr(buf_cstr(&b), "capsule("));
	assert_null(strstr(buf_cstr(&b), "hush"));
	graph_free(g);
}

static void the_page_shows_no_secret_and_names_what_runs(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	_cleanup_diag_ struct diag_list d = {0};
	struct component_env env;
	struct ops o = {.graph = load(&env, &d, config), .ready = true};

	ops_page(&o, &b);
	assert_non_null(strstr(buf_cstr(&b), "pyroscope.ebpf.e"));
	assert_null(strstr(buf_cstr(&b), "hush"));
	assert_null(strstr(buf_cstr(&b), ">http<"));
	graph_free((struct graph *)o.graph);
}

static void a_configuration_is_known_by_its_hash(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	_cleanup_diag_ struct diag_list d = {0};
	struct component_env env;
	struct graph *g = load(&env, &d, config);
	char hex[65];

	graph_view_text(g, &b);
	assert_string_equal(buf_cstr(&b), config);
	http_sha256_hex("abc", 3, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	graph_free(g);
}

static void the_block_http_is_checked_as_alloy_checks_it(void **state)
{
	static const char *const bad[][2] = {
		{"tls { }", "must specify either cert_pem or cert_file"},
		{"tls { cert_pem = \"x\" }", "must specify either key_pem or key_file"},
		{"tls { cert_pem = \"x\"\n cert_file = \"y\"\n key_pem = \"z\" }",
		 "cannot specify both cert_pem and cert_file"},
		{"tls { cert_pem = \"x\"\n key_pem = \"z\"\n client_ca_pem = \"c\" }",
		 "cannot specify client_ca_pem"},
		{"tls { cert_pem = \"x\"\n key_pem = \"z\"\n client_auth_type = \"Maybe\" }",
		 "unknown client auth type"},
		{"tls { cert_pem = \"x\"\n key_pem = \"z\"\n min_version = \"SSL3\" }",
		 "unknown TLS version"},
		{"auth { basic { username = \"u\" } }", "password"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct diag_list d = {0};
		struct component_env env;
		struct graph *g = NULL;
		char text[512];

		(void)snprintf(text, sizeof(text), "http {\n%s\n}\n", bad[i][0]);
		env = (struct component_env){.check_only = true};
		env.types = component_registry(&env.n_types);
		assert_int_equal(graph_load_text("t", text, strlen(text), &env, &d, &g), 0);
		assert_true(d.n_errors > 0);
		if (!strstr(d.items[0].message, bad[i][1]))
			fail_msg("\"%s\" does not say \"%s\"", d.items[0].message, bad[i][1]);
		diag_done(&d);
		graph_free(g);
	}
	assert_int_equal(settings_http_client_auth("RequireAndVerifyClientCert"), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_strings_are_valid_whatever_the_bytes_are),
		cmocka_unit_test(html_text_is_only_text),
		cmocka_unit_test(a_component_is_shown_as_alloy_shows_it),
		cmocka_unit_test(the_page_shows_no_secret_and_names_what_runs),
		cmocka_unit_test(a_configuration_is_known_by_its_hash),
		cmocka_unit_test(the_block_http_is_checked_as_alloy_checks_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
