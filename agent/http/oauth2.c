/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http/oauth2.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/why.h"
#include "agent/http/escape.h"
#include "agent/http/fetch.h"
#include "agent/http/multi_curl.h"

#define MAX_REQUEST	(64u << 10)
#define MAX_REPLY	(256u << 10)
#define MAX_TOKENS	64
#define REQUEST_TIMEOUT 30000u
#define EARLY_MS	10000u /* a token is not used so shortly before its end */
#define MAX_EXPIRES_S	(10u * 365u * 24u * 3600u)
#define FORM_TYPE	"application/x-www-form-urlencoded"

struct oauth2_token {
	struct oauth2_token *next;
	struct http_multi *m; /* borrowed */
	uint8_t *key;	      /* which server, client and parameters */
	size_t key_len;
	struct http_access *access; /* of the one whose request is under way */
	struct fetch *fetch;	    /* the request for a token; NULL: none is under way */
	struct oauth2_wait *waits;
	char *value;	     /* the header's; NULL: none */
	uint64_t expires_ms; /* 0: it does not say */
	bool in_body;	     /* the secret goes into the body: the header was not taken */
	bool knows_style;    /* in_body was once right */
};

/* ---- The request -------------------------------------------------------------------------- */

static void add_param(struct buf *b, const char *name, const char *value)
{
	if (b->len)
		buf_adds(b, "&");
	http_escape(b, name);
	buf_adds(b, "=");
	http_escape(b, value);
}

static void add_base64(struct buf *b, const uint8_t *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;

		v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? p[i + 2] : 0;
		buf_add_u8(b, (uint8_t)digits[v >> 18]);
		buf_add_u8(b, (uint8_t)digits[v >> 12 & 63]);
		buf_add_u8(b, i + 1 < n ? (uint8_t)digits[v >> 6 & 63] : '=');
		buf_add_u8(b, i + 2 < n ? (uint8_t)digits[v & 63] : '=');
	}
}

static void make_body(struct buf *b, const struct http_oauth2_options *o, const char *secret)
{
	_cleanup_buf_ struct buf scopes = BUF_INIT(MAX_REQUEST);

	add_param(b, "grant_type", "client_credentials");
	for (size_t i = 0; i < o->n_scopes; i++)
		buf_printf(&scopes, "%s%s", i ? " " : "", o->scopes[i]);
	if (o->n_scopes)
		add_param(b, "scope", buf_cstr(&scopes));
	for (size_t i = 0; i < o->n_params; i++)
		add_param(b, o->params[i].name, o->params[i].value);
	if (secret) {
		add_param(b, "client_id", o->client_id ? o->client_id : "");
		add_param(b, "client_secret", secret);
	}
}

/* RFC 6749, 2.3.1: name and secret are escaped as in a form before they are joined. */
static void make_authorization(struct buf *b, const struct http_oauth2_options *o,
			       const char *secret)
{
	_cleanup_buf_ struct buf pair = BUF_INIT(MAX_REQUEST);

	http_escape(&pair, o->client_id ? o->client_id : "");
	buf_adds(&pair, ":");
	http_escape(&pair, secret);
	buf_adds(b, "Basic ");
	add_base64(b, pair.data, pair.len);
}

static void on_reply(void *data, const struct fetch_reply *reply);

static int ask(struct oauth2_token *t, char *why, size_t size)
{
	const struct http_oauth2_options *o = &t->access->o.oauth2;
	const char *secret = o->client_secret ? o->client_secret : "";
	_cleanup_buf_ struct buf body = BUF_INIT(MAX_REQUEST), auth = BUF_INIT(MAX_REQUEST);
	struct label headers[3] = {{"Content-Type", FORM_TYPE}, {"Accept", "application/json"}};
	char text[HTTP_MAX_SECRET];
	struct fetch_request q = {
		.method = "POST",
		.url = o->token_url,
		.access = t->access->token_access,
		.headers = headers,
		.n_headers = t->in_body ? 2 : 3,
		.timeout_ms = REQUEST_TIMEOUT,
		.max_bytes = MAX_REPLY,
		.on_done = on_reply,
		.data = t,
	};

	if (o->client_secret_file) {
		int r = http_read_secret(o->client_secret_file, text, sizeof(text), why, size);

		if (r < 0)
			return r;
		secret = text;
	}
	make_body(&body, o, t->in_body ? secret : NULL);
	make_authorization(&auth, o, secret);
	if (body.failed || auth.failed)
		return -ENOMEM;
	headers[2] = (struct label){"Authorization", buf_cstr(&auth)};
	q.body = body.data;
	q.body_bytes = body.len;
	return fetch_start(t->m, &q, &t->fetch);
}

/* ---- The reply ---------------------------------------------------------------------------- */

static void set_type(const char **type)
{
	/* Go's oauth2.Token.Type(): servers write these as they like, resources do not. */
	if (!**type || !strcasecmp(*type, "bearer"))
		*type = "Bearer";
	else if (!strcasecmp(*type, "mac"))
		*type = "MAC";
	else if (!strcasecmp(*type, "basic"))
		*type = "Basic";
}

static bool is_printable(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			return false;
	}
	return true;
}

static int make_value(const char *type, const char *token, char **ret, char *why, size_t size)
{
	if (!*token)
		return why_set(-EBADMSG, why, size, "the reply has no access_token");
	if (!is_printable(token) || !is_printable(type))
		return why_set(-EBADMSG, why, size, "the token is no text for a header");
	set_type(&type);
	if (asprintf(ret, "%s %s", type, token) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* A number, or a string that is one: PayPal's servers write "3600". */
static uint32_t seconds_of(const char *s)
{
	uint64_t v = 0;

	for (; *s >= '0' && *s <= '9' && v < MAX_EXPIRES_S; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	return (uint32_t)MIN(v, MAX_EXPIRES_S);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static int parse_json(const char *body, size_t len, char **ret_value, uint32_t *ret_expires_s,
		      char *why, size_t size)
{
	json_t *j = json_loadb(body, len, 0, NULL), *expires = json_object_get(j, "expires_in");
	int r;

	if (!json_is_object(j)) {
		json_decref(j);
		return why_set(-EBADMSG, why, size, "the reply is no JSON object");
	}
	r = make_value(text_of(j, "token_type"), text_of(j, "access_token"), ret_value, why, size);
	if (json_is_number(expires)) {
		double v = json_number_value(expires);

		*ret_expires_s = v > 0 ? (uint32_t)MIN(v, (double)MAX_EXPIRES_S) : 0;
	} else if (json_is_string(expires)) {
		*ret_expires_s = seconds_of(json_string_value(expires));
	}
	json_decref(j);
	return r;
}

/* The value of a parameter of a form, unescaped; "" when it is not there. NULL without memory. */
static char *form_value(const char *s, size_t n, const char *name)
{
	const char *end = s + n;
	size_t len = strlen(name);

	while (s < end) {
		const char *amp = memchr(s, '&', (size_t)(end - s)), *stop = amp ? amp : end;

		if ((size_t)(stop - s) > len && !memcmp(s, name, len) && s[len] == '=') {
			char *to = malloc((size_t)(stop - s));

			if (to)
				http_unescape(s + len + 1, (size_t)(stop - s) - len - 1, true, to);
			return to;
		}
		s = amp ? amp + 1 : end;
	}
	return strdup("");
}

static int parse_form(const char *body, size_t len, char **ret_value, uint32_t *ret_expires_s,
		      char *why, size_t size)
{
	_cleanup_free_ char *token = form_value(body, len, "access_token"),
			    *type = form_value(body, len, "token_type"),
			    *expires = form_value(body, len, "expires_in");

	if (!token || !type || !expires)
		return -ENOMEM;
	*ret_expires_s = seconds_of(expires);
	return make_value(type, token, ret_value, why, size);
}

int oauth2_parse_reply(const char *content_type, const char *body, size_t len, char **ret_value,
		       uint32_t *ret_expires_s, char *why, size_t size)
{
	*ret_expires_s = 0;
	if (content_type && (!strncasecmp(content_type, FORM_TYPE, sizeof(FORM_TYPE) - 1) ||
			     !strncasecmp(content_type, "text/plain", 10)))
		return parse_form(body, len, ret_value, ret_expires_s, why, size);
	return parse_json(body, len, ret_value, ret_expires_s, why, size);
}

/* "invalid_client: no such client" out of the server's error reply, else the start of it. */
static void describe_error(const struct fetch_reply *reply, char *to, size_t size)
{
	json_t *j = json_loadb(reply->body, reply->len, 0, NULL);
	const char *error = text_of(j, "error"), *more = text_of(j, "error_description");

	if (*error)
		(void)snprintf(to, size, "status %ld, %.60s%s%.100s", reply->status, error,
			       *more ? ": " : "", more);
	else
		(void)snprintf(to, size, "status %ld%s%.100s", reply->status,
			       reply->len ? ": " : "", reply->body);
	json_decref(j);
	for (; *to; to++) {
		if ((unsigned char)*to < ' ' || (unsigned char)*to >= 0x7f)
			*to = '?';
	}
}

/* ---- The kept tokens ---------------------------------------------------------------------- */

static void tell_all(struct oauth2_token *t, int r, const char *text)
{
	/* Who is told may ask again at once, or stop waiting for another. */
	while (t->waits) {
		struct oauth2_wait *w = t->waits;

		oauth2_unwait(w);
		w->fn(w, r, text);
	}
}

static void failed(struct oauth2_token *t, int r, const char *why)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "no OAuth 2 token: %s", why);
	tell_all(t, r, text);
}

static void take(struct oauth2_token *t, const struct fetch_reply *reply)
{
	uint32_t expires_s;
	char why[128] = "out of memory", *value = NULL;
	int r = oauth2_parse_reply(reply->content_type, reply->body, reply->len, &value, &expires_s,
				   why, sizeof(why));

	if (r < 0) {
		failed(t, r, why);
		return;
	}
	free(t->value);
	t->value = value;
	t->expires_ms = expires_s ? clock_ms() + (uint64_t)expires_s * 1000 : 0;
	t->knows_style = true;
	tell_all(t, 0, t->value);
}

static void on_reply(void *data, const struct fetch_reply *reply)
{
	struct oauth2_token *t = data;
	char why[200] = "out of memory";
	int r;

	t->fetch = NULL;
	if (reply->r < 0) {
		failed(t, reply->r, reply->why);
		return;
	}
	if (reply->status / 100 == 2) {
		take(t, reply);
		return;
	}
	if (!t->knows_style && !t->in_body) {
		t->in_body = true;
		r = ask(t, why, sizeof(why));
		if (r < 0)
			failed(t, r, why);
		return;
	}
	if (!t->knows_style)
		t->in_body = false;
	describe_error(reply, why, sizeof(why));
	failed(t, -EACCES, why);
}

static void add_part(struct buf *b, const char *s)
{
	buf_add(b, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void make_key(struct buf *b, const struct http_oauth2_options *o)
{
	add_part(b, o->token_url);
	add_part(b, o->client_id);
	add_part(b, o->client_secret);
	add_part(b, o->client_secret_file);
	for (size_t i = 0; i < o->n_scopes; i++)
		add_part(b, o->scopes[i]);
	add_part(b, NULL);
	for (size_t i = 0; i < o->n_params; i++) {
		add_part(b, o->params[i].name);
		add_part(b, o->params[i].value);
	}
}

static struct oauth2_token *token_free(struct oauth2_token *t)
{
	if (!t)
		return NULL;
	http_access_unref(t->access);
	free(t->key);
	free(t->value);
	free(t);
	return NULL;
}
DEFINE_CLEANUP(struct oauth2_token *, token_free)

void oauth2_free_all(struct http_multi *m)
{
	while (m->tokens) {
		struct oauth2_token *t = m->tokens;

		m->tokens = t->next;
		token_free(t);
	}
}

/* Forgets what was not used for longest, but not what somebody waits for. */
static void make_room(struct http_multi *m)
{
	size_t n = 0;

	for (struct oauth2_token **p = &m->tokens; *p;) {
		struct oauth2_token *t = *p;

		if (++n >= MAX_TOKENS && !t->fetch && !t->waits) {
			*p = t->next;
			token_free(t);
		} else {
			p = &t->next;
		}
	}
}

/* Moved to the front when it is there. */
static struct oauth2_token *find(struct http_multi *m, const struct http_access *a, bool make)
{
	_cleanup_buf_ struct buf key = BUF_INIT(4 * MAX_REQUEST);
	_cleanup_(token_freep) struct oauth2_token *t = NULL;
	struct oauth2_token **p = &m->tokens;

	make_key(&key, &a->o.oauth2);
	if (key.failed)
		return NULL;
	while (*p && ((*p)->key_len != key.len || memcmp((*p)->key, key.data, key.len) != 0))
		p = &(*p)->next;
	t = *p;
	if (t) {
		*p = t->next;
	} else if (make) {
		make_room(m);
		t = calloc(1, sizeof(*t));
		if (!t)
			return NULL;
		t->m = m;
		t->key = buf_take(&key, &t->key_len);
		if (!t->key)
			return NULL;
	} else {
		return NULL;
	}
	t->next = m->tokens;
	m->tokens = t;
	return TAKE_PTR(t);
}

int oauth2_get(struct http_multi *m, struct http_access *a, struct oauth2_wait *w, const char **ret,
	       char *why, size_t size)
{
	struct oauth2_token *t = find(m, a, true);
	int r;

	if (!t)
		return -ENOMEM;
	if (t->value && (!t->expires_ms || clock_ms() + EARLY_MS < t->expires_ms)) {
		*ret = t->value;
		return 1;
	}
	if (!t->fetch) {
		struct http_access *old = t->access;

		t->access = http_access_ref(a);
		http_access_unref(old);
		r = ask(t, why, size);
		if (r < 0)
			return r;
	}
	w->token = t;
	w->next = t->waits;
	t->waits = w;
	return 0;
}

void oauth2_unwait(struct oauth2_wait *w)
{
	struct oauth2_wait **p;

	if (!w->token)
		return;
	for (p = &w->token->waits; *p; p = &(*p)->next) {
		if (*p == w) {
			*p = w->next;
			break;
		}
	}
	w->token = NULL;
}

void oauth2_refused(struct http_multi *m, const struct http_access *a, const char *value)
{
	struct oauth2_token *t = find(m, a, false);

	if (t && t->value && !strcmp(t->value, value)) {
		free(t->value);
		t->value = NULL;
	}
}
