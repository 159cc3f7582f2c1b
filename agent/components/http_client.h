/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client arguments that components share (grafana/alloy internal/component/common/config,
 * 66ebea856dff): credentials, TLS, proxy. A component embeds struct http_client, puts
 * HTTP_CLIENT_OPTIONS(struct, member) into its table and calls http_client_validate() in its own
 * check. http_client_options() is then what agent/http is asked with.
 */
#pragma once

#include "agent/config/schema.h"
#include "agent/http/options.h"

struct http_basic_auth {
	bool set;
	char *username, *password, *password_file;
};

struct http_authorization {
	bool set;
	char *type, *credentials, *credentials_file;
};

struct http_tls_config {
	bool set;
	char *ca_pem, *ca_file, *cert_pem, *cert_file, *key_pem, *key_file, *server_name,
		*min_version;
	bool insecure_skip_verify;
};

struct http_proxy {
	char *proxy_url, *no_proxy;
	bool proxy_from_environment;
	struct schema_map proxy_connect_header;
};

struct http_oauth2 {
	bool set;
	char *client_id, *client_secret, *client_secret_file, *grant_type, *token_url;
	struct schema_strings scopes;
	struct schema_map endpoint_params;
	struct http_proxy proxy;
	struct http_tls_config tls_config;
	/* The grant by a signed token, which is not built. */
	char *jwt[6];
	struct value *claims;
};

struct http_client {
	struct http_basic_auth basic_auth;
	struct http_authorization authorization;
	struct http_oauth2 oauth2;
	char *bearer_token, *bearer_token_file;
	struct http_proxy proxy;
	bool follow_redirects, enable_http2;
	struct schema_map http_headers;
	struct http_tls_config tls_config;
};

extern const struct schema http_basic_auth_schema, http_authorization_schema, http_oauth2_schema,
	http_tls_config_schema;

/* The arguments of a proxy, of a struct http_proxy at `base`. */
#define HTTP_PROXY_OPTIONS(base)                                                                \
	{"proxy_url", OPTION_STRING, .offset = (base) + offsetof(struct http_proxy, proxy_url), \
	 .help = "the proxy that requests go through"},                                         \
		{"no_proxy", OPTION_STRING,                                                     \
		 .offset = (base) + offsetof(struct http_proxy, no_proxy),                      \
		 .help = "hosts, domains and networks that need no proxy"},                     \
		{"proxy_from_environment", OPTION_BOOL, "false",                                \
		 .offset = (base) + offsetof(struct http_proxy, proxy_from_environment),        \
		 .help = "take the proxy from HTTP_PROXY, HTTPS_PROXY and NO_PROXY"},           \
	{                                                                                       \
		"proxy_connect_header", OPTION_MULTIMAP,                                        \
			.offset = (base) + offsetof(struct http_proxy, proxy_connect_header),   \
			.help = "headers for the proxy"                                         \
	}

#define HTTP_CLIENT_FIELD(type, member, f) \
	(offsetof(type, member) + offsetof(struct http_client, f))
#define HTTP_CLIENT_OPTIONS(type, member)                                                          \
	{"basic_auth", OPTION_BLOCK, .offset = HTTP_CLIENT_FIELD(type, member, basic_auth),        \
	 .block = &http_basic_auth_schema, .help = "credentials of the basic kind"},               \
		{"authorization", OPTION_BLOCK,                                                    \
		 .offset = HTTP_CLIENT_FIELD(type, member, authorization),                         \
		 .block = &http_authorization_schema, .help = "another Authorization header"},     \
		{"oauth2", OPTION_BLOCK, .offset = HTTP_CLIENT_FIELD(type, member, oauth2),        \
		 .block = &http_oauth2_schema, .help = "a token from a server of OAuth 2.0"},      \
		{"bearer_token", OPTION_SECRET,                                                    \
		 .offset = HTTP_CLIENT_FIELD(type, member, bearer_token),                          \
		 .help = "a token for the Authorization header"},                                  \
		{"bearer_token_file", OPTION_STRING,                                               \
		 .offset = HTTP_CLIENT_FIELD(type, member, bearer_token_file),                     \
		 .help = "a file with the token, read for each request"},                          \
		HTTP_PROXY_OPTIONS(HTTP_CLIENT_FIELD(type, member, proxy)),                        \
		{"http_headers", OPTION_MULTIMAP,                                                  \
		 .offset = HTTP_CLIENT_FIELD(type, member, http_headers),                          \
		 .help = "headers of each request"},                                               \
		{"follow_redirects", OPTION_BOOL, "true",                                          \
		 .offset = HTTP_CLIENT_FIELD(type, member, follow_redirects),                      \
		 .help = "follow redirects"},                                                      \
		{"enable_http2", OPTION_BOOL, "true",                                              \
		 .offset = HTTP_CLIENT_FIELD(type, member, enable_http2),                          \
		 .help = "speak HTTP/2 where the server does"},                                    \
	{                                                                                          \
		"tls_config", OPTION_BLOCK, .offset = HTTP_CLIENT_FIELD(type, member, tls_config), \
					    .block = &http_tls_config_schema,                      \
					    .help = "TLS of the connection"                        \
	}

/* 0, or -EINVAL with the message. */
int http_client_validate(const struct http_client *h, char *why, size_t size);
/* *ret borrows everything from h. */
void http_client_options(const struct http_client *h, struct http_options *ret);
/* A map's pairs as labels, borrowed. */
const struct label *http_client_labels(const struct schema_map *m);
