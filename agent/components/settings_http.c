/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/settings_http.h"

#include <errno.h>
#include <string.h>

static const struct option basic_options[] = {
	{"username", OPTION_STRING, NULL, OPTION_REQUIRED, offsetof(struct http_basic, username),
	 .help = "the name"},
	{"password", OPTION_SECRET, NULL, OPTION_REQUIRED, offsetof(struct http_basic, password),
	 .help = "the password"},
};

static const struct schema basic_schema = {
	.size = sizeof(struct http_basic),
	.options = basic_options,
	.n = ARRAY_SIZE(basic_options),
};

static const struct option filter_options[] = {
	{"paths", OPTION_STRINGS, .offset = offsetof(struct http_filter, paths),
	 .help = "path prefixes; none: all paths"},
	{"authenticate_matching_paths", OPTION_BOOL, "true",
	 .offset = offsetof(struct http_filter, authenticate_matching_paths),
	 .help = "false: these paths need no password, all others do"},
};

static const struct schema filter_schema = {
	.size = sizeof(struct http_filter),
	.options = filter_options,
	.n = ARRAY_SIZE(filter_options),
};

static const struct option auth_options[] = {
	{"basic", OPTION_BLOCK, .offset = offsetof(struct http_auth, basic), .block = &basic_schema,
	 .help = "name and password"},
	{"filter", OPTION_BLOCK, .offset = offsetof(struct http_auth, filter),
	 .block = &filter_schema, .help = "for which paths"},
};

static const struct schema auth_schema = {
	.size = sizeof(struct http_auth),
	.options = auth_options,
	.n = ARRAY_SIZE(auth_options),
};

int settings_http_client_auth(const char *name)
{
	static const char *const names[] = {"NoClientCert", "RequestClientCert",
					    "RequireAnyClientCert", "VerifyClientCertIfGiven",
					    "RequireAndVerifyClientCert"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i], name))
			return (int)i;
	}
	return -EINVAL;
}

static bool version_ok(const char *v)
{
	return !*v || !strcmp(v, "TLS10") || !strcmp(v, "TLS11") || !strcmp(v, "TLS12") ||
	       !strcmp(v, "TLS13");
}

static const char *tls_error(const struct http_tls *t)
{
	if (*t->client_ca_pem && *t->client_ca_file)
		return "cannot specify both client_ca_pem and client_ca_file";
	if (*t->cert_pem && *t->cert_file)
		return "cannot specify both cert_pem and cert_file";
	if (*t->key_pem && *t->key_file)
		return "cannot specify both key_pem and key_file";
	if (!*t->cert_pem && !*t->cert_file)
		return "must specify either cert_pem or cert_file";
	if (!*t->key_pem && !*t->key_file)
		return "must specify either key_pem or key_file";
	if (settings_http_client_auth(t->client_auth_type) < 0)
		return "unknown client auth type (NoClientCert, RequestClientCert, "
		       "RequireAnyClientCert, VerifyClientCertIfGiven, "
		       "RequireAndVerifyClientCert)";
	if ((*t->client_ca_pem || *t->client_ca_file) &&
	    !strcmp(t->client_auth_type, "NoClientCert"))
		return "cannot specify client_ca_pem or client_ca_file when client_auth_type is "
		       "NoClientCert";
	if (!version_ok(t->min_version) || !version_ok(t->max_version))
		return "unknown TLS version (TLS10, TLS11, TLS12, TLS13)";
	return NULL;
}

static int tls_validate(const void *args, char *why, size_t size)
{
	const char *error = tls_error(args);

	if (!error)
		return 0;
	(void)snprintf(why, size, "%s", error);
	return -EINVAL;
}

#define TLS(type, member, text)                                                          \
	{                                                                                \
#member, type, .offset = offsetof(struct http_tls, member), .help = text \
	}
static const struct option tls_options[] = {
	TLS(OPTION_STRING, cert_pem, "the server's certificate"),
	TLS(OPTION_STRING, cert_file, "the same in a file"),
	TLS(OPTION_SECRET, key_pem, "its key"),
	TLS(OPTION_STRING, key_file, "the same in a file"),
	TLS(OPTION_STRING, client_ca_pem, "certificates that those of clients must lead to"),
	TLS(OPTION_STRING, client_ca_file, "the same in a file"),
	{"client_auth_type", OPTION_STRING, "NoClientCert",
	 .offset = offsetof(struct http_tls, client_auth_type),
	 .help = "whether clients need a certificate: NoClientCert, RequestClientCert, "
		 "RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"},
	TLS(OPTION_STRING, min_version, "the oldest version of TLS: TLS10 to TLS13"),
	TLS(OPTION_STRING, max_version, "the newest version of TLS: TLS10 to TLS13"),
	/* GnuTLS chooses these well, and knows them by other names. */
	{"cipher_suites", OPTION_STRINGS, NULL, OPTION_LATER,
	 offsetof(struct http_tls, cipher_suites), .help = "cipher suites of TLS 1.2 and older"},
	{"curve_preferences", OPTION_STRINGS, NULL, OPTION_LATER,
	 offsetof(struct http_tls, curve_preferences),
	 .help = "elliptic curves, the preferred first"},
};

static const struct schema tls_schema = {
	.size = sizeof(struct http_tls),
	.options = tls_options,
	.n = ARRAY_SIZE(tls_options),
	.validate = tls_validate,
};

static const struct option http_options[] = {
	{"auth", OPTION_BLOCK, .offset = offsetof(struct http_settings, auth),
	 .block = &auth_schema, .help = "who may ask"},
	{"tls", OPTION_BLOCK, .offset = offsetof(struct http_settings, tls), .block = &tls_schema,
	 .help = "TLS of the server"},
};

static const struct schema http_schema = {
	.size = sizeof(struct http_settings),
	.options = http_options,
	.n = ARRAY_SIZE(http_options),
};

const struct component_type settings_http = {
	.name = "http",
	.help = "who may ask the agent's HTTP server, and with which certificates",
	.schema = &http_schema,
	.size = sizeof(struct component),
	.singleton = true,
};
