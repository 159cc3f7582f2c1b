/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_queue.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"

#define ALLOCATION_COST 64 /* what the allocator adds to our pieces, about */

struct push_item *push_item_new(uint8_t *data, size_t len, uint64_t time_ns)
{
	struct push_item *i = calloc(1, sizeof(*i));

	if (!i) {
		free(data);
		return NULL;
	}
	*i = (struct push_item){.refs = 1,
				.time_ns = time_ns,
				.born_ms = clock_ms(),
				.len = len,
				.profile_bytes = len,
				.data = data};
	return i;
}

struct push_item *push_item_unref(struct push_item *i)
{
	if (i && !--i->refs) {
		free(i->data);
		free(i->path);
		free(i->query);
		free(i->content_type);
		free(i);
	}
	return NULL;
}

static size_t cost(const struct push_item *i)
{
	return i->len + (i->query ? strlen(i->query) : 0) + sizeof(*i) + sizeof(struct push_entry) +
	       ALLOCATION_COST;
}

static void append(struct push_queue *q, struct push_entry *e)
{
	e->next = NULL;
	if (q->tail)
		q->tail->next = e;
	else
		q->head = e;
	q->tail = e;
	q->n++;
}

struct push_entry *push_queue_take(struct push_queue *q)
{
	struct push_entry *e = q->head;

	if (!e)
		return NULL;
	q->head = e->next;
	if (!q->head)
		q->tail = NULL;
	q->n--;
	q->taken += cost(e->item);
	return e;
}

void push_queue_retry(struct push_queue *q, struct push_entry *e)
{
	q->taken -= cost(e->item);
	append(q, e);
}

void push_queue_release(struct push_queue *q, struct push_entry *e)
{
	q->bytes -= cost(e->item);
	q->taken -= cost(e->item);
	push_item_unref(e->item);
	free(e);
}

void push_queue_done(struct push_queue *q)
{
	struct push_entry *e;

	while ((e = push_queue_take(q)))
		push_queue_release(q, e);
}

/* Retries have mixed the order, so the oldest may be anywhere. */
static struct push_entry *take_oldest(struct push_queue *q)
{
	struct push_entry *oldest = q->head, *before = NULL;

	for (struct push_entry *e = q->head; e && e->next; e = e->next) {
		if (e->next->seq < oldest->seq) {
			oldest = e->next;
			before = e;
		}
	}
	if (!before)
		return push_queue_take(q);
	before->next = oldest->next;
	if (q->tail == oldest)
		q->tail = before;
	q->n--;
	q->taken += cost(oldest->item);
	return oldest;
}

int push_queue_add(struct push_queue *q, struct push_item *i,
		   void (*dropped)(const struct push_item *i, void *data), void *data)
{
	struct push_entry *e;

	if (cost(i) > q->max_bytes || q->taken > q->max_bytes - cost(i))
		return -E2BIG;
	while (q->n && q->bytes + cost(i) > q->max_bytes) {
		e = take_oldest(q);
		dropped(e->item, data);
		push_queue_release(q, e);
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	i->refs++;
	e->item = i;
	e->seq = q->next_seq++;
	q->bytes += cost(i);
	append(q, e);
	return 0;
}

void push_queue_move(struct push_queue *q, struct push_queue *from)
{
	struct push_entry *e;

	while ((e = push_queue_take(from))) {
		from->bytes -= cost(e->item);
		from->taken -= cost(e->item);
		q->bytes += cost(e->item);
		e->seq = q->next_seq++;
		append(q, e);
	}
}
