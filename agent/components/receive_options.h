/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of pyroscope.receive_http (defaults: internal/component/common/net of Grafana
 * Alloy, 66ebea856dff). */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/schema.h"
#include "agent/http/server.h"

struct receive_tls {
	bool set;
	char *cert_pem, *key_pem, *cert_file, *key_file, *client_auth_type, *client_ca_file;
	char *client_ca, *min_version;
	struct schema_strings cipher_suites;
};

struct receive_http2 {
	bool set, enabled;
	int64_t idle_timeout;
};

struct receive_http {
	bool set;
	char *listen_address;
	int64_t listen_port, conn_limit;
	int64_t read_timeout, write_timeout, idle_timeout;
	struct receive_tls tls;
	struct receive_http2 http2;
};

struct receive_grpc {
	bool set;
	char *listen_address;
	int64_t listen_port, conn_limit;
	int64_t max_connection_age, max_connection_age_grace, max_connection_idle;
	int64_t max_recv_msg_size, max_send_msg_size, max_concurrent_streams;
	struct receive_tls tls;
};

struct receive_args {
	struct schema_receivers forward_to;
	struct receive_http http;
	struct receive_grpc grpc;
	int64_t graceful_shutdown_timeout, debug_info_upload_timeout;
};

extern const struct schema receive_schema;

/* What of the arguments makes another server necessary. */
bool receive_same_server(const struct receive_args *a, const struct receive_args *b);
/* Certificates as text; those in files are read into `texts` (buf_done() each). -EINVAL
 * or what reading gave, with the reason in why. */
int receive_tls_load(const struct receive_tls *t, struct buf texts[3], struct http_server_tls *ret,
		     char *why, size_t size);
