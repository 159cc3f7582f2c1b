/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: passwords, client certificates, names of this host. */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <strings.h>

#include "agent/http/server_internal.h"

static void sha256(const char *s, uint8_t ret[32])
{
	(void)gnutls_hash_fast(GNUTLS_DIG_SHA256, s, strlen(s), ret);
}

void http_sha256_hex(const void *bytes, size_t n, char ret[2 * 32 + 1])
{
	uint8_t hash[32] = {0};

	(void)gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, n, hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

void server_auth_done(struct http_server *s)
{
	for (size_t i = 0; i < s->auth.n_paths; i++)
		free(s->auth.paths[i]);
	free(s->auth.paths);
	memset(&s->auth, 0, sizeof(s->auth));
}

int server_copy_auth(struct http_server *s, const struct http_server_auth *auth)
{
	char **paths = calloc(MAX(auth->n_paths, 1u), sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < auth->n_paths; i++) {
		paths[i] = strdup(auth->paths[i]);
		if (!paths[i]) {
			while (i > 0)
				free(paths[--i]);
			free(paths);
			return -ENOMEM;
		}
	}
	server_auth_done(s);
	s->auth.paths = paths;
	s->auth.n_paths = auth->n_paths;
	s->auth.except_paths = auth->except_paths;
	s->auth.on = auth->username != NULL;
	if (!s->auth.on)
		return 0;
	sha256(auth->username, s->auth.username);
	sha256(auth->password ? auth->password : "", s->auth.password);
	return 0;
}

static bool needs_password(const struct http_server *s, const char *path)
{
	if (!s->auth.on || !s->auth.n_paths)
		return s->auth.on;
	for (size_t i = 0; i < s->auth.n_paths; i++) {
		if (!strncmp(path, s->auth.paths[i], strlen(s->auth.paths[i])))
			return !s->auth.except_paths;
	}
	return s->auth.except_paths;
}

/* Hashes are compared, so that time tells neither length nor prefix. */
static bool password_ok(const struct http_server *s, struct MHD_Connection *connection)
{
	char *password = NULL;
	char *username = MHD_basic_auth_get_username_password(connection, &password);
	uint8_t u[32], p[32];
	int differ;

	sha256(username ? username : "", u);
	sha256(password ? password : "", p);
	differ = gnutls_memcmp(u, s->auth.username, sizeof(u)) |
		 gnutls_memcmp(p, s->auth.password, sizeof(p));
	differ |= !username || !password;
	MHD_free(username);
	MHD_free(password);
	return !differ;
}

bool server_host_is_local(const char *host)
{
	char name[256], self[256] = "";
	struct in6_addr v6;
	struct in_addr v4;
	size_t len;

	if (host[0] == '[') {
		host++;
		len = strcspn(host, "]");
	} else {
		len = strcspn(host, ":");
	}
	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (inet_pton(AF_INET, name, &v4) == 1 || inet_pton(AF_INET6, name, &v6) == 1)
		return true;
	(void)gethostname(self, sizeof(self) - 1);
	return !strcasecmp(name, "localhost") || !strcasecmp(name, self) ||
	       (len > 10 && !strcasecmp(name + len - 10, ".localhost"));
}

/* ---- TLS ---- */

static gnutls_session_t session_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	return info ? info->tls_session : NULL;
}

void server_ask_certificate(const struct http_server *s, struct MHD_Connection *connection)
{
	gnutls_session_t session;

	if (!s->tls.cert || s->tls.client_auth == HTTP_CLIENT_NONE)
		return;
	session = session_of(connection);
	if (session)
		gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
}

static bool certificate_ok(const struct http_server *s, struct MHD_Connection *connection)
{
	gnutls_session_t session = session_of(connection);
	unsigned int status = 0, n = 0;
	bool given = session && gnutls_certificate_get_peers(session, &n) && n > 0;

	switch (s->tls.client_auth) {
	case HTTP_CLIENT_NONE:
	case HTTP_CLIENT_REQUEST:
		return true;
	case HTTP_CLIENT_REQUIRE_ANY:
		return given;
	case HTTP_CLIENT_VERIFY_IF_GIVEN:
		if (!given)
			return true;
		break;
	case HTTP_CLIENT_REQUIRE_AND_VERIFY:
		break;
	}
	return given && gnutls_certificate_verify_peers2(session, &status) == 0 && !status;
}

static const char *version_name(const char *name)
{
	static const char *const names[][2] = {
		{"TLS10", "1.0"}, {"TLS11", "1.1"}, {"TLS12", "1.2"}, {"TLS13", "1.3"}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i][0], name))
			return names[i][1];
	}
	return NULL;
}

/* "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2": the syntax of gnutls_priority_init(3). */
static int priorities(const struct http_server_tls *tls, char *ret, size_t size, char *why,
		      size_t why_size)
{
	const char *min =
		version_name(tls->min_version && *tls->min_version ? tls->min_version : "TLS12");
	const char *max =
		version_name(tls->max_version && *tls->max_version ? tls->max_version : "TLS13");
	size_t len;

	if (!min || !max || min[2] > max[2]) {
		(void)snprintf(why, why_size,
			       "the TLS versions are TLS10, TLS11, TLS12, TLS13, the lower first");
		return -EINVAL;
	}
	len = (size_t)snprintf(ret, size, "NORMAL:-VERS-ALL");
	for (char minor = max[2]; minor >= min[2]; minor--)
		len += (size_t)snprintf(ret + len, size - len, ":+VERS-TLS1.%c", minor);
	return 0;
}

/* libmicrohttpd does not say what is wrong with a certificate: try it before. */
static int check_certificate(const struct http_server_tls *tls, char *why, size_t size)
{
	const gnutls_datum_t cert = {(unsigned char *)tls->cert, (unsigned int)strlen(tls->cert)};
	const gnutls_datum_t key = {(unsigned char *)(tls->key ? tls->key : ""),
				    tls->key ? (unsigned int)strlen(tls->key) : 0};
	const char *ca_text = tls->client_ca ? tls->client_ca : "";
	const gnutls_datum_t ca = {(unsigned char *)ca_text, (unsigned int)strlen(ca_text)};
	gnutls_certificate_credentials_t c;
	const char *what = "certificate and key";
	int r = gnutls_certificate_allocate_credentials(&c);

	if (r < 0)
		return -ENOMEM;
	r = gnutls_certificate_set_x509_key_mem(c, &cert, &key, GNUTLS_X509_FMT_PEM);
	if (r >= 0 && ca.size) {
		what = "certificate authority of clients";
		r = gnutls_certificate_set_x509_trust_mem(c, &ca, GNUTLS_X509_FMT_PEM);
		r = r == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : r;
	}
	gnutls_certificate_free_credentials(c);
	if (r >= 0)
		return 0;
	(void)snprintf(why, size, "cannot use the %s: %s", what, gnutls_strerror(r));
	return -EINVAL;
}

void server_tls_done(struct http_server *s)
{
	free(s->tls.cert);
	free(s->tls.client_ca);
	if (s->tls.key) {
		explicit_bzero(s->tls.key, strlen(s->tls.key));
		free(s->tls.key);
	}
	memset(&s->tls, 0, sizeof(s->tls));
}

static bool same(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool same_tls(const struct http_server *s, const struct http_server_tls *tls,
		     const char *list)
{
	return same(s->tls.cert, tls->cert) && same(s->tls.key, tls->key) &&
	       same(s->tls.client_ca, tls->client_ca) && same(s->tls.priorities, list) &&
	       s->tls.client_auth == tls->client_auth;
}

int server_copy_tls(struct http_server *s, const struct http_server_tls *tls, char *why,
		    size_t size)
{
	char list[sizeof(s->tls.priorities)];
	int r;

	if (!tls->cert) {
		server_tls_done(s);
		return 1;
	}
	r = priorities(tls, list, sizeof(list), why, size);
	if (r >= 0)
		r = check_certificate(tls, why, size);
	if (r < 0)
		return r;
	if (same_tls(s, tls, list))
		return 0;
	server_tls_done(s);
	memcpy(s->tls.priorities, list, sizeof(list));
	s->tls.client_auth = tls->client_auth;
	s->tls.cert = strdup(tls->cert);
	s->tls.key = strdup(tls->key);
	s->tls.client_ca = tls->client_ca && *tls->client_ca ? strdup(tls->client_ca) : NULL;
	return s->tls.cert && s->tls.key ? 1 : -ENOMEM;
}

unsigned int server_refuses(struct http_server *s, struct call *c, const char **ret_text)
{
	const char *host = http_call_header(&c->pub, "Host");

	if (s->tls.cert && c->conn && !c->conn->verified) {
		if (!certificate_ok(s, c->connection)) {
			*ret_text = "a client certificate that this server trusts is needed";
			return MHD_HTTP_FORBIDDEN;
		}
		c->conn->verified = true;
	}
	if (s->o.local_names && s->loopback && host && !server_host_is_local(host)) {
		*ret_text = "this address is known as localhost: ask for it by that name, or "
			    "let the server listen on an address that others may use";
		return MHD_HTTP_FORBIDDEN;
	}
	if (needs_password(s, c->pub.path) && !password_ok(s, c->connection)) {
		http_reply_header(&c->pub, "WWW-Authenticate", "Basic realm=\"Restricted\"");
		*ret_text = "unauthorized";
		return MHD_HTTP_UNAUTHORIZED;
	}
	return 0;
}
