/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct push_endpoint: one server: its queue, the requests under way and its backoff. Belongs to
 * struct push, which runs the transfers.
 */
#pragma once

#include "agent/base/log.h"
#include "agent/http/fetch.h"
#include "agent/push/push_http.h"
#include "agent/push/push_queue.h"
#include "agent/push/push_reply.h"

struct push_slot {
	struct push_endpoint *endpoint; /* borrowed */
	struct push_entry *entry;	/* under way; NULL: free */
	struct fetch *fetch;		/* NULL: free */
	uint64_t began_ms;
};

/* What an endpoint shares with the others of its struct push. */
struct push_shared {
	struct push_latency total[2]; /* of pushes, of /ingest */
	void (*changed)(void *data);
	void *data;
};

extern const double push_latency_bounds[PUSH_LATENCY_BOUNDS];

struct push_endpoint {
	struct http_multi *multi;   /* borrowed */
	struct push_shared *shared; /* borrowed */
	char *name;		    /* for messages */
	struct push_http http;
	struct push_queue queue;
	struct push_slot slots[PUSH_PARALLEL];
	struct loop_source *timer; /* the end of a backoff */
	uint64_t timeout_ms, min_backoff_ms, max_backoff_ms, window_ms, not_before_ms, random;
	uint32_t max_retries, backoff; /* backoff: how often it was doubled */
	bool retry_on_429, hurry;
	bool fails, adopted; /* repeatedly; what waited went to another one */
	struct push_stats stats;
	struct log_limit trouble, loss; /* of messages: it will be retried; a profile is lost */
};

/* -EINVAL with the reason in why. */
int push_endpoint_new(struct http_multi *m, struct push_shared *shared,
		      const struct push_options *o, char *why, size_t size,
		      struct push_endpoint **ret);
struct push_endpoint *push_endpoint_free(struct push_endpoint *e);
DEFINE_CLEANUP(struct push_endpoint *, push_endpoint_free)

void push_endpoint_add(struct push_endpoint *e, struct push_item *i);
/* Starts what may be started now. */
void push_endpoint_pump(struct push_endpoint *e);
void push_endpoint_drop(struct push_endpoint *e, const struct push_item *i, enum push_drop why);
void push_endpoint_hurry(struct push_endpoint *e);
/* Takes over the queue of `old`; its requests under way are aborted and queued again. */
void push_endpoint_adopt(struct push_endpoint *e, struct push_endpoint *old);
bool push_endpoint_busy(const struct push_endpoint *e);
