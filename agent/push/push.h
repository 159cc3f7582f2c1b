/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct push: sends profiles to Pyroscope-compatible servers over the event loop.
 * Every endpoint has its own queue with a budget, its own backoff and its own counters; one that
 * is away, slow or hostile does not touch the others. Nothing here blocks.
 */
#pragma once

#include "agent/http/multi.h"
#include "agent/http/options.h"
#include "agent/labels.h"

#define PUSH_PARALLEL	    4		    /* requests at a time to one endpoint that works */
#define PUSH_BUDGET_DEFAULT (13u << 20)	    /* bytes waiting for one endpoint: 16 MB resident */
#define PUSH_WINDOW_MS	    (3600u * 1000u) /* a server takes no profile older than this */
#define PUSH_MAX_REPLY	    (64u << 10)

enum push_drop {
	PUSH_DROP_REFUSED,   /* the server will never take it */
	PUSH_DROP_RETRIES,   /* max_retries were not enough */
	PUSH_DROP_BUDGET,    /* the queue was full: the oldest went */
	PUSH_DROP_TOO_OLD,   /* outside of the server's window */
	PUSH_DROP_TOO_LARGE, /* larger than the whole queue may be */
	PUSH_DROP_LABELS,    /* no __name__ */
	PUSH_DROP_MEMORY,
	PUSH_DROP_SHUTDOWN,
	PUSH_DROP_MAX,
};

/* How long a whole delivery took, and how long each attempt; of pushes and of /ingest. */
enum push_latency_type {
	PUSH_LATENCY_ENDPOINT,
	PUSH_LATENCY_DOWNSTREAM,
	PUSH_LATENCY_INGEST_ENDPOINT,
	PUSH_LATENCY_INGEST_DOWNSTREAM,
	PUSH_LATENCY_MAX,
};

#define PUSH_LATENCY_BOUNDS 11

struct push_latency {
	uint64_t counts[PUSH_LATENCY_BOUNDS + 1]; /* not cumulative; the last is +Inf */
	double sum_s;
};

/* Bytes are those of the profiles, without labels. */
struct push_stats {
	uint64_t sent_profiles, sent_bytes;
	uint64_t dropped_profiles[PUSH_DROP_MAX], dropped_bytes[PUSH_DROP_MAX];
	uint64_t retries;
	uint64_t queued_profiles, queued_bytes; /* now, with those being sent */
	uint32_t failures;			/* attempts in a row that may be repeated */
	uint32_t rejections;			/* the same, with those that may not: 0: it works */
	uint64_t last_success_ms, last_error_ms; /* CLOCK_REALTIME; 0: never */
	char last_error[200];
	struct push_latency latency[PUSH_LATENCY_MAX];
};

/* Everything is borrowed for the call. Zero and NULL mean: not set. */
struct push_options {
	const char *name; /* for messages; NULL or "": the URL */
	const char *url;  /* base; a path prefix is kept */
	uint64_t timeout_ms, min_backoff_ms, max_backoff_ms, window_ms;
	uint32_t max_retries; /* 0: no limit */
	size_t budget_bytes;
	bool retry_on_429;
	const struct label *headers;
	size_t n_headers;
	const struct http_options *http; /* NULL: a plain client */
};

struct push;

/* 0 or a negative errno. m is borrowed and must outlive it. */
int push_new(struct http_multi *m, struct push **ret);
/* What is still queued is counted as dropped and logged. Accepts NULL; returns NULL. */
struct push *push_free(struct push *p);
DEFINE_CLEANUP(struct push *, push_free)
/* -EINVAL with the reason in why: a URL, header or option that cannot work. */
int push_add_endpoint(struct push *p, const struct push_options *o, char *why, size_t size);
/* Labels that every profile gets, over its own. */
int push_set_external(struct push *p, const struct label *labels, size_t n);
/* Moves what waits in `old`, and its counters, to the endpoints of p with the same URL. */
void push_adopt(struct push *p, struct push *old);
/* Called from the loop when an endpoint begins to fail repeatedly, or works again. */
void push_on_change(struct push *p, void (*fn)(void *data), void *data);
/* Queues one profile for all endpoints; see struct receiver for the arguments. */
void push_send(struct push *p, const struct label *labels, size_t n, const uint8_t *pprof,
	       size_t bytes, uint64_t time_ns);
/* Queues a request to /ingest for all endpoints, with the labels in the parameter `name`. */
void push_ingest(struct push *p, const struct ingest *in);

/* Whether anything is queued or being sent. */
bool push_busy(const struct push *p);
/* The end is near: tries at once what waits for its backoff, and again about every second. */
void push_hurry(struct push *p);
/*
 * push_hurry(), then runs the loop until all is delivered, timeout_ms have passed or *abort is
 * true. 0, or -ETIME with work left. For graphs, graph_drain() does this for all of them.
 */
int push_drain(struct push *p, uint64_t timeout_ms, const bool *abort);

size_t push_n_endpoints(const struct push *p);
/* As configured, without credentials: what metrics call the endpoint. Several may share one. */
const char *push_endpoint_url(const struct push *p, size_t i);
const char *push_endpoint_name(const struct push *p, size_t i);
void push_get_stats(const struct push *p, size_t i, struct push_stats *ret);
/* It failed several times in a row, the last time as stats.last_error says. */
bool push_endpoint_fails(const struct push *p, size_t i);
/* How long deliveries to all endpoints took. */
const struct push_latency *push_total_latency(const struct push *p, bool ingest);
/* The value of the label "reason". */
const char *push_drop_name(enum push_drop d);
