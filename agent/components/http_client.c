/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/http_client.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/http/access.h"

#define JWT_HELP "use grant_type \"client_credentials\" with client_secret"

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
			      "block instead");
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

	if (*a->ca_pem && *a->ca_file)
		return refuse(why, size, "at most one of ca_pem and ca_file must be configured");
	if (*a->cert_pem && *a->cert_file)
		return refuse(why, size,
			      "at most one of cert_pem and cert_file must be configured");
	if (*a->key_pem && *a->key_file)
		return refuse(why, size, "at most one of key_pem and key_file must be configured");
	if (cert && !key)
		return refuse(why, size,
			      "exactly one of key_pem or key_file must be configured when a client "
			      "certificate is configured");
	if (key && !cert)
		return refuse(why, size,
			      "exactly one of cert_pem or cert_file must be configured when a "
			      "client key is configured");
	if (*a->min_version && strcmp(a->min_version, "TLS10") != 0 &&
	    strcmp(a->min_version, "TLS11") != 0 && strcmp(a->min_version, "TLS12") != 0 &&
	    strcmp(a->min_version, "TLS13") != 0) {
		(void)snprintf(why, size, "unknown TLS version: %.40s (TLS10 to TLS13)",
			       a->min_version);
		return -EINVAL;
	}
	return 0;
}

static int proxy_validate(const struct http_proxy *p, char *why, size_t size)
{
	if (p->proxy_connect_header.n && !p->proxy_from_environment && !*p->proxy_url)
		return refuse(why, size,
			      "if proxy_connect_header is configured, proxy_url or "
			      "proxy_from_environment must also be configured");
	if (p->proxy_from_environment && *p->proxy_url)
		return refuse(why, size,
			      "if proxy_from_environment is configured, proxy_url must not be "
			      "configured");
	if (p->proxy_from_environment && *p->no_proxy)
		return refuse(why, size,
			      "if proxy_from_environment is configured, no_proxy must not be "
			      "configured");
	if (*p->no_proxy && !*p->proxy_url)
		return refuse(why, size,
			      "if no_proxy is configured, proxy_url must also be configured");
	return 0;
}

static int oauth2_validate(const void *args, char *why, size_t size)
{
	const struct http_oauth2 *a = args;

	if (!*a->client_id)
		return refuse(why, size, "oauth2 client_id must be configured");
	if (!*a->token_url)
		return refuse(why, size, "oauth2 token_url must be configured");
	if (strcmp(a->grant_type, "client_credentials") != 0) {
		(void)snprintf(why, size, "unsupported oauth2 grant_type \"%.60s\"", a->grant_type);
		return -EINVAL;
	}
	if (!*a->client_secret && !*a->client_secret_file)
		return refuse(why, size,
			      "either oauth2 client_secret or client_secret_file must be "
			      "configured");
	if (*a->client_secret && *a->client_secret_file)
		return refuse(why, size,
			      "at most one of oauth2 client_secret & client_secret_file must be "
			      "configured");
	return proxy_validate(&a->proxy, why, size);
}

#define BASIC(member) offsetof(struct http_basic_auth, member)
static const struct option basic_auth_options[] = {
	{"username", OPTION_STRING, .offset = BASIC(username), .help = "the name"},
	{"password", OPTION_SECRET, .offset = BASIC(password), .help = "the password"},
	{"password_file", OPTION_STRING, .offset = BASIC(password_file),
	 .help = "a file with the password, read for each request"},
};

const struct schema http_basic_auth_schema = {
	.size = sizeof(struct http_basic_auth),
	.options = basic_auth_options,
	.n = ARRAY_SIZE(basic_auth_options),
	.validate = basic_auth_validate,
};

#define AUTH(member) offsetof(struct http_authorization, member)
static const struct option authorization_options[] = {
	{"type", OPTION_STRING, "Bearer", .offset = AUTH(type),
	 .help = "the word before the credentials"},
	{"credentials", OPTION_SECRET, .offset = AUTH(credentials), .help = "what follows it"},
	{"credentials_file", OPTION_STRING, .offset = AUTH(credentials_file),
	 .help = "a file with them, read for each request"},
};

const struct schema http_authorization_schema = {
	.size = sizeof(struct http_authorization),
	.options = authorization_options,
	.n = ARRAY_SIZE(authorization_options),
	.validate = authorization_validate,
};

#define TLS(member) offsetof(struct http_tls_config, member)
static const struct option tls_config_options[] = {
	{"ca_pem", OPTION_STRING, .offset = TLS(ca_pem),
	 .help = "certificates that the other side's must lead to; the system's when empty"},
	{"ca_file", OPTION_STRING, .offset = TLS(ca_file), .help = "the same in a file"},
	{"cert_pem", OPTION_STRING, .offset = TLS(cert_pem), .help = "the own certificate"},
	{"cert_file", OPTION_STRING, .offset = TLS(cert_file), .help = "the same in a file"},
	{"key_pem", OPTION_SECRET, .offset = TLS(key_pem), .help = "its key"},
	{"key_file", OPTION_STRING, .offset = TLS(key_file), .help = "the same in a file"},
	{"server_name", OPTION_STRING, .offset = TLS(server_name),
	 .help = "expected in the certificate instead of the URL's host"},
	{"insecure_skip_verify", OPTION_BOOL, "false", .offset = TLS(insecure_skip_verify),
	 .help = "do not check the other side's certificate"},
	{"min_version", OPTION_STRING, .offset = TLS(min_version), .help = "TLS10 to TLS13"},
};

const struct schema http_tls_config_schema = {
	.size = sizeof(struct http_tls_config),
	.options = tls_config_options,
	.n = ARRAY_SIZE(tls_config_options),
	.validate = tls_validate,
};

#define OAUTH2(member) offsetof(struct http_oauth2, member)
static const struct option oauth2_options[] = {
	{"client_id", OPTION_STRING, .offset = OAUTH2(client_id), .help = "the name of the client"},
	{"client_secret", OPTION_SECRET, .offset = OAUTH2(client_secret), .help = "its secret"},
	{"client_secret_file", OPTION_STRING, .offset = OAUTH2(client_secret_file),
	 .help = "a file with the secret"},
	{"scopes", OPTION_STRINGS, .offset = OAUTH2(scopes), .help = "what access is asked for"},
	{"token_url", OPTION_STRING, .offset = OAUTH2(token_url),
	 .help = "the server that gives tokens"},
	{"endpoint_params", OPTION_MAP, .offset = OAUTH2(endpoint_params),
	 .help = "further parameters of that request"},
	{"grant_type", OPTION_STRING, "client_credentials", .offset = OAUTH2(grant_type),
	 .help = "the kind of grant"},
	{"client_certificate_key_id", OPTION_STRING, NULL, OPTION_REFUSED, OAUTH2(jwt[0]), NULL,
	 JWT_HELP},
	{"client_certificate_key", OPTION_SECRET, NULL, OPTION_REFUSED, OAUTH2(jwt[1]), NULL,
	 JWT_HELP},
	{"client_certificate_key_file", OPTION_STRING, NULL, OPTION_REFUSED, OAUTH2(jwt[2]), NULL,
	 JWT_HELP},
	{"signature_algorithm", OPTION_STRING, "RS256", OPTION_REFUSED, OAUTH2(jwt[3]), NULL,
	 JWT_HELP},
	{"iss", OPTION_STRING, NULL, OPTION_REFUSED, OAUTH2(jwt[4]), NULL, JWT_HELP},
	{"audience", OPTION_STRING, NULL, OPTION_REFUSED, OAUTH2(jwt[5]), NULL, JWT_HELP},
	{"claims", OPTION_ANY, NULL, OPTION_REFUSED, OAUTH2(claims), NULL, JWT_HELP},
	HTTP_PROXY_OPTIONS(OAUTH2(proxy)),
	{"tls_config", OPTION_BLOCK, .offset = OAUTH2(tls_config), .block = &http_tls_config_schema,
	 .help = "TLS of the connection"},
};

const struct schema http_oauth2_schema = {
	.size = sizeof(struct http_oauth2),
	.options = oauth2_options,
	.n = ARRAY_SIZE(oauth2_options),
	.validate = oauth2_validate,
};

/* prometheus/common config/headers.go: what makes a request what it is, or is set elsewhere. */
static int headers_validate(const struct schema_map *m, char *why, size_t size)
{
	static const char *const reserved[] = {
		"Authorization",
		"Host",
		"Content-Encoding",
		"Content-Length",
		"Content-Type",
		"User-Agent",
		"Connection",
		"Keep-Alive",
		"Proxy-Authenticate",
		"Proxy-Authorization",
		"Www-Authenticate",
		"Accept-Encoding",
		"X-Prometheus-Remote-Write-Version",
		"X-Prometheus-Remote-Read-Version",
		"X-Prometheus-Scrape-Timeout-Seconds",
		"X-Amz-Date",
		"X-Amz-Security-Token",
		"X-Amz-Content-Sha256",
	};

	for (size_t i = 0; i < m->n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(reserved); k++) {
			if (strcasecmp(m->v[i].name, reserved[k]) != 0)
				continue;
			(void)snprintf(why, size, "setting header \"%s\" is not allowed",
				       reserved[k]);
			return -EINVAL;
		}
	}
	return http_headers_check(http_client_labels(m), m->n, why, size);
}

int http_client_validate(const struct http_client *h, char *why, size_t size)
{
	int kinds = h->basic_auth.set + h->authorization.set + h->oauth2.set +
		    (*h->bearer_token != '\0') + (*h->bearer_token_file != '\0');
	int r;

	if (kinds > 1)
		return refuse(why, size,
			      "at most one of basic_auth, authorization, oauth2, bearer_token & "
			      "bearer_token_file must be configured");
	r = headers_validate(&h->http_headers, why, size);
	return r < 0 ? r : proxy_validate(&h->proxy, why, size);
}

const struct label *http_client_labels(const struct schema_map *m)
{
	_Static_assert(sizeof(struct label) == sizeof(struct schema_pair) &&
			       offsetof(struct label, name) == offsetof(struct schema_pair, name) &&
			       offsetof(struct label, value) == offsetof(struct schema_pair, value),
		       "a pair of a map is a label");
	return (const struct label *)m->v;
}

static void tls_options(const struct http_tls_config *t, struct http_tls_options *ret)
{
	*ret = (struct http_tls_options){
		.ca_pem = t->ca_pem,
		.ca_file = t->ca_file,
		.cert_pem = t->cert_pem,
		.cert_file = t->cert_file,
		.key_pem = t->key_pem,
		.key_file = t->key_file,
		.server_name = t->server_name,
		.min_version = t->min_version,
		.insecure_skip_verify = t->insecure_skip_verify,
	};
}

static void proxy_options(const struct http_proxy *p, struct http_proxy_options *ret)
{
	*ret = (struct http_proxy_options){
		.url = p->proxy_url,
		.no_proxy = p->no_proxy,
		.from_environment = p->proxy_from_environment,
		.connect_headers = http_client_labels(&p->proxy_connect_header),
		.n_connect_headers = p->proxy_connect_header.n,
	};
}

static void oauth2_options_of(const struct http_oauth2 *a, struct http_oauth2_options *ret)
{
	*ret = (struct http_oauth2_options){
		.token_url = a->token_url,
		.client_id = a->client_id,
		.client_secret = a->client_secret,
		.client_secret_file = a->client_secret_file,
		.scopes = (const char *const *)a->scopes.v,
		.n_scopes = a->scopes.n,
		.params = http_client_labels(&a->endpoint_params),
		.n_params = a->endpoint_params.n,
	};
	proxy_options(&a->proxy, &ret->proxy);
	tls_options(&a->tls_config, &ret->tls);
}

void http_client_options(const struct http_client *h, struct http_options *ret)
{
	*ret = (struct http_options){
		.headers = http_client_labels(&h->http_headers),
		.n_headers = h->http_headers.n,
		.follow_redirects = h->follow_redirects,
		.http2 = h->enable_http2,
	};
	if (h->basic_auth.set) {
		ret->username = h->basic_auth.username;
		ret->password = h->basic_auth.password;
		ret->password_file = h->basic_auth.password_file;
	} else if (h->authorization.set) {
		ret->auth_type = h->authorization.type;
		ret->token = h->authorization.credentials;
		ret->token_file = h->authorization.credentials_file;
	} else if (h->oauth2.set) {
		oauth2_options_of(&h->oauth2, &ret->oauth2);
	} else {
		ret->token = h->bearer_token;
		ret->token_file = h->bearer_token_file;
	}
	tls_options(&h->tls_config, &ret->tls);
	proxy_options(&h->proxy, &ret->proxy);
}
