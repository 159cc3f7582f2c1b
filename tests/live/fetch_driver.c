/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One or several requests with agent/http/fetch.h, as the options say; prints a JSON line for each
 * reply, and one for each piece of a stream. The test program of tests/live/fetch_test.py.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/clock.h"
#include "agent/http/fetch.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

struct driver {
	struct loop *loop;
	struct http_multi *http;
	struct fetch *fetches[64];
	size_t n, left, pieces, cancel_after, stop_after, streamed;
	bool quiet, cancel_all;
};

static void print_text(const char *s, size_t n)
{
	putchar('"');
	for (size_t i = 0; i < n && i < 4096; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static int on_data(void *data, const uint8_t *p, size_t n)
{
	struct driver *d = data;

	d->streamed += n;
	if (!d->quiet) {
		printf("{\"data\": ");
		print_text((const char *)p, n);
		printf("}\n");
		(void)fflush(stdout);
	}
	if (++d->pieces == d->stop_after)
		return -ECANCELED;
	if (d->pieces == d->cancel_after) {
		for (size_t i = 0; i < d->n; i++) {
			if (i == 0 || d->cancel_all) {
				d->fetches[i] = fetch_cancel(d->fetches[i]);
				d->left--;
			}
		}
	}
	return 0;
}

static void on_done(void *data, const struct fetch_reply *r)
{
	struct driver *d = data;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	printf("{\"r\": \"%s\", \"status\": %ld, \"type\": ", r->r ? strerrorname_np(-r->r) : "0",
	       r->status);
	print_text(r->content_type ? r->content_type : "",
		   r->content_type ? strlen(r->content_type) : 0);
	printf(", \"len\": %zu, \"streamed\": %zu, \"max_rss_kib\": %ld, \"retry_after\": %u, "
	       "\"why\": ",
	       r->len, d->streamed, SANITIZED ? 0 : u.ru_maxrss, r->retry_after_s);
	print_text(r->why, strlen(r->why));
	printf(", \"body\": ");
	print_text(r->body, r->len);
	printf("}\n");
	d->left--;
}

struct settings {
	struct fetch_request q;
	struct http_options http;
	struct label headers[8];
	uint64_t n, cancel_ms;
	bool stream;
};

static int parse_options(int argc, char **argv, struct driver *d, struct settings *s)
{
	static const struct option options[] = {
		{"method", 1, 0, 'm'},	   {"unix", 1, 0, 'u'},
		{"body", 1, 0, 'b'},	   {"timeout-ms", 1, 0, 't'},
		{"idle-ms", 1, 0, 'i'},	   {"max-bytes", 1, 0, 'x'},
		{"stream", 0, 0, 's'},	   {"batch-ms", required_argument, NULL, 'B'},
		{"header", 1, 0, 'h'},	   {"follow", 0, 0, 'f'},
		{"token", 1, 0, 'T'},	   {"http2", 0, 0, '2'},
		{"n", 1, 0, 'n'},	   {"cancel-after", 1, 0, 'c'},
		{"cancel-all", 0, 0, 'a'}, {"cancel-ms", 1, 0, 'M'},
		{"stop-after", 1, 0, 'S'}, {"quiet", 0, 0, 'q'},
		{"insecure", 0, 0, 'k'},   {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t v = optarg ? strtoull(optarg, NULL, 10) : 0; /* the test's own text */

		if (c == 'm')
			s->q.method = optarg;
		else if (c == 'u')
			s->q.unix_socket = optarg;
		else if (c == 'b')
			s->q.body = (const uint8_t *)optarg;
		else if (c == 't')
			s->q.timeout_ms = v;
		else if (c == 'i')
			s->q.idle_ms = v;
		else if (c == 'x')
			s->q.max_bytes = v;
		else if (c == 'B')
			s->q.batch_ms = v;
		else if (c == 's')
			s->stream = true;
		else if (c == 'h' && s->q.n_headers < ARRAY_SIZE(s->headers))
			s->headers[s->q.n_headers++] =
				(struct label){strsep(&optarg, "="), optarg ? optarg : ""};
		else if (c == 'f')
			s->http.follow_redirects = true;
		else if (c == 'T')
			s->http.token = optarg;
		else if (c == '2')
			s->http.http2 = true;
		else if (c == 'k')
			s->http.tls.insecure_skip_verify = true;
		else if (c == 'n')
			s->n = MIN(v, ARRAY_SIZE(d->fetches));
		else if (c == 'c')
			d->cancel_after = v;
		else if (c == 'a')
			d->cancel_all = true;
		else if (c == 'M')
			s->cancel_ms = v;
		else if (c == 'S')
			d->stop_after = v;
		else if (c == 'q')
			d->quiet = true;
		else
			return -EINVAL;
	}
	s->q.body_bytes = s->q.body ? strlen((const char *)s->q.body) : 0;
	s->q.headers = s->headers;
	s->q.http = &s->http;
	s->q.on_data = s->stream ? on_data : NULL;
	s->q.on_done = on_done;
	s->q.data = d;
	s->q.url = argv[optind];
	return s->q.url ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct settings s = {.n = 1};
	struct driver d = {0};
	uint64_t start = clock_ms();

	(void)signal(SIGPIPE, SIG_IGN);
	if (parse_options(argc, argv, &d, &s) < 0)
		return 2;
	if (loop_new(&d.loop) < 0 || http_multi_new(d.loop, &d.http) < 0)
		return 1;
	for (; d.n < s.n; d.n++) {
		if (fetch_start(d.http, &s.q, &d.fetches[d.n]) < 0)
			return 1;
		d.left++;
	}
	while (d.left && clock_ms() - start < 20000) {
		if (loop_once(d.loop, 20) < 0)
			return 1;
		if (s.cancel_ms && clock_ms() - start >= s.cancel_ms) {
			for (size_t i = 0; i < d.n; i++)
				fetch_cancel(d.fetches[i]);
			d.left = 0;
		}
	}
	printf("{\"left\": %zu, \"ms\": %" PRIu64 "}\n", d.left, clock_ms() - start);
	http_multi_free(d.http);
	loop_free(d.loop);
	return 0;
}
