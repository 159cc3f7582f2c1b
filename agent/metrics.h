/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct metrics: one answer to a scrape, in the Prometheus text format 0.0.4. It is filled anew
 * for each scrape by those who have the numbers; nothing is kept between two. Samples of one
 * family may come from several places: they are put together when the text is written.
 */
#pragma once

#include "agent/base/buf.h"

struct label; /* agent/export/receiver.h */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* A family is declared by its first sample, and copied. The strings are literals or outlive m. */
struct metric_family {
	const char *name, *help;
	enum metric_type type;
};

#define METRICS_MAX_BYTES (8u << 20)

struct metrics;

int metrics_new(struct metrics **ret);
struct metrics *metrics_free(struct metrics *m);
DEFINE_CLEANUP(struct metrics *, metrics_free)

/* Labels that every following sample gets besides its own (component_id...). Borrowed until the
 * next call; n 0: none. */
void metrics_scope(struct metrics *m, const struct label *labels, size_t n);
/* Copies the label values. Over METRICS_MAX_BYTES or without memory the scrape fails as a whole. */
void metrics_add(struct metrics *m, const struct metric_family *f, const struct label *labels,
		 size_t n, double value);
/* A histogram's buckets: n bounds, n + 1 counts that are not cumulative (the last is +Inf). */
void metrics_add_histogram(struct metrics *m, const struct metric_family *f,
			   const struct label *labels, size_t n_labels, const double *bounds,
			   const uint64_t *counts, size_t n, double sum);
/* Appends the text, families in the order of their names. 0, -E2BIG or -ENOMEM. */
int metrics_write(const struct metrics *m, struct buf *out);
