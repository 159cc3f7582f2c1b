/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/receive_options.h"

#include <errno.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/components/settings_http.h"

#define MAX_PEM (1u << 20)

static int tls_validate(const void *args, char *why, size_t size)
{
	const struct receive_tls *t = args;
	const char *error = NULL;

	if (*t->cert_pem && *t->cert_file)
		error = "cannot specify both cert_pem and cert_file";
	else if (*t->key_pem && *t->key_file)
		error = "cannot specify both key_pem and key_file";
	else if (*t->client_ca && *t->client_ca_file)
		error = "cannot specify both client_ca and client_ca_file";
	else if (!*t->cert_pem && !*t->cert_file)
		error = "must specify either cert_pem or cert_file";
	else if (!*t->key_pem && !*t->key_file)
		error = "must specify either key_pem or key_file";
	else if (*t->client_auth_type && settings_http_client_auth(t->client_auth_type) < 0)
		error = "unknown client auth type (NoClientCert, RequestClientCert, "
			"RequireAnyClientCert, VerifyClientCertIfGiven, "
			"RequireAndVerifyClientCert)";
	if (!error)
		return 0;
	(void)snprintf(why, size, "%s", error);
	return -EINVAL;
}

#define TLS(member) offsetof(struct receive_tls, member)
static const struct option tls_options[] = {
	{"cert_pem", OPTION_STRING, .offset = TLS(cert_pem), .help = "the own certificate"},
	{"key_pem", OPTION_SECRET, .offset = TLS(key_pem), .help = "its key"},
	{"cert_file", OPTION_STRING, .offset = TLS(cert_file), .help = "the same in a file"},
	{"key_file", OPTION_STRING, .offset = TLS(key_file), .help = "the same in a file"},
	{"client_auth_type", OPTION_STRING, .offset = TLS(client_auth_type),
	 .help = "whether clients need a certificate: NoClientCert, RequestClientCert, "
		 "RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"},
	{"client_ca_file", OPTION_STRING, .offset = TLS(client_ca_file),
	 .help = "certificates that those of clients must lead to, in a file"},
	{"client_ca", OPTION_STRING, .offset = TLS(client_ca), .help = "the same as text"},
	{"min_version", OPTION_STRING, .offset = TLS(min_version),
	 .help = "the oldest version of TLS: TLS10 to TLS13"},
	/* GnuTLS chooses these well, and knows them by other names. */
	{"cipher_suites", OPTION_STRINGS, NULL, OPTION_LATER, TLS(cipher_suites),
	 .help = "cipher suites of TLS 1.2 and older"},
};

static const struct schema tls_schema = {
	.size = sizeof(struct receive_tls),
	.options = tls_options,
	.n = ARRAY_SIZE(tls_options),
	.validate = tls_validate,
};

static const struct option http2_options[] = {
	{"enabled", OPTION_BOOL, "false", OPTION_LATER, offsetof(struct receive_http2, enabled),
	 .help = "whether it is offered"},
	{"idle_timeout", OPTION_DURATION, .offset = offsetof(struct receive_http2, idle_timeout),
	 .help = "how long a connection may be idle"},
};

static const struct schema http2_schema = {
	.size = sizeof(struct receive_http2),
	.options = http2_options,
	.n = ARRAY_SIZE(http2_options),
};

static int http_validate(const void *args, char *why, size_t size)
{
	const struct receive_http *h = args;

	if (h->listen_port < 0 || h->listen_port > UINT16_MAX)
		(void)snprintf(why, size, "listen_port must be between 0 and 65535");
	else if (h->conn_limit < 0)
		(void)snprintf(why, size, "conn_limit must not be negative");
	else if (h->read_timeout < 0 || h->write_timeout < 0 || h->idle_timeout < 0)
		(void)snprintf(why, size, "timeouts must not be negative");
	else
		return 0;
	return -EINVAL;
}

#define HTTP(member) offsetof(struct receive_http, member)
static const struct option http_options[] = {
	{"listen_address", OPTION_STRING, "", .offset = HTTP(listen_address),
	 .help = "\"\": all addresses of this host"},
	{"listen_port", OPTION_INT, "8080", .offset = HTTP(listen_port), .help = "0: any"},
	{"conn_limit", OPTION_INT, "16384", .offset = HTTP(conn_limit),
	 .help = "connections at a time"},
	{"server_read_timeout", OPTION_DURATION, "30s", .offset = HTTP(read_timeout),
	 .help = "how long a request may take to come"},
	{"server_write_timeout", OPTION_DURATION, "30s", .offset = HTTP(write_timeout),
	 .help = "how long a reply may take"},
	{"server_idle_timeout", OPTION_DURATION, "2m", .offset = HTTP(idle_timeout),
	 .help = "how long a connection may be idle"},
	{"tls", OPTION_BLOCK, .offset = HTTP(tls), .block = &tls_schema,
	 .help = "TLS of the server"},
	{"http2", OPTION_BLOCK, .offset = HTTP(http2), .block = &http2_schema, .help = "HTTP/2"},
};

static const struct schema http_schema = {
	.size = sizeof(struct receive_http),
	.options = http_options,
	.n = ARRAY_SIZE(http_options),
	.validate = http_validate,
};

#define GRPC(member) offsetof(struct receive_grpc, member)
static const struct option grpc_options[] = {
	{"listen_address", OPTION_STRING, "", .offset = GRPC(listen_address),
	 .help = "the address that is listened on"},
	{"listen_port", OPTION_INT, "0", .offset = GRPC(listen_port), .help = "the port; 0: any"},
	{"conn_limit", OPTION_INT, "0", .offset = GRPC(conn_limit),
	 .help = "connections at a time"},
	{"max_connection_age", OPTION_DURATION, .offset = GRPC(max_connection_age),
	 .help = "how long a connection may live"},
	{"max_connection_age_grace", OPTION_DURATION, .offset = GRPC(max_connection_age_grace),
	 .help = "and how long beyond, for its requests"},
	{"max_connection_idle", OPTION_DURATION, .offset = GRPC(max_connection_idle),
	 .help = "how long it may be idle"},
	{"server_max_recv_msg_size", OPTION_INT, "4194304", .offset = GRPC(max_recv_msg_size),
	 .help = "bytes of a request"},
	{"server_max_send_msg_size", OPTION_INT, "4194304", .offset = GRPC(max_send_msg_size),
	 .help = "bytes of a reply"},
	{"server_max_concurrent_streams", OPTION_INT, "100", .offset = GRPC(max_concurrent_streams),
	 .help = "requests at a time on a connection"},
	{"tls", OPTION_BLOCK, .offset = GRPC(tls), .block = &tls_schema,
	 .help = "TLS of the server"},
};

static const struct schema grpc_schema = {
	.size = sizeof(struct receive_grpc),
	.options = grpc_options,
	.n = ARRAY_SIZE(grpc_options),
};

#define ARGS(member) offsetof(struct receive_args, member)
static const struct option receive_options[] = {
	{"forward_to", OPTION_RECEIVERS, NULL, OPTION_REQUIRED, ARGS(forward_to), NULL,
	 "where the profiles go"},
	{"http", OPTION_BLOCK, .offset = ARGS(http), .block = &http_schema,
	 .help = "a server of HTTP"},
	/* In Alloy a second listener that nothing of this component is served on. */
	{"grpc", OPTION_BLOCK, .offset = ARGS(grpc), .block = &grpc_schema,
	 .help = "a server of gRPC"},
	/* Requests are answered as soon as they are there: nothing is left to wait for. */
	{"graceful_shutdown_timeout", OPTION_DURATION, "30s",
	 .offset = ARGS(graceful_shutdown_timeout), .help = "how long requests may take to end"},
	{"debug_info_upload_timeout", OPTION_DURATION, "2m", OPTION_LATER,
	 ARGS(debug_info_upload_timeout),
	 .help = "how long an upload of debug information may take"},
};

const struct schema receive_schema = {
	.size = sizeof(struct receive_args),
	.options = receive_options,
	.n = ARRAY_SIZE(receive_options),
};

bool receive_same_server(const struct receive_args *a, const struct receive_args *b)
{
	return schema_equal(&http_schema, &a->http, &b->http) && a->http.tls.set == b->http.tls.set;
}

static int load(const char *text, const char *file, struct buf *to, const char **ret, char *why,
		size_t size)
{
	int r;

	*ret = NULL;
	if (*text)
		*ret = text;
	if (*text || !*file)
		return 0;
	*to = BUF_INIT(MAX_PEM);
	r = file_read(file, to, NULL);
	if (r < 0)
		(void)snprintf(why, size, "cannot read %s: %s", file, strerror(-r));
	else
		*ret = buf_cstr(to);
	return r;
}

int receive_tls_load(const struct receive_tls *t, struct buf texts[3], struct http_server_tls *ret,
		     char *why, size_t size)
{
	struct http_server_tls tls = {.min_version = t->min_version};
	int r = load(t->cert_pem, t->cert_file, &texts[0], &tls.cert, why, size);

	if (r >= 0)
		r = load(t->key_pem, t->key_file, &texts[1], &tls.key, why, size);
	if (r >= 0)
		r = load(t->client_ca, t->client_ca_file, &texts[2], &tls.client_ca, why, size);
	if (r < 0)
		return r;
	if (*t->client_auth_type)
		tls.client_auth =
			(enum http_client_auth)settings_http_client_auth(t->client_auth_type);
	*ret = tls;
	return 0;
}
