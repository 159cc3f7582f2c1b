/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP client arguments that components share (grafana/alloy internal/component/common/config,
 * 66ebea856dff): credentials, TLS, proxy. A component embeds struct http_client and puts
 * HTTP_CLIENT_OPTIONS(struct, member) into its table. What is not built is refused, as ignoring
 * credentials would send requests without them.
 */
#pragma once

#include "agent/config/schema.h"

struct push_options;

struct http_basic_auth {
	bool set;
	char *username, *password, *password_file;
};

struct http_authorization {
	bool set;
	char *type, *credentials, *credentials_file;
};

struct http_oauth2 {
	bool set;
};

struct http_tls_config {
	bool set;
	char *ca_pem, *ca_file, *cert_pem, *cert_file, *key_pem, *key_file, *server_name,
		*min_version;
	bool insecure_skip_verify;
};

struct http_client {
	struct http_basic_auth basic_auth;
	struct http_authorization authorization;
	struct http_oauth2 oauth2;
	char *bearer_token, *bearer_token_file;
	char *proxy_url, *no_proxy;
	bool proxy_from_environment, follow_redirects, enable_http2;
	struct value *proxy_connect_header, *http_headers;
	struct http_tls_config tls_config;
};

extern const struct schema http_basic_auth_schema, http_authorization_schema, http_oauth2_schema,
	http_tls_config_schema;

#define HTTP_CLIENT_FIELD(type, member, f) \
	(offsetof(type, member) + offsetof(struct http_client, f))
#define HTTP_CLIENT_OPTIONS(type, member)                                                          \
	{"basic_auth", OPTION_BLOCK, .offset = HTTP_CLIENT_FIELD(type, member, basic_auth),        \
	 .block = &http_basic_auth_schema},                                                        \
		{"authorization", OPTION_BLOCK,                                                    \
		 .offset = HTTP_CLIENT_FIELD(type, member, authorization),                         \
		 .block = &http_authorization_schema},                                             \
		{"oauth2",                                                                         \
		 OPTION_BLOCK,                                                                     \
		 NULL,                                                                             \
		 OPTION_REFUSED,                                                                   \
		 HTTP_CLIENT_FIELD(type, member, oauth2),                                          \
		 &http_oauth2_schema,                                                              \
		 "use basic_auth, authorization or bearer_token"},                                 \
		{"bearer_token", OPTION_SECRET,                                                    \
		 .offset = HTTP_CLIENT_FIELD(type, member, bearer_token)},                         \
		{"bearer_token_file", OPTION_STRING,                                               \
		 .offset = HTTP_CLIENT_FIELD(type, member, bearer_token_file)},                    \
		{"proxy_url", OPTION_STRING,                                                       \
		 .offset = HTTP_CLIENT_FIELD(type, member, proxy_url)},                            \
		{"no_proxy", OPTION_STRING, .offset = HTTP_CLIENT_FIELD(type, member, no_proxy)},  \
		{"proxy_from_environment", OPTION_BOOL, "false",                                   \
		 .offset = HTTP_CLIENT_FIELD(type, member, proxy_from_environment)},               \
		{"proxy_connect_header",                                                           \
		 OPTION_ANY,                                                                       \
		 NULL,                                                                             \
		 OPTION_REFUSED,                                                                   \
		 HTTP_CLIENT_FIELD(type, member, proxy_connect_header),                            \
		 NULL,                                                                             \
		 "remove it"},                                                                     \
		{"http_headers",                                                                   \
		 OPTION_ANY,                                                                       \
		 NULL,                                                                             \
		 OPTION_REFUSED,                                                                   \
		 HTTP_CLIENT_FIELD(type, member, http_headers),                                    \
		 NULL,                                                                             \
		 "use headers"},                                                                   \
		{"follow_redirects", OPTION_BOOL, "true",                                          \
		 .offset = HTTP_CLIENT_FIELD(type, member, follow_redirects)},                     \
		{"enable_http2", OPTION_BOOL, "true",                                              \
		 .offset = HTTP_CLIENT_FIELD(type, member, enable_http2)},                         \
	{                                                                                          \
		"tls_config", OPTION_BLOCK, .offset = HTTP_CLIENT_FIELD(type, member, tls_config), \
					    .block = &http_tls_config_schema                       \
	}

/* 0, or -EINVAL with the message. */
int http_client_validate(const struct http_client *h, char *why, size_t size);
/* Credentials, TLS and proxy into o, borrowed. */
void http_client_apply(const struct http_client *h, struct push_options *o);
