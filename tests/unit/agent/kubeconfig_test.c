/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/kube/kubeconfig.h"

#define CONTEXT "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"

static int parse(const char *text, char *why, size_t size, struct kubeconfig *ret)
{
	return kubeconfig_parse(text, strlen(text), "/etc/kube", why, size, ret);
}

static void the_current_context_leads_to_server_and_credentials(void **state)
{
	struct kubeconfig k;
	char why[200];

	assert_int_equal(
		parse(CONTEXT
		      "clusters:\n- name: other\n  cluster: {server: x}\n- name: c\n  cluster:\n"
		      "    server: https://h:6443\n    certificate-authority: pki/ca.crt\n"
		      "    certificate-authority-data: Q0E=\n    tls-server-name: api\n"
		      "users: [{name: u, user: {client-certificate: c.pem, client-key-data: "
		      "a2V5, token: t}}]\n",
		      why, sizeof(why), &k),
		0);
	assert_string_equal(k.server, "https://h:6443");
	assert_string_equal(k.ca_pem, "CA");
	assert_null(k.ca_file);
	assert_string_equal(k.server_name, "api");
	assert_string_equal(k.cert_file, "/etc/kube/c.pem");
	assert_string_equal(k.key_pem, "key");
	assert_string_equal(k.token, "t");
	kubeconfig_done(&k);
}

static void what_cannot_be_used_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *words;
	} all[] = {
		{"", "no kubeconfig"},
		{"{", "line 2"},
		{"kind: Config\n", "current-context"},
		{"current-context: a\n", "\"a\""},
		{CONTEXT, "\"c\""},
		{CONTEXT "clusters: [{name: c, cluster: {}}]\nusers: [{name: u}]", "no server"},
		{CONTEXT "clusters: [{name: c, cluster: {server: h}}]\n", "\"u\""},
		{CONTEXT "clusters: [{name: c, cluster: {server: h}}]\nusers: [{name: u, user: "
			 "{exec: {command: aws}}}]",
		 "use a token"},
		{CONTEXT "clusters: [{name: c, cluster: {server: h}}]\nusers: [{name: u, user: "
			 "{client-certificate: x}}]",
		 "without a key"},
		{CONTEXT "clusters: [{name: c, cluster: {server: h, certificate-authority-data: "
			 "'%'}}]\nusers: [{name: u}]",
		 "base64"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct kubeconfig k;
		char why[200] = "";

		assert_int_equal(parse(all[i].text, why, sizeof(why), &k), -EINVAL);
		if (!strstr(why, all[i].words))
			fail_msg("'%s' is not in '%s'", all[i].words, why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_current_context_leads_to_server_and_credentials),
		cmocka_unit_test(what_cannot_be_used_is_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
