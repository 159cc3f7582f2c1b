/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct push_queue: the requests that wait for one endpoint, within a budget of bytes. Requests
 * are shared between endpoints, but count in full for each. What is being sent is out of the
 * queue and still counts.
 */
#pragma once

#include "agent/base/macro.h"

struct push_item {
	uint32_t refs;
	uint64_t time_ns; /* of the profile, CLOCK_REALTIME */
	uint64_t born_ms; /* when it was handed over, CLOCK_MONOTONIC */
	size_t len, profile_bytes;
	uint8_t *data;
	/* A request to /ingest: where it goes below the endpoint's URL. path NULL: it is a push. */
	char *path, *query, *content_type;
};

struct push_entry {
	struct push_entry *next;
	struct push_item *item; /* a reference */
	uint64_t seq;		/* grows; the oldest is the smallest */
	uint32_t attempts;
};

struct push_queue {
	struct push_entry *head, *tail;
	size_t n;
	size_t bytes, max_bytes; /* bytes: also of entries that were taken and not yet released */
	size_t taken;		 /* bytes of those */
	uint64_t next_seq;
};

/* Takes data (free()), also on failure. NULL without memory. */
struct push_item *push_item_new(uint8_t *data, size_t len, uint64_t time_ns);
struct push_item *push_item_unref(struct push_item *i);

/* Drops all. */
void push_queue_done(struct push_queue *q);
/*
 * Appends a reference to i. Makes room by dropping the oldest entries, each told to
 * dropped(item, data). 0, -ENOMEM, or -E2BIG: over the budget with nothing left to drop.
 */
int push_queue_add(struct push_queue *q, struct push_item *i,
		   void (*dropped)(const struct push_item *i, void *data), void *data);
/* The first entry, which the caller gives back with one of the next two; NULL when empty. */
struct push_entry *push_queue_take(struct push_queue *q);
/* To the end, so that one request the server chokes on does not hold up the others. */
void push_queue_retry(struct push_queue *q, struct push_entry *e);
void push_queue_release(struct push_queue *q, struct push_entry *e);
/* Moves the entries of `from` behind those of q, in its order, beyond the budget if need be. */
void push_queue_move(struct push_queue *q, struct push_queue *from);
