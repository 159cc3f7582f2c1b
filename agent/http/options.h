/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a server is talked to: everything of Alloy's shared HTTP client arguments (grafana/alloy
 * internal/component/common/config/types.go, 66ebea856dff) as plain fields. All is borrowed;
 * NULL, "" and zero mean: not set. A zeroed struct is a plain client that follows no redirects.
 */
#pragma once

#include "agent/export/receiver.h"

struct http_tls_options {
	/* Of each pair at most one. Files are read anew for each connection. A CA that is given
	 * replaces those of the system. */
	const char *ca_pem, *ca_file, *cert_pem, *cert_file, *key_pem, *key_file;
	/* Asked for (SNI) and expected in the certificate instead of the URL's host. */
	const char *server_name;
	const char *min_version; /* TLS10 to TLS13; default TLS12 */
	bool insecure_skip_verify;
};

/* See proxy.h for which requests go through it. */
struct http_proxy_options {
	const char *url, *no_proxy;
	bool from_environment;
	const struct label *connect_headers; /* for CONNECT only; a name may come twice */
	size_t n_connect_headers;
};

/* The client credentials grant (RFC 6749, 4.4). token_url NULL: none. */
struct http_oauth2_options {
	const char *token_url, *client_id, *client_secret, *client_secret_file;
	const char *const *scopes;
	size_t n_scopes;
	const struct label *params; /* further parameters of the request for a token */
	size_t n_params;
	struct http_proxy_options proxy;
	struct http_tls_options tls;
};

struct http_options {
	/* At most one kind of credentials. Files are read anew for each request. */
	const char *username, *password, *password_file;
	const char *auth_type, *token, *token_file; /* "Authorization: <auth_type> <token>" */
	struct http_oauth2_options oauth2;
	/* Secrets like the credentials: not sent to another server on a redirect. A name may come
	 * twice. */
	const struct label *headers;
	size_t n_headers;
	struct http_tls_options tls;
	struct http_proxy_options proxy;
	bool follow_redirects, http2;
};
