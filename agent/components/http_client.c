/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/http_client.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/push/push.h"

static int refuse(char *why, size_t size, const char *text)
{
	(void)snprintf(why, size, "%s", text);
	return -EINVAL;
}

static int basic_auth_validate(const void *args, char *why, size_t size)
{
	const struct http_basic_auth *a = args;

	return *a->password && *a->password_file ? refuse(why, size,
							  "at most one of basic_auth password & "
							  "password_file must be configured")
						 : 0;
}

static int authorization_validate(const void *args, char *why, size_t size)
{
	const struct http_authorization *a = args;

	if (!strcasecmp(a->type, "basic"))
		return refuse(why, size,
			      "authorization type cannot be set to \"basic\", use \"basic_auth\" "
			      "instead");
	if (*a->credentials && *a->credentials_file)
		return refuse(why, size,
			      "at most one of authorization credentials & credentials_file must be "
			      "configured");
	return 0;
}

static int tls_validate(const void *args, char *why, size_t size)
{
	const struct http_tls_config *a = args;
	bool cert = *a->cert_pem || *a->cert_file, key = *a->key_pem || *a->key_file;

	if ((*a->ca_pem && *a->ca_file) || (*a->cert_pem && *a->cert_file) ||
	    (*a->key_pem && *a->key_file))
		return refuse(why, size, "at most one of *_pem and *_file may be given");
	if (cert != key)
		return refuse(why, size,
			      "a client certificate and its key must be configured together");
	return 0;
}

#define BASIC(member) offsetof(struct http_basic_auth, member)
static const struct option basic_auth_options[] = {
	{"username", OPTION_STRING, .offset = BASIC(username)},
	{"password", OPTION_SECRET, .offset = BASIC(password)},
	{"password_file", OPTION_STRING, .offset = BASIC(password_file)},
};

const struct schema http_basic_auth_schema = {
	.size = sizeof(struct http_basic_auth),
	.options = basic_auth_options,
	.n = ARRAY_SIZE(basic_auth_options),
	.validate = basic_auth_validate,
};

#define AUTH(member) offsetof(struct http_authorization, member)
static const struct option authorization_options[] = {
	{"type", OPTION_STRING, "Bearer", .offset = AUTH(type)},
	{"credentials", OPTION_SECRET, .offset = AUTH(credentials)},
	{"credentials_file", OPTION_STRING, .offset = AUTH(credentials_file)},
};

const struct schema http_authorization_schema = {
	.size = sizeof(struct http_authorization),
	.options = authorization_options,
	.n = ARRAY_SIZE(authorization_options),
	.validate = authorization_validate,
};

/* Refused as a whole, so its arguments need no table. */
const struct schema http_oauth2_schema = {.size = sizeof(struct http_oauth2)};

#define TLS(member) offsetof(struct http_tls_config, member)
static const struct option tls_options[] = {
	{"ca_pem", OPTION_STRING, .offset = TLS(ca_pem)},
	{"ca_file", OPTION_STRING, .offset = TLS(ca_file)},
	{"cert_pem", OPTION_STRING, .offset = TLS(cert_pem)},
	{"cert_file", OPTION_STRING, .offset = TLS(cert_file)},
	{"key_pem", OPTION_SECRET, .offset = TLS(key_pem)},
	{"key_file", OPTION_STRING, .offset = TLS(key_file)},
	{"server_name", OPTION_STRING, NULL, OPTION_REFUSED, TLS(server_name), NULL,
	 "put the name into the URL"},
	{"insecure_skip_verify", OPTION_BOOL, "false", .offset = TLS(insecure_skip_verify)},
	{"min_version", OPTION_STRING, .offset = TLS(min_version), .help = "TLS10 to TLS13"},
};

const struct schema http_tls_config_schema = {
	.size = sizeof(struct http_tls_config),
	.options = tls_options,
	.n = ARRAY_SIZE(tls_options),
	.validate = tls_validate,
};

int http_client_validate(const struct http_client *h, char *why, size_t size)
{
	int kinds = h->basic_auth.set + h->authorization.set + h->oauth2.set +
		    (*h->bearer_token != '\0') + (*h->bearer_token_file != '\0');

	if (kinds > 1)
		return refuse(why, size,
			      "at most one of basic_auth, authorization, oauth2, bearer_token & "
			      "bearer_token_file must be configured");
	if (*h->no_proxy && !*h->proxy_url)
		return refuse(why, size, "no_proxy needs proxy_url");
	if (h->proxy_from_environment && *h->proxy_url)
		return refuse(why, size, "proxy_from_environment and proxy_url exclude each other");
	return 0;
}

void http_client_apply(const struct http_client *h, struct push_options *o)
{
	if (h->basic_auth.set) {
		o->username = h->basic_auth.username;
		o->password = h->basic_auth.password;
		o->password_file = h->basic_auth.password_file;
	} else if (h->authorization.set) {
		o->auth_type = h->authorization.type;
		o->token = h->authorization.credentials;
		o->token_file = h->authorization.credentials_file;
	} else {
		o->token = h->bearer_token;
		o->token_file = h->bearer_token_file;
	}
	o->proxy_url = h->proxy_url;
	o->no_proxy = h->no_proxy;
	o->proxy_from_environment = h->proxy_from_environment;
	o->follow_redirects = h->follow_redirects;
	o->http2 = h->enable_http2;
	o->ca_pem = h->tls_config.ca_pem;
	o->ca_file = h->tls_config.ca_file;
	o->cert_pem = h->tls_config.cert_pem;
	o->cert_file = h->tls_config.cert_file;
	o->key_pem = h->tls_config.key_pem;
	o->key_file = h->tls_config.key_file;
	o->min_tls = h->tls_config.min_version;
	o->insecure_skip_verify = h->tls_config.insecure_skip_verify;
}
