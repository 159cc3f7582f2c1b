/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushes profiles with agent/push/push.h as the agent does, and prints the counters as JSON lines:
 * the test program of tests/live/push_test.py. Each profile is a valid pprof of --bytes bytes at
 * least (not compressed, so that its size is known).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/push/push.h"
#include "tests/live/push_profile.h"

/* A sanitizer keeps freed memory: its resident size says nothing. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

struct driver {
	struct push *push;
	struct loop *loop;
	struct http_multi *http;
	struct loop_source *timer;
	uint64_t count, sent, bytes, interval_ms, age_s, run_ms, drain_ms;
};

static void send_one(struct driver *d)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64u << 20);
	uint64_t now = clock_ns(CLOCK_REALTIME) - d->age_s * 1000000000u;
	char number[24];
	const struct label labels[] = {
		{"service_name", "driver"},
		{"__name__", "process_cpu"},
		{"__process_pid__", "1"},
		{"n", number},
		{"env", "own"},
	};

	(void)snprintf(number, sizeof(number), "%" PRIu64, d->sent);
	push_profile(&b, 10000000 + d->sent, now, d->bytes);
	push_send(d->push, labels, ARRAY_SIZE(labels), b.data, b.len, now);
	d->sent++;
}

static void on_timer(void *data)
{
	struct driver *d = data;

	send_one(d);
	if (d->sent == d->count)
		loop_stop_timer(d->timer);
}

static void print_stats(const struct driver *d)
{
	struct push_stats s;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	for (size_t i = 0; i < push_n_endpoints(d->push); i++) {
		push_get_stats(d->push, i, &s);
		printf("{\"url\": \"%s\", \"sent\": %" PRIu64 ", \"sent_bytes\": %" PRIu64
		       ", \"retries\": %" PRIu64 ", \"queued\": %" PRIu64
		       ", \"queued_bytes\": %" PRIu64 ", \"max_rss_kib\": %ld",
		       push_endpoint_url(d->push, i), s.sent_profiles, s.sent_bytes, s.retries,
		       s.queued_profiles, s.queued_bytes, SANITIZED ? 0 : u.ru_maxrss);
		printf(", \"dropped\": {");
		for (int k = 0; k < PUSH_DROP_MAX; k++)
			printf("%s\"%s\": %" PRIu64, k ? ", " : "", push_drop_name(k),
			       s.dropped_profiles[k]);
		printf("}}\n");
	}
}

static void run(struct driver *d)
{
	uint64_t end = clock_ms() + d->run_ms;

	if (d->interval_ms) {
		loop_set_timer(d->timer, 0, d->interval_ms);
	} else {
		while (d->sent < d->count)
			send_one(d);
	}
	while ((d->sent < d->count || push_busy(d->push)) && clock_ms() < end)
		(void)loop_once(d->loop, 50);
	if (d->drain_ms) {
		uint64_t start = clock_ms();
		int r = push_drain(d->push, d->drain_ms, NULL);

		fprintf(stderr, "drain: %s after %" PRIu64 " ms\n", r ? strerror(-r) : "done",
			clock_ms() - start);
	}
}

static int add_endpoints(struct driver *d, const struct push_options *o, char *const *urls, int n)
{
	for (int i = 0; i < n; i++) {
		struct push_options each = *o;
		char why[256] = "";
		int r;

		each.url = urls[i];
		r = push_add_endpoint(d->push, &each, why, sizeof(why));
		if (r < 0)
			return log_error_errno(r, "%s", why);
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct driver *d, struct push_options *o,
			 struct http_options *h)
{
	static const struct option options[] = {
		{"count", 1, 0, 'c'},	       {"bytes", 1, 0, 'b'},
		{"interval-ms", 1, 0, 'i'},    {"age-s", 1, 0, 'a'},
		{"run-ms", 1, 0, 'r'},	       {"drain-ms", 1, 0, 'd'},
		{"timeout-ms", 1, 0, 't'},     {"min-backoff-ms", 1, 0, 'm'},
		{"max-backoff-ms", 1, 0, 'x'}, {"max-retries", 1, 0, 'n'},
		{"budget", 1, 0, 'B'},	       {"no-429", 0, 0, '4'},
		{"user", 1, 0, 'u'},	       {"token-file", 1, 0, 'T'},
		{"window-ms", 1, 0, 'w'},      {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t v = optarg ? strtoull(optarg, NULL, 10) : 0; /* the test's own text */

		switch (c) {
		case 'c':
			d->count = v;
			break;
		case 'b':
			d->bytes = v;
			break;
		case 'i':
			d->interval_ms = v;
			break;
		case 'a':
			d->age_s = v;
			break;
		case 'r':
			d->run_ms = v;
			break;
		case 'd':
			d->drain_ms = v;
			break;
		case 't':
			o->timeout_ms = v;
			break;
		case 'm':
			o->min_backoff_ms = v;
			break;
		case 'x':
			o->max_backoff_ms = v;
			break;
		case 'n':
			o->max_retries = (uint32_t)v;
			break;
		case 'B':
			o->budget_bytes = v;
			break;
		case '4':
			o->retry_on_429 = false;
			break;
		case 'w':
			o->window_ms = v;
			break;
		case 'u':
			h->username = optarg;
			h->password = "secret";
			break;
		case 'T':
			h->token_file = optarg;
			break;
		default:
			return -EINVAL;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct label headers[] = {{"X-Scope-OrgID", "t1"}, {"X-Empty", ""}};
	const struct label external[] = {{"env", "external"}, {"__private__", "x"}};
	struct driver d = {.count = 1, .run_ms = 20000};
	struct http_options http = {.follow_redirects = true};
	struct push_options o = {.timeout_ms = 1000,
				 .min_backoff_ms = 50,
				 .max_backoff_ms = 500,
				 .max_retries = 10,
				 .retry_on_429 = true,
				 .http = &http,
				 .headers = headers,
				 .n_headers = ARRAY_SIZE(headers)};

	if (parse_options(argc, argv, &d, &o, &http) < 0)
		return 2;
	if (loop_new(&d.loop) < 0 || http_multi_new(d.loop, &d.http) < 0 ||
	    push_new(d.http, &d.push) < 0 ||
	    push_set_external(d.push, external, ARRAY_SIZE(external)) < 0 ||
	    add_endpoints(&d, &o, argv + optind, argc - optind) < 0)
		return 1;
	d.timer = loop_add_timer(d.loop, on_timer, &d);
	run(&d);
	print_stats(&d);
	push_free(d.push);
	http_multi_free(d.http);
	loop_free(d.loop);
	return 0;
}
