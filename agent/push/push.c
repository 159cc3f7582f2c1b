/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/push/push_encode.h"
#include "agent/push/push_endpoint.h"

#define MAX_REQUEST (64u << 20)

struct push {
	struct http_multi *http; /* borrowed */
	struct push_endpoint **endpoints;
	size_t n_endpoints;
	struct label_set external;
	struct push_shared shared;
	struct log_limit limit;
};

int push_new(struct http_multi *m, struct push **ret)
{
	struct push *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->http = m;
	*ret = p;
	return 0;
}

struct push *push_free(struct push *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_endpoints; i++)
		push_endpoint_free(p->endpoints[i]);
	free(p->endpoints);
	label_set_done(&p->external);
	free(p);
	return NULL;
}

int push_add_endpoint(struct push *p, const struct push_options *o, char *why, size_t size)
{
	struct push_endpoint **v =
		realloc(p->endpoints, (p->n_endpoints + 1) * sizeof(struct push_endpoint *));
	int r;

	if (!v)
		return -ENOMEM;
	p->endpoints = v;
	r = push_endpoint_new(p->http, &p->shared, o, why, size, &v[p->n_endpoints]);
	if (r >= 0)
		p->n_endpoints++;
	return r;
}

int push_set_external(struct push *p, const struct label *labels, size_t n)
{
	label_set_done(&p->external);
	for (size_t i = 0; i < n; i++)
		label_set_put(&p->external, labels[i].name, labels[i].value);
	return p->external.failed ? -ENOMEM : 0;
}

/* Endpoints may share a URL and differ in their headers: the first goes to the first. */
static struct push_endpoint *take_twin(struct push *old, const struct push_endpoint *e)
{
	for (size_t k = 0; k < old->n_endpoints; k++) {
		struct push_endpoint *o = old->endpoints[k];

		if (!o->adopted && !strcmp(e->http.url, o->http.url)) {
			o->adopted = true;
			return o;
		}
	}
	return NULL;
}

void push_adopt(struct push *p, struct push *old)
{
	memcpy(p->shared.total, old->shared.total, sizeof(p->shared.total));
	for (size_t i = 0; i < p->n_endpoints; i++) {
		struct push_endpoint *twin = take_twin(old, p->endpoints[i]);

		if (twin)
			push_endpoint_adopt(p->endpoints[i], twin);
	}
}

void push_on_change(struct push *p, void (*fn)(void *data), void *data)
{
	p->shared.changed = fn;
	p->shared.data = data;
}

static void drop_everywhere(struct push *p, size_t bytes, enum push_drop why)
{
	const struct push_item none = {.profile_bytes = bytes};

	for (size_t i = 0; i < p->n_endpoints; i++)
		push_endpoint_drop(p->endpoints[i], &none, why);
}

static struct push_item *make_item(const struct label_set *labels, const uint8_t *pprof,
				   size_t bytes, uint64_t time_ns)
{
	_cleanup_buf_ struct buf b = BUF_INIT(MAX_REQUEST);
	struct push_item *i;
	uint8_t *data;
	size_t len;

	push_encode(labels, pprof, bytes, &b);
	data = buf_take(&b, &len);
	i = data ? push_item_new(data, len, time_ns) : NULL;
	if (i)
		i->profile_bytes = bytes;
	return i;
}

/* The labels as they are sent; drops and counts when they cannot be. */
static int take_labels(struct push *p, const struct label *labels, size_t n, size_t bytes,
		       struct label_set *ret)
{
	struct push_label_losses losses = {0};
	uint32_t suppressed;
	int r = push_labels(labels, n, &p->external, ret, &losses);

	if (r < 0) {
		drop_everywhere(p, bytes, r == -EINVAL ? PUSH_DROP_LABELS : PUSH_DROP_MEMORY);
		return r;
	}
	if ((losses.cut || losses.dropped) && log_limit_ok(&p->limit, 1, 60000, &suppressed))
		log_warn("labels of service '%s' exceed the server's limits: %zu values cut, "
			 "%zu labels dropped",
			 label_set_get(ret, "service_name") ? label_set_get(ret, "service_name")
							    : "",
			 losses.cut, losses.dropped);
	return 0;
}

/* item NULL: there was no room for it. */
static void queue(struct push *p, struct push_item *item, size_t bytes)
{
	if (!item) {
		drop_everywhere(p, bytes,
				bytes > MAX_REQUEST / 2 ? PUSH_DROP_TOO_LARGE : PUSH_DROP_MEMORY);
		return;
	}
	for (size_t i = 0; i < p->n_endpoints; i++)
		push_endpoint_add(p->endpoints[i], item);
	push_item_unref(item);
}

void push_send(struct push *p, const struct label *labels, size_t n, const uint8_t *pprof,
	       size_t bytes, uint64_t time_ns)
{
	_cleanup_labels_ struct label_set set = {0};

	if (!p->n_endpoints || take_labels(p, labels, n, bytes, &set) < 0)
		return;
	queue(p, make_item(&set, pprof, bytes, time_ns ? time_ns : clock_ns(CLOCK_REALTIME)),
	      bytes);
}

static struct push_item *make_ingest(const struct label_set *labels, const struct ingest *in)
{
	uint8_t *data = in->bytes <= MAX_REQUEST ? malloc(MAX(in->bytes, 1u)) : NULL;
	struct push_item *i;

	if (!data)
		return NULL;
	if (in->bytes)
		memcpy(data, in->body, in->bytes);
	i = push_item_new(data, in->bytes, in->time_ns ? in->time_ns : clock_ns(CLOCK_REALTIME));
	if (!i)
		return NULL;
	i->path = strdup(in->path);
	i->query = push_ingest_query(labels, in->query);
	i->content_type = strdup(in->content_type);
	return i->path && i->query && i->content_type ? i : push_item_unref(i);
}

void push_ingest(struct push *p, const struct ingest *in)
{
	_cleanup_labels_ struct label_set set = {0};
	const char *service;

	if (!p->n_endpoints || take_labels(p, in->labels, in->n_labels, in->bytes, &set) < 0)
		return;
	/* As Alloy: the server takes the service's name from the part before the brace. */
	service = label_set_get(&set, "service_name");
	if (service) {
		_cleanup_free_ char *copy = strdup(service);

		label_set_put(&set, "__name__", copy ? copy : "");
	}
	queue(p, set.failed ? NULL : make_ingest(&set, in), in->bytes);
}

bool push_busy(const struct push *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++) {
		if (push_endpoint_busy(p->endpoints[i]))
			return true;
	}
	return false;
}

void push_hurry(struct push *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++)
		push_endpoint_hurry(p->endpoints[i]);
}

int push_drain(struct push *p, uint64_t timeout_ms, const bool *abort)
{
	uint64_t end = clock_ms() + timeout_ms, now;

	push_hurry(p);
	while (push_busy(p) && !(abort && *abort) && (now = clock_ms()) < end) {
		int r = loop_once(http_multi_loop(p->http), (int)MIN(end - now, 1000u));

		if (r < 0)
			return r;
	}
	return push_busy(p) ? -ETIME : 0;
}

size_t push_n_endpoints(const struct push *p)
{
	return p->n_endpoints;
}

const char *push_endpoint_url(const struct push *p, size_t i)
{
	return p->endpoints[i]->http.url;
}

const char *push_endpoint_name(const struct push *p, size_t i)
{
	return p->endpoints[i]->name;
}

bool push_endpoint_fails(const struct push *p, size_t i)
{
	return p->endpoints[i]->fails;
}

const struct push_latency *push_total_latency(const struct push *p, bool ingest)
{
	return &p->shared.total[ingest];
}

void push_get_stats(const struct push *p, size_t i, struct push_stats *ret)
{
	const struct push_endpoint *e = p->endpoints[i];

	*ret = e->stats;
	ret->queued_bytes = e->queue.bytes;
	ret->queued_profiles = e->queue.n;
	for (size_t k = 0; k < PUSH_PARALLEL; k++)
		ret->queued_profiles += e->slots[k].entry != NULL;
}

const char *push_drop_name(enum push_drop d)
{
	static const char *const names[] = {
		[PUSH_DROP_REFUSED] = "refused",     [PUSH_DROP_RETRIES] = "retries",
		[PUSH_DROP_BUDGET] = "budget",	     [PUSH_DROP_TOO_OLD] = "too_old",
		[PUSH_DROP_TOO_LARGE] = "too_large", [PUSH_DROP_LABELS] = "labels",
		[PUSH_DROP_MEMORY] = "memory",	     [PUSH_DROP_SHUTDOWN] = "shutdown",
	};

	return names[d];
}
