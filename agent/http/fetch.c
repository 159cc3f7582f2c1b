/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetch begins in a round of its own of the loop, as libcurl must not be called from its own
 * callbacks, and callers are spared a second way of failing. It goes through "wait for a token"
 * (maybe), "transfer" (again for each redirect, and once more when a token was refused), and
 * "done". One timer serves the beginning, both time limits and the late freeing of what was
 * cancelled from inside libcurl.
 */
#include "agent/http/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/http/multi_curl.h"
#include "agent/http/oauth2.h"
#include "agent/http/url.h"
#include "agent/http/wire.h"

#define MAX_ERROR_BODY	(64u << 10)
#define FIRST_PAUSE_MS	50
#define MAX_RETRY_AFTER (24u * 3600u)

struct fetch {
	struct fetch *next, **link; /* among m->fetches */
	struct http_multi *m;	    /* borrowed */
	struct http_access *access;
	char *method, *url, *unix_socket;
	char *authorization; /* from oauth2 */
	struct label *headers;
	size_t n_headers;
	const uint8_t *body;
	uint8_t *own_body;
	size_t body_bytes;
	uint64_t timeout_ms, deadline_ms, idle_ms, last_ms;
	/* With batch_ms what comes is taken until take_ms and after that from resume_ms on, at most
	 * pause_ms later: twice as long as the last time while more comes. Then all is taken that
	 * is there. */
	uint64_t batch_ms, pause_ms, take_ms, resume_ms;
	size_t max_bytes, received;
	int (*on_data)(void *data, const uint8_t *p, size_t n);
	void (*on_done)(void *data, const struct fetch_reply *reply);
	void *data;

	CURL *easy;
	struct http_wire wire;
	struct buf reply;
	struct oauth2_wait wait;
	struct loop_source *timer;
	char *location; /* of the redirect that is being received */
	uint32_t hops;
	bool headers_whole; /* an empty line has ended them */
	bool *freed;	    /* told when it is; may be NULL */
	bool paused, begun, running, done, cancelled, untrusted, refreshed;
	int r; /* why our callbacks ended the transfer */
	char why[256], error[CURL_ERROR_SIZE];
};

static void begin(struct fetch *f);
static void arm(struct fetch *f);
static void finish(struct fetch *f, int r);
static int errno_of(CURLcode c);

static void stop(struct fetch *f)
{
	if (f->running)
		curl_multi_remove_handle(f->m->curl, f->easy);
	f->running = false;
}

static struct fetch *fetch_free(struct fetch *f)
{
	if (!f)
		return NULL;
	if (f->freed)
		*f->freed = true;
	stop(f);
	oauth2_unwait(&f->wait);
	if (f->link) {
		*f->link = f->next;
		if (f->next)
			f->next->link = f->link;
	}
	curl_easy_cleanup(f->easy);
	http_wire_done(&f->wire);
	buf_done(&f->reply);
	loop_remove(f->timer);
	http_access_unref(f->access);
	for (size_t i = 0; i < f->n_headers; i++) {
		free((char *)f->headers[i].name);
		free((char *)f->headers[i].value);
	}
	free(f->headers);
	free(f->method);
	free(f->url);
	free(f->unix_socket);
	free(f->authorization);
	free(f->own_body);
	free(f->location);
	free(f);
	return NULL;
}
DEFINE_CLEANUP(struct fetch *, fetch_free)

void fetch_free_all(struct http_multi *m)
{
	while (m->fetches)
		fetch_free(m->fetches);
}

/* The end: tells it and frees. */
static void finish(struct fetch *f, int r)
{
	struct fetch_reply reply = {.r = r, .body = "", .len = 0};
	curl_off_t retry_after = 0;
	char *type = NULL;

	if (f->easy) {
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &reply.status);
		curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
		curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &retry_after);
	}
	reply.content_type = type;
	reply.retry_after_s = (uint32_t)MIN(MAX(retry_after, 0), (curl_off_t)MAX_RETRY_AFTER);
	if (f->reply.len) {
		reply.len = f->reply.len;
		reply.body = buf_cstr(&f->reply);
	}
	if (r < 0)
		(void)snprintf(reply.why, sizeof(reply.why), "%s", *f->why ? f->why : strerror(-r));
	f->done = true;
	f->on_done(f->data, &reply);
	fetch_free(f);
}

static void fail(struct fetch *f, int r, const char *why)
{
	if (why)
		(void)snprintf(f->why, sizeof(f->why), "%s", why);
	finish(f, r);
}

/* ---- While libcurl runs ------------------------------------------------------------------- */

static bool is_redirect(const struct fetch *f, long status)
{
	return f->access->o.follow_redirects && f->location &&
	       (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

static bool wants_new_token(const struct fetch *f, long status)
{
	return status == 401 && f->authorization && !f->refreshed && !f->untrusted;
}

static size_t on_header(char *line, size_t size, size_t n, void *data)
{
	static const char name[] = "location:";
	struct fetch *f = data;
	size_t skip = sizeof(name) - 1, end = n;

	if (n >= 5 && !memcmp(line, "HTTP/", 5)) {
		/* Another reply begins; the last one was "100 Continue" or the like. */
		free(f->location);
		f->location = NULL;
		f->headers_whole = false;
	}
	f->headers_whole = f->headers_whole || *line == '\r' || *line == '\n';
	if (n < skip || strncasecmp(line, name, skip) != 0)
		return n;
	while (skip < end && (unsigned char)line[skip] <= ' ')
		skip++;
	while (end > skip && (unsigned char)line[end - 1] <= ' ')
		end--;
	free(f->location);
	f->location = strndup(line + skip, end - skip);
	return f->location ? n : 0;
}

/* Is it the time between two batches? Then the data stays with libcurl, which asks for no more. */
static bool pause_stream(struct fetch *f)
{
	uint64_t now = clock_ms();

	if (!f->batch_ms || now <= f->take_ms)
		return false;
	if (now >= f->resume_ms) {
		f->take_ms = now;
		f->pause_ms = MIN(f->batch_ms, FIRST_PAUSE_MS);
		f->resume_ms = now + f->pause_ms;
		return false;
	}
	f->paused = true;
	arm(f);
	return true;
}

/* What has come meanwhile is delivered from within this call, or by the end of it. */
static CURLcode let_through(struct fetch *f, bool through)
{
	CURLcode c;

	f->m->inside = true;
	c = curl_easy_pause(f->easy, through ? CURLPAUSE_CONT : CURLPAUSE_RECV);
	f->m->inside = false;
	return c;
}

static void resume_stream(struct fetch *f)
{
	size_t before = f->received;
	bool freed = false;
	CURLcode c;

	f->paused = false;
	f->take_ms = UINT64_MAX;
	f->pause_ms = MIN(f->pause_ms * 2, f->batch_ms);
	f->resume_ms = clock_ms() + clock_until_ms(f->pause_ms);
	c = let_through(f, true);
	if (c != CURLE_OK && !f->cancelled && f->running) {
		stop(f);
		finish(f, f->r < 0 ? f->r : errno_of(c));
		return;
	}
	f->freed = &freed;
	http_multi_run(f->m);
	if (freed)
		return;
	f->freed = NULL;
	f->take_ms = clock_ms();
	/* More will come; nothing wakes for it before it is taken. */
	if (f->received > before && f->running && !f->cancelled)
		f->paused = let_through(f, false) == CURLE_OK;
	arm(f);
}

/* Anything but n, and a pause, ends the transfer. */
static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct fetch *f = userdata;
	long status = 0;
	bool stream;
	size_t max;

	if (f->cancelled)
		return 0;
	f->last_ms = clock_ms();
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (is_redirect(f, status) || wants_new_token(f, status))
		return n;
	stream = f->on_data && status / 100 == 2;
	if (stream && pause_stream(f))
		return CURL_WRITEFUNC_PAUSE;
	max = f->max_bytes ? f->max_bytes : stream ? SIZE_MAX : FETCH_MAX_BYTES;
	if (f->on_data && !stream)
		max = MIN(max, MAX_ERROR_BODY);
	if (n > max - MIN(f->received, max)) {
		f->r = -E2BIG;
		(void)snprintf(f->why, sizeof(f->why), "the reply is larger than %zu bytes", max);
		n = 0;
	} else {
		f->received += n;
		if (stream)
			f->r = f->on_data(f->data, (const uint8_t *)data, n);
		else
			buf_add(&f->reply, data, n);
		f->r = f->reply.failed ? f->reply.failed : MIN(f->r, 0);
	}
	return f->r < 0 || f->cancelled ? 0 : n;
}

/* ---- From the loop ------------------------------------------------------------------------ */

static int errno_of(CURLcode c)
{
	if (c == CURLE_COULDNT_RESOLVE_HOST || c == CURLE_COULDNT_RESOLVE_PROXY)
		return -EHOSTUNREACH;
	if (c == CURLE_COULDNT_CONNECT)
		return -ECONNREFUSED;
	if (c == CURLE_OPERATION_TIMEDOUT)
		return -ETIMEDOUT;
	if (c == CURLE_OUT_OF_MEMORY)
		return -ENOMEM;
	return -EIO;
}

/*
 * With TLS 1.3 a server refuses a client without a certificate after the handshake; what is
 * seen here is a broken connection.
 */
static void describe(struct fetch *f, CURLcode c)
{
	const struct http_tls_options *t = &f->access->o.tls;
	bool broken = c == CURLE_SEND_ERROR || c == CURLE_RECV_ERROR || c == CURLE_GOT_NOTHING;
	bool hint = broken && !strncasecmp(f->url, "https:", 6) && !t->cert_pem && !t->cert_file;

	(void)snprintf(f->why, sizeof(f->why), "%.180s%s",
		       *f->error ? f->error : curl_easy_strerror(c),
		       hint ? " (does the server ask for a client certificate?)" : "");
}

static void follow(struct fetch *f, long status)
{
	_cleanup_free_ char *to = NULL;
	int r;

	if (++f->hops > FETCH_MAX_REDIRECT) {
		fail(f, -ELOOP, "the server redirects in a circle");
		return;
	}
	r = f->unix_socket ? -EINVAL : http_resolve(f->url, f->location, &to);
	if (r < 0) {
		(void)snprintf(f->why, sizeof(f->why),
			       "the server redirects to what is no usable URL: %.80s", f->location);
		finish(f, r);
		return;
	}
	f->untrusted = f->untrusted || !http_same_server(f->url, to);
	free(f->url);
	f->url = TAKE_PTR(to);
	if (status == 303 && strcmp(f->method, "HEAD") != 0) {
		char *get = strdup("GET");

		if (get) {
			free(f->method);
			f->method = get;
			f->body = NULL;
		}
	}
	begin(f);
}

void fetch_ended(struct fetch *f, CURLcode result)
{
	long status = 0;

	stop(f);
	if (f->cancelled)
		return;
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (f->r < 0) {
		finish(f, f->r);
	} else if (result != CURLE_OK) {
		describe(f, result);
		finish(f, errno_of(result));
	} else if (!f->headers_whole) {
		fail(f, -EIO, "the reply ends within its headers");
	} else if (is_redirect(f, status)) {
		follow(f, status);
	} else if (wants_new_token(f, status)) {
		f->refreshed = true;
		oauth2_refused(f->m, f->access, f->authorization);
		begin(f);
	} else {
		finish(f, 0);
	}
}

static void set_callbacks(struct fetch *f)
{
	curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->error);
}

static int transfer(struct fetch *f)
{
	struct http_wire_request q = {
		.access = f->access,
		.url = f->url,
		.method = f->method,
		.unix_socket = f->unix_socket,
		.headers = f->headers,
		.n_headers = f->n_headers,
		.body = f->body,
		.body_bytes = f->body_bytes,
		.trusted = !f->untrusted,
		.authorization = f->untrusted ? NULL : f->authorization,
	};
	int r;

	if (f->easy)
		curl_easy_reset(f->easy);
	else
		f->easy = curl_easy_init();
	if (!f->easy)
		return -ENOMEM;
	http_wire_done(&f->wire);
	buf_reset(&f->reply);
	f->received = 0;
	f->r = 0;
	f->headers_whole = false;
	*f->error = '\0';
	free(f->location);
	f->location = NULL;
	set_callbacks(f);
	r = http_wire_up(f->easy, &q, &f->wire, f->why, sizeof(f->why));
	if (r < 0)
		return r;
	if (curl_multi_add_handle(f->m->curl, f->easy) != CURLM_OK)
		return -ENOMEM;
	f->running = true;
	return 0;
}

static int set_authorization(struct fetch *f, const char *value)
{
	free(f->authorization);
	f->authorization = strdup(value);
	return f->authorization ? 1 : -ENOMEM;
}

/* 1: it is in f->authorization, or none is needed. 0: it comes later. */
static int get_token(struct fetch *f)
{
	const char *value;
	int r;

	if (!f->access->o.oauth2.token_url || f->untrusted)
		return 1;
	r = oauth2_get(f->m, f->access, &f->wait, &value, f->why, sizeof(f->why));
	return r <= 0 ? r : set_authorization(f, value);
}

static void go_on(struct fetch *f, int r)
{
	if (r > 0)
		r = transfer(f);
	if (r < 0)
		finish(f, r);
}

static void on_token(struct oauth2_wait *w, int r, const char *text)
{
	struct fetch *f = container_of(w, struct fetch, wait);

	if (f->cancelled)
		return;
	if (r < 0)
		fail(f, r, text);
	else
		go_on(f, set_authorization(f, text));
}

static void begin(struct fetch *f)
{
	go_on(f, get_token(f));
}

static void arm(struct fetch *f)
{
	uint64_t next = f->deadline_ms, now = clock_ms();

	if (f->idle_ms && (!next || f->last_ms + f->idle_ms < next))
		next = f->last_ms + f->idle_ms;
	if (f->paused && (!next || f->resume_ms < next))
		next = f->resume_ms;
	if (next)
		loop_set_timer(f->timer, next > now ? next - now : 0, 0);
}

static void time_out(struct fetch *f, bool idle)
{
	double s = (double)(idle ? f->idle_ms : f->timeout_ms) / 1000;
	curl_off_t connected = 0;
	long status = 0;

	if (f->running) {
		curl_easy_getinfo(f->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	}
	stop(f);
	(void)snprintf(f->why, sizeof(f->why), "%s within %g s",
		       f->wait.token ? "no OAuth 2 token"
		       : !connected  ? "no connection to the server"
		       : !status     ? "no reply of the server"
		       : idle	     ? "nothing more of the reply"
				     : "the reply was not complete",
		       s);
	finish(f, -ETIMEDOUT);
}

static void on_timer(void *data)
{
	struct fetch *f = data;
	uint64_t now = clock_ms();

	if (f->cancelled) {
		fetch_free(f);
	} else if (f->r < 0) {
		finish(f, f->r); /* fetch_start() found it */
	} else if (!f->begun) {
		f->begun = true;
		arm(f);
		begin(f);
	} else if (f->deadline_ms && now >= f->deadline_ms) {
		time_out(f, false);
	} else if (f->paused && now >= f->resume_ms) {
		resume_stream(f);
	} else if (f->idle_ms && now >= f->last_ms + f->idle_ms) {
		time_out(f, true);
	} else {
		arm(f);
	}
}

static int copy_text(const char *s, char **ret)
{
	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int copy_headers(struct fetch *f, const struct label *v, size_t n)
{
	f->headers = calloc(MAX(n, 1u), sizeof(*f->headers));
	if (!f->headers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		f->n_headers++;
		f->headers[i].name = strdup(v[i].name);
		f->headers[i].value = strdup(v[i].value);
		if (!f->headers[i].name || !f->headers[i].value)
			return -ENOMEM;
	}
	return 0;
}

static int copy_body(struct fetch *f, const struct fetch_request *q)
{
	f->body = q->body;
	f->body_bytes = q->body ? q->body_bytes : 0;
	if (q->borrow_body || !q->body)
		return 0;
	f->own_body = malloc(MAX(q->body_bytes, 1u));
	if (!f->own_body)
		return -ENOMEM;
	memcpy(f->own_body, q->body, q->body_bytes);
	f->body = f->own_body;
	return 0;
}

static int copy_request(struct fetch *f, const struct fetch_request *q)
{
	uint64_t now = clock_ms();

	f->timeout_ms = q->timeout_ms;
	f->deadline_ms = q->timeout_ms ? now + q->timeout_ms : 0;
	f->idle_ms = q->idle_ms;
	f->last_ms = now;
	f->batch_ms = q->batch_ms;
	f->max_bytes = q->max_bytes;
	f->on_data = q->on_data;
	f->on_done = q->on_done;
	f->data = q->data;
	f->reply = BUF_INIT((q->max_bytes ? q->max_bytes : FETCH_MAX_BYTES) + 1);
	if (copy_text(q->method ? q->method : "GET", &f->method) < 0 ||
	    copy_text(q->url, &f->url) < 0 || copy_text(q->unix_socket, &f->unix_socket) < 0)
		return -ENOMEM;
	if (copy_headers(f, q->headers, q->n_headers) < 0)
		return -ENOMEM;
	return copy_body(f, q);
}

/* What is wrong with the request is told from the loop. */
static int check_request(struct fetch *f, const struct fetch_request *q)
{
	int r = http_headers_check(f->headers, f->n_headers, f->why, sizeof(f->why));

	if (r >= 0 && !http_header_name_ok(f->method)) {
		(void)snprintf(f->why, sizeof(f->why), "no valid method");
		r = -EINVAL;
	}
	if (r < 0)
		return r;
	if (q->access) {
		f->access = http_access_ref(q->access);
		return 0;
	}
	return http_access_new(q->http, f->why, sizeof(f->why), &f->access);
}

int fetch_start(struct http_multi *m, const struct fetch_request *q, struct fetch **ret)
{
	_cleanup_(fetch_freep) struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->m = m;
	f->wait.fn = on_token;
	f->timer = loop_add_timer(m->loop, on_timer, f);
	if (!f->timer || copy_request(f, q) < 0)
		return -ENOMEM;
	f->r = check_request(f, q);
	if (f->r == -ENOMEM)
		return -ENOMEM;
	f->link = &m->fetches;
	f->next = m->fetches;
	if (f->next)
		f->next->link = &f->next;
	m->fetches = f;
	loop_set_timer(f->timer, 0, 0);
	*ret = TAKE_PTR(f);
	return 0;
}

struct fetch *fetch_cancel(struct fetch *f)
{
	if (!f || f->done)
		return NULL;
	if (!f->m->inside)
		return fetch_free(f);
	f->cancelled = true;
	loop_set_timer(f->timer, 0, 0);
	return NULL;
}
