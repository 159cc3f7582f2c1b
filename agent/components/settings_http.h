/* SPDX-License-Identifier: Apache-2.0 */
/* The top-level block http {}: who may ask the agent's own HTTP server, and with which
 * certificates. Names and defaults: internal/service/http of Grafana Alloy, 66ebea856dff. */
#pragma once

#include "agent/config/component.h"

struct http_basic {
	bool set;
	char *username, *password;
};

struct http_filter {
	bool set;
	struct schema_strings paths;
	bool authenticate_matching_paths;
};

struct http_auth {
	bool set;
	struct http_basic basic;
	struct http_filter filter;
};

struct http_tls {
	bool set;
	char *cert_pem, *cert_file, *key_pem, *key_file, *client_ca_pem, *client_ca_file;
	char *client_auth_type, *min_version, *max_version;
	struct schema_strings cipher_suites, curve_preferences;
};

struct http_settings {
	struct http_auth auth;
	struct http_tls tls;
};

/* Its args are a struct http_settings. */
extern const struct component_type settings_http;

/* Number of the client_auth_type as in enum http_client_auth, or -EINVAL. */
int settings_http_client_auth(const char *name);
