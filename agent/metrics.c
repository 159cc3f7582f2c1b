/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/metrics.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "agent/export/receiver.h"

#define MAX_FAMILIES 512

struct entry {
	struct metric_family family;
	struct buf lines;
};

struct metrics {
	struct entry *entries[MAX_FAMILIES]; /* in the order of their names */
	size_t n;
	const struct label *scope; /* borrowed */
	size_t n_scope, bytes;
	int failed;
};

int metrics_new(struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	*ret = m;
	return 0;
}

struct metrics *metrics_free(struct metrics *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		buf_done(&m->entries[i]->lines);
		free(m->entries[i]);
	}
	free(m);
	return NULL;
}

void metrics_scope(struct metrics *m, const struct label *labels, size_t n)
{
	m->scope = labels;
	m->n_scope = n;
}

/* The lines of a family; NULL when there can be none (m->failed is set). */
static struct buf *lines_of(struct metrics *m, const struct metric_family *f)
{
	size_t low = 0, high = m->n;
	struct entry *e;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(m->entries[mid]->family.name, f->name);

		if (!order)
			return &m->entries[mid]->lines;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	e = m->n < MAX_FAMILIES ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		m->failed = m->n < MAX_FAMILIES ? -ENOMEM : -E2BIG;
		return NULL;
	}
	*e = (struct entry){.family = *f, .lines = BUF_INIT(METRICS_MAX_BYTES)};
	memmove(&m->entries[low + 1], &m->entries[low], (m->n - low) * sizeof(e));
	m->entries[low] = e;
	m->n++;
	return &e->lines;
}

static void add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			buf_adds(b, "\\n");
		else if (*s == '"' || *s == '\\')
			buf_printf(b, "\\%c", *s);
		else
			buf_add_u8(b, (uint8_t)*s);
	}
}

static void add_labels(struct buf *b, const struct label *labels, size_t n, bool *any)
{
	for (size_t i = 0; i < n; i++) {
		buf_printf(b, "%s%s=\"", *any ? "," : "{", labels[i].name);
		add_escaped(b, labels[i].value);
		buf_adds(b, "\"");
		*any = true;
	}
}

/* le NULL: not the bucket of a histogram. */
static void add_line(struct metrics *m, struct buf *b, const char *name, const char *suffix,
		     const struct label *labels, size_t n, const char *le, double value)
{
	const struct label bound = {"le", le};
	size_t before = b->len;
	bool any = false;

	buf_printf(b, "%s%s", name, suffix);
	add_labels(b, m->scope, m->n_scope, &any);
	add_labels(b, labels, n, &any);
	add_labels(b, &bound, le ? 1 : 0, &any);
	if (isnan(value) || isinf(value))
		buf_printf(b, "%s %s\n", any ? "}" : "",
			   isnan(value) ? "NaN"
			   : value < 0	? "-Inf"
					: "+Inf");
	else
		buf_printf(b, "%s %.15g\n", any ? "}" : "", value);
	m->bytes += b->len - MIN(before, b->len);
	if (b->failed || m->bytes > METRICS_MAX_BYTES)
		m->failed = b->failed ? b->failed : -E2BIG;
}

void metrics_add(struct metrics *m, const struct metric_family *f, const struct label *labels,
		 size_t n, double value)
{
	struct buf *b = m->failed ? NULL : lines_of(m, f);

	if (b)
		add_line(m, b, f->name, "", labels, n, NULL, value);
}

void metrics_add_histogram(struct metrics *m, const struct metric_family *f,
			   const struct label *labels, size_t n_labels, const double *bounds,
			   const uint64_t *counts, size_t n, double sum)
{
	struct buf *b = m->failed ? NULL : lines_of(m, f);
	uint64_t total = 0;

	for (size_t i = 0; b && i <= n; i++) {
		char le[32] = "+Inf";

		total += counts[i];
		if (i < n)
			(void)snprintf(le, sizeof(le), "%.15g", bounds[i]);
		add_line(m, b, f->name, "_bucket", labels, n_labels, le, (double)total);
	}
	if (!b)
		return;
	add_line(m, b, f->name, "_sum", labels, n_labels, NULL, sum);
	add_line(m, b, f->name, "_count", labels, n_labels, NULL, (double)total);
}

int metrics_write(const struct metrics *m, struct buf *out)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	if (m->failed)
		return m->failed;
	for (size_t i = 0; i < m->n; i++) {
		const struct entry *e = m->entries[i];

		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", e->family.name, e->family.help,
			   e->family.name, types[e->family.type]);
		buf_add(out, e->lines.data, e->lines.len);
	}
	return out->failed;
}
