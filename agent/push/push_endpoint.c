/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_endpoint.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/clock.h"
#include "agent/config/duration.h"
#include "agent/http/url.h"

#define LOG_BURST	   3
#define LOG_EVERY_MS	   30000
#define MAX_RETRY_AFTER_MS (3600u * 1000u)
#define HURRY_BACKOFF_MS   1000u
#define FAILS_AFTER	   3 /* attempts in a row: one or two are the network's daily business */

/* prometheus/client_golang's DefBuckets, which Alloy's histogram has. */
const double push_latency_bounds[PUSH_LATENCY_BOUNDS] = {.005, .01, .025, .05, .1, .25,
							 .5,   1,   2.5,  5,   10};

/* A warning, unless `limit` holds it back; says how many were. */
static void say(struct push_endpoint *e, struct log_limit *limit, const char *fmt, ...)
	_printf_(3, 4);
static void say(struct push_endpoint *e, struct log_limit *limit, const char *fmt, ...)
{
	uint32_t suppressed = 0;
	char text[512];
	va_list ap;

	if (!log_limit_ok(limit, LOG_BURST, LOG_EVERY_MS, &suppressed))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (suppressed)
		log_warn("push to %s: %s (%u similar messages held back)", e->name, text,
			 suppressed);
	else
		log_warn("push to %s: %s", e->name, text);
}

static size_t in_flight(const struct push_endpoint *e)
{
	size_t n = 0;

	for (size_t i = 0; i < PUSH_PARALLEL; i++)
		n += e->slots[i].entry != NULL;
	return n;
}

static size_t waiting(const struct push_endpoint *e)
{
	return e->queue.n + in_flight(e);
}

void push_endpoint_drop(struct push_endpoint *e, const struct push_item *i, enum push_drop why)
{
	e->stats.dropped_profiles[why]++;
	e->stats.dropped_bytes[why] += i->profile_bytes;
}

/* ---- What is told about it ---------------------------------------------------------------- */

static void observe(struct push_latency *l, uint64_t since_ms)
{
	double s = (double)(clock_ms() - since_ms) / 1000;
	size_t i = 0;

	while (i < PUSH_LATENCY_BOUNDS && s > push_latency_bounds[i])
		i++;
	l->counts[i]++;
	l->sum_s += s;
}

static struct push_latency *latency(struct push_endpoint *e, const struct push_item *i,
				    enum push_latency_type type)
{
	return &e->stats.latency[i->path ? PUSH_LATENCY_INGEST_ENDPOINT + type : type];
}

/* The entry is done with, delivered or not. */
static void release(struct push_endpoint *e, struct push_entry *entry)
{
	const struct push_item *i = entry->item;

	observe(latency(e, i, PUSH_LATENCY_ENDPOINT), i->born_ms);
	if (i->refs == 1)
		observe(&e->shared->total[i->path != NULL], i->born_ms);
	push_queue_release(&e->queue, entry);
}

static void set_fails(struct push_endpoint *e, bool fails)
{
	if (e->fails == fails)
		return;
	e->fails = fails;
	if (e->shared->changed)
		e->shared->changed(e->shared->data);
}

/* why NULL: it was taken. */
static void note_attempt(struct push_endpoint *e, const char *why)
{
	uint64_t now = clock_ns(CLOCK_REALTIME) / 1000000u;

	if (!why) {
		e->stats.last_success_ms = now;
		e->stats.rejections = 0;
	} else {
		e->stats.last_error_ms = now;
		e->stats.rejections++;
		(void)snprintf(e->stats.last_error, sizeof(e->stats.last_error), "%.*s",
			       (int)sizeof(e->stats.last_error) - 1, why);
	}
	set_fails(e, e->stats.rejections >= FAILS_AFTER);
}

static bool too_old(const struct push_endpoint *e, const struct push_item *i)
{
	uint64_t now = clock_ns(CLOCK_REALTIME);

	return i->time_ns < now && (now - i->time_ns) / 1000000u > e->window_ms;
}

static void drop_oldest(const struct push_item *i, void *data)
{
	struct push_endpoint *e = data;

	push_endpoint_drop(e, i, PUSH_DROP_BUDGET);
	say(e, &e->loss,
	    "the queue is full (%zu MiB): dropping the oldest profile, %zu stay queued",
	    e->queue.max_bytes >> 20, e->queue.n);
}

void push_endpoint_add(struct push_endpoint *e, struct push_item *i)
{
	int r;

	if (too_old(e, i)) {
		push_endpoint_drop(e, i, PUSH_DROP_TOO_OLD);
		return;
	}
	r = push_queue_add(&e->queue, i, drop_oldest, e);
	if (r == -E2BIG) {
		push_endpoint_drop(e, i, PUSH_DROP_TOO_LARGE);
		say(e, &e->loss, "dropping a profile of %zu KiB: the queue has no room for it",
		    i->len >> 10);
	} else if (r < 0) {
		push_endpoint_drop(e, i, PUSH_DROP_MEMORY);
	} else {
		push_endpoint_pump(e);
	}
}

static uint64_t next_random(struct push_endpoint *e)
{
	e->random ^= e->random << 13;
	e->random ^= e->random >> 7;
	e->random ^= e->random << 17;
	return e->random;
}

/* Between min * 2^n and twice that, both at most max; n grows with every failure in a row. */
static uint64_t backoff_ms(struct push_endpoint *e)
{
	uint64_t max = e->hurry ? MIN(e->max_backoff_ms, HURRY_BACKOFF_MS) : e->max_backoff_ms;
	uint64_t low = MIN(e->min_backoff_ms << MIN(e->backoff, 20u), max);
	uint64_t high = MIN(low * 2, max);

	e->backoff++;
	return high > low ? low + next_random(e) % (high - low) : low;
}

/* One failure of a round of parallel requests is enough to wait once. */
static uint64_t wait_after_failure(struct push_endpoint *e, uint64_t retry_after_ms)
{
	uint64_t now = clock_ms();
	uint64_t until = MAX(e->not_before_ms, now);

	e->stats.failures++;
	if (e->not_before_ms <= now)
		until = now + backoff_ms(e);
	if (!e->hurry)
		until = MAX(until, now + MIN(retry_after_ms, MAX_RETRY_AFTER_MS));
	e->not_before_ms = until;
	loop_set_timer(e->timer, until - now, 0);
	return until - now;
}

static void slot_clear(struct push_slot *s)
{
	s->fetch = fetch_cancel(s->fetch);
	s->entry = NULL;
}

static void retry(struct push_slot *s, const char *why, uint64_t retry_after_ms)
{
	struct push_endpoint *e = s->endpoint;
	struct push_entry *entry = s->entry;
	char wait[DURATION_TEXT];
	uint64_t ms;

	slot_clear(s);
	if (e->max_retries && entry->attempts >= e->max_retries) {
		push_endpoint_drop(e, entry->item, PUSH_DROP_RETRIES);
		release(e, entry);
		ms = wait_after_failure(e, retry_after_ms);
		say(e, &e->loss, "%s; giving up on a profile after %u retries, %zu queued", why,
		    e->max_retries, waiting(e));
		return;
	}
	entry->attempts++;
	e->stats.retries++;
	push_queue_retry(&e->queue, entry);
	ms = wait_after_failure(e, retry_after_ms);
	duration_format((int64_t)ms * 1000000, wait, sizeof(wait));
	say(e, &e->trouble, "%s; retrying in %s, %zu profile%s queued", why, wait, waiting(e),
	    waiting(e) == 1 ? "" : "s");
}

static void on_done(void *data, const struct fetch_reply *reply);

static int send_entry(struct push_endpoint *e, struct push_slot *s, const struct push_item *i)
{
	_cleanup_free_ struct label *headers = NULL;
	_cleanup_free_ char *url = NULL;
	struct fetch_request q = {
		.method = "POST",
		.url = e->http.push_url,
		.access = e->http.access,
		.headers = e->http.headers,
		.n_headers = e->http.n_headers,
		.body = i->data,
		.body_bytes = i->len,
		.borrow_body = true,
		.timeout_ms = e->timeout_ms,
		.max_bytes = PUSH_MAX_REPLY,
		.on_done = on_done,
		.data = s,
	};

	if (i->path) {
		headers = push_http_ingest_headers(&e->http, i->content_type, &q.n_headers);
		if (!headers || http_join_url(e->http.base, i->path, i->query, &url) < 0)
			return -ENOMEM;
		q.headers = headers;
		q.url = url;
	}
	s->began_ms = clock_ms();
	return fetch_start(e->multi, &q, &s->fetch);
}

static void start(struct push_endpoint *e, struct push_slot *s, struct push_entry *entry)
{
	s->entry = entry;
	if (send_entry(e, s, entry->item) < 0)
		retry(s, "out of memory", 0);
}

static struct push_entry *take_fresh(struct push_endpoint *e)
{
	struct push_entry *entry;

	while ((entry = push_queue_take(&e->queue)) && too_old(e, entry->item)) {
		push_endpoint_drop(e, entry->item, PUSH_DROP_TOO_OLD);
		release(e, entry);
		say(e, &e->loss,
		    "dropping a profile that is older than the server takes, %zu queued",
		    waiting(e));
	}
	return entry;
}

void push_endpoint_pump(struct push_endpoint *e)
{
	/* A server that failed is tried with one request, not with four. */
	size_t allowed = e->stats.failures ? 1 : PUSH_PARALLEL;

	for (size_t i = 0; i < PUSH_PARALLEL && in_flight(e) < allowed; i++) {
		struct push_entry *entry;

		if (e->not_before_ms > clock_ms())
			return;
		if (e->slots[i].entry)
			continue;
		entry = take_fresh(e);
		if (!entry)
			return;
		start(e, &e->slots[i], entry);
	}
}

static void succeeded(struct push_slot *s)
{
	struct push_endpoint *e = s->endpoint;
	struct push_entry *entry = s->entry;

	e->stats.sent_profiles++;
	e->stats.sent_bytes += entry->item->profile_bytes;
	slot_clear(s);
	release(e, entry);
	if (e->stats.failures)
		log_info("push to %s: works again after %u failed attempts, %zu profiles queued",
			 e->name, e->stats.failures, waiting(e));
	e->stats.failures = e->backoff = 0;
}

static void refused(struct push_slot *s, const char *why)
{
	struct push_endpoint *e = s->endpoint;
	struct push_entry *entry = s->entry;

	push_endpoint_drop(e, entry->item, PUSH_DROP_REFUSED);
	slot_clear(s);
	release(e, entry);
	say(e, &e->loss, "the server refused a profile: %s; dropping it, %zu queued", why,
	    waiting(e));
	e->stats.failures = e->backoff = 0;
}

static void on_done(void *data, const struct fetch_reply *got)
{
	struct push_slot *s = data;
	struct push_endpoint *e = s->endpoint;
	const struct push_reply reply = {.status = got->status,
					 .content_type = got->content_type,
					 .body = got->body,
					 .len = got->len,
					 .too_long = got->r == -E2BIG};
	enum push_verdict verdict = PUSH_RETRY;
	char why[320];

	s->fetch = NULL;
	observe(latency(e, s->entry->item, PUSH_LATENCY_DOWNSTREAM), s->began_ms);
	/* A body that goes on and on was our end of the transfer; its status still counts. */
	if ((!got->r || reply.too_long) && s->entry->item->path)
		verdict = push_reply_judge_ingest(&reply, e->retry_on_429, why, sizeof(why));
	else if (!got->r || reply.too_long)
		verdict = push_reply_judge(&reply, e->retry_on_429, why, sizeof(why));
	else
		(void)snprintf(why, sizeof(why), "%s", got->why);
	note_attempt(e, verdict == PUSH_TAKEN ? NULL : why);
	switch (verdict) {
	case PUSH_TAKEN:
		succeeded(s);
		break;
	case PUSH_RETRY:
		retry(s, why, MIN(got->retry_after_s, MAX_RETRY_AFTER_MS / 1000) * 1000ull);
		break;
	case PUSH_REFUSED:
		refused(s, why);
		break;
	}
	push_endpoint_pump(e);
}

static void on_backoff_over(void *data)
{
	push_endpoint_pump(data);
}

void push_endpoint_hurry(struct push_endpoint *e)
{
	e->hurry = true;
	e->not_before_ms = 0;
	e->backoff = 0;
	push_endpoint_pump(e);
}

bool push_endpoint_busy(const struct push_endpoint *e)
{
	return waiting(e) > 0;
}

/* Ends what is under way and puts it back into the queue. */
static void abort_all(struct push_endpoint *e)
{
	for (size_t i = 0; i < PUSH_PARALLEL; i++) {
		struct push_slot *s = &e->slots[i];
		struct push_entry *entry = s->entry;

		if (!entry)
			continue;
		slot_clear(s);
		push_queue_retry(&e->queue, entry);
	}
}

void push_endpoint_adopt(struct push_endpoint *e, struct push_endpoint *old)
{
	abort_all(old);
	push_queue_move(&e->queue, &old->queue);
	e->stats = old->stats;
	e->not_before_ms = old->not_before_ms;
	e->backoff = old->backoff;
	e->fails = old->fails;
	if (e->not_before_ms > clock_ms())
		loop_set_timer(e->timer, e->not_before_ms - clock_ms(), 0);
	push_endpoint_pump(e);
}

int push_endpoint_new(struct http_multi *m, struct push_shared *shared,
		      const struct push_options *o, char *why, size_t size,
		      struct push_endpoint **ret)
{
	_cleanup_(push_endpoint_freep) struct push_endpoint *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->multi = m;
	e->shared = shared;
	e->timeout_ms = o->timeout_ms;
	e->queue.max_bytes = o->budget_bytes ? o->budget_bytes : PUSH_BUDGET_DEFAULT;
	e->min_backoff_ms = MAX(o->min_backoff_ms, 1u);
	e->max_backoff_ms = MAX(o->max_backoff_ms, e->min_backoff_ms);
	e->window_ms = o->window_ms ? o->window_ms : PUSH_WINDOW_MS;
	e->max_retries = o->max_retries;
	e->retry_on_429 = o->retry_on_429;
	for (size_t i = 0; i < PUSH_PARALLEL; i++)
		e->slots[i].endpoint = e;
	if (getrandom(&e->random, sizeof(e->random), GRND_NONBLOCK) != sizeof(e->random))
		e->random = clock_ns(CLOCK_MONOTONIC);
	e->random |= 1;
	r = push_http_init(&e->http, o, why, size);
	if (r < 0)
		return r;
	e->name = strdup(o->name && *o->name ? o->name : e->http.url);
	e->timer = loop_add_timer(http_multi_loop(m), on_backoff_over, e);
	if (!e->name || !e->timer)
		return -ENOMEM;
	*ret = TAKE_PTR(e);
	return 0;
}

struct push_endpoint *push_endpoint_free(struct push_endpoint *e)
{
	struct push_entry *entry;

	if (!e)
		return NULL;
	abort_all(e);
	if (e->queue.n)
		log_warn("push to %s: dropping %zu queued profiles", e->name, e->queue.n);
	while ((entry = push_queue_take(&e->queue))) {
		push_endpoint_drop(e, entry->item, PUSH_DROP_SHUTDOWN);
		push_queue_release(&e->queue, entry);
	}
	loop_remove(e->timer);
	push_http_done(&e->http);
	free(e->name);
	free(e);
	return NULL;
}
