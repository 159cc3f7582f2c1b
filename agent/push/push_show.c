/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/push/push_show.h"

#include <string.h>
#include <time.h>

#include "agent/push/push_endpoint.h"

/* Names and helps of grafana/alloy internal/component/pyroscope/write/metrics.go, cb0f30f1. */
static const struct metric_family
	sent_bytes = {"pyroscope_write_sent_bytes_total",
		      "Total number of compressed bytes sent to Pyroscope.", METRIC_COUNTER},
	dropped_bytes = {"pyroscope_write_dropped_bytes_total",
			 "Total number of compressed bytes dropped by Pyroscope.", METRIC_COUNTER},
	sent_profiles = {"pyroscope_write_sent_profiles_total",
			 "Total number of profiles sent to Pyroscope.", METRIC_COUNTER},
	dropped_profiles = {"pyroscope_write_dropped_profiles_total",
			    "Total number of profiles dropped by Pyroscope.", METRIC_COUNTER},
	retries = {"pyroscope_write_retries_total", "Total number of retries to Pyroscope.",
		   METRIC_COUNTER},
	latency = {"pyroscope_write_latency", "Write latency for sending profiles to pyroscope",
		   METRIC_HISTOGRAM},
	/* A label more on Alloy's own family would split the lines of dashboards. */
	dropped_by_reason = {"tephra_write_dropped_profiles_total", "Profiles dropped, and why.",
			     METRIC_COUNTER},
	queued_profiles = {"tephra_write_queued_profiles", "Profiles that wait, or are being sent.",
			   METRIC_GAUGE},
	queued_bytes = {"tephra_write_queued_bytes", "Bytes of requests that wait.", METRIC_GAUGE},
	failing = {"tephra_write_endpoint_failing",
		   "1 while the endpoint fails repeatedly, else 0.", METRIC_GAUGE};

static uint64_t sum(const uint64_t *v, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += v[i];
	return total;
}

static void add_stats(struct push_stats *to, const struct push_stats *s)
{
	to->sent_profiles += s->sent_profiles;
	to->sent_bytes += s->sent_bytes;
	to->retries += s->retries;
	to->queued_profiles += s->queued_profiles;
	to->queued_bytes += s->queued_bytes;
	for (size_t i = 0; i < PUSH_DROP_MAX; i++) {
		to->dropped_profiles[i] += s->dropped_profiles[i];
		to->dropped_bytes[i] += s->dropped_bytes[i];
	}
	for (size_t i = 0; i < PUSH_LATENCY_MAX; i++) {
		to->latency[i].sum_s += s->latency[i].sum_s;
		for (size_t k = 0; k <= PUSH_LATENCY_BOUNDS; k++)
			to->latency[i].counts[k] += s->latency[i].counts[k];
	}
}

static void add_latency(struct metrics *m, const char *endpoint, const char *type,
			const struct push_latency *l)
{
	const struct label labels[] = {{"endpoint", endpoint}, {"type", type}};

	if (sum(l->counts, ARRAY_SIZE(l->counts)))
		metrics_add_histogram(m, &latency, labels, ARRAY_SIZE(labels), push_latency_bounds,
				      l->counts, PUSH_LATENCY_BOUNDS, l->sum_s);
}

static void add_endpoint(struct metrics *m, const char *url, const struct push_stats *s, bool fails)
{
	static const char *const types[] = {
		[PUSH_LATENCY_ENDPOINT] = "push_endpoint",
		[PUSH_LATENCY_DOWNSTREAM] = "push_downstream",
		[PUSH_LATENCY_INGEST_ENDPOINT] = "ingest_endpoint",
		[PUSH_LATENCY_INGEST_DOWNSTREAM] = "ingest_downstream",
	};
	const struct label endpoint = {"endpoint", url};

	metrics_add(m, &sent_bytes, &endpoint, 1, (double)s->sent_bytes);
	metrics_add(m, &sent_profiles, &endpoint, 1, (double)s->sent_profiles);
	metrics_add(m, &dropped_bytes, &endpoint, 1, (double)sum(s->dropped_bytes, PUSH_DROP_MAX));
	metrics_add(m, &dropped_profiles, &endpoint, 1,
		    (double)sum(s->dropped_profiles, PUSH_DROP_MAX));
	metrics_add(m, &retries, &endpoint, 1, (double)s->retries);
	metrics_add(m, &queued_profiles, &endpoint, 1, (double)s->queued_profiles);
	metrics_add(m, &queued_bytes, &endpoint, 1, (double)s->queued_bytes);
	metrics_add(m, &failing, &endpoint, 1, fails);
	for (int d = 0; d < PUSH_DROP_MAX; d++) {
		const struct label labels[] = {{"endpoint", url}, {"reason", push_drop_name(d)}};

		metrics_add(m, &dropped_by_reason, labels, ARRAY_SIZE(labels),
			    (double)s->dropped_profiles[d]);
	}
	for (size_t i = 0; i < PUSH_LATENCY_MAX; i++)
		add_latency(m, url, types[i], &s->latency[i]);
}

/* Series must be unique: endpoints with one URL (that differ in tenants) are one. */
static bool seen_before(const struct push *p, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (!strcmp(push_endpoint_url(p, k), push_endpoint_url(p, i)))
			return true;
	}
	return false;
}

void push_add_metrics(const struct push *p, struct metrics *m)
{
	add_latency(m, "-", "push_total", push_total_latency(p, false));
	add_latency(m, "-", "ingest_total", push_total_latency(p, true));
	for (size_t i = 0; i < push_n_endpoints(p); i++) {
		const char *url = push_endpoint_url(p, i);
		struct push_stats all = {0}, one;
		bool fails = false;

		if (seen_before(p, i))
			continue;
		for (size_t k = i; k < push_n_endpoints(p); k++) {
			if (strcmp(push_endpoint_url(p, k), url) != 0)
				continue;
			push_get_stats(p, k, &one);
			add_stats(&all, &one);
			fails = fails || push_endpoint_fails(p, k);
		}
		add_endpoint(m, url, &all, fails);
	}
}

/* RFC 3339 in UTC; null for never. */
static struct value *time_value(uint64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	char text[40];
	struct tm tm;

	if (!ms || !gmtime_r(&s, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return value_null();
	return value_cstr(text);
}

static struct value *dropped_value(const struct push_stats *s)
{
	struct value_list l = {0};

	for (int d = 0; d < PUSH_DROP_MAX; d++) {
		if (s->dropped_profiles[d])
			value_list_add(&l, push_drop_name(d),
				       value_int((int64_t)s->dropped_profiles[d]));
	}
	return value_object(&l);
}

static struct value *endpoint_value(const struct push *p, size_t i)
{
	const char *state = push_endpoint_fails(p, i) ? "failing" : "working";
	struct value_list l = {0};
	struct push_stats s;

	push_get_stats(p, i, &s);
	if (!s.last_success_ms && !s.last_error_ms)
		state = "nothing was sent yet";
	value_list_add(&l, "url", value_cstr(push_endpoint_url(p, i)));
	value_list_add(&l, "name", value_cstr(push_endpoint_name(p, i)));
	value_list_add(&l, "state", value_cstr(state));
	value_list_add(&l, "queued_profiles", value_int((int64_t)s.queued_profiles));
	value_list_add(&l, "queued_bytes", value_int((int64_t)s.queued_bytes));
	value_list_add(&l, "sent_profiles", value_int((int64_t)s.sent_profiles));
	value_list_add(&l, "sent_bytes", value_int((int64_t)s.sent_bytes));
	value_list_add(&l, "dropped_profiles", dropped_value(&s));
	value_list_add(&l, "retries", value_int((int64_t)s.retries));
	value_list_add(&l, "failures_in_a_row", value_int(s.rejections));
	value_list_add(&l, "last_success", time_value(s.last_success_ms));
	value_list_add(&l, "last_error_time", time_value(s.last_error_ms));
	value_list_add(&l, "last_error", value_cstr(s.last_error));
	return value_object(&l);
}

struct value *push_debug_info(const struct push *p)
{
	struct value_list endpoints = {0}, l = {0};

	for (size_t i = 0; i < push_n_endpoints(p); i++)
		value_list_add(&endpoints, NULL, endpoint_value(p, i));
	value_list_add(&l, "endpoints", value_array(&endpoints));
	return value_object(&l);
}

bool push_is_healthy(const struct push *p, char *text, size_t size)
{
	size_t n = 0;

	*text = '\0';
	for (size_t i = 0; i < push_n_endpoints(p); i++) {
		struct push_stats s;

		if (!push_endpoint_fails(p, i))
			continue;
		push_get_stats(p, i, &s);
		if (n < size)
			n += (size_t)snprintf(text + n, size - n, "%s%s fails: %s", n ? "; " : "",
					      push_endpoint_url(p, i), s.last_error);
	}
	return !n;
}
