/* SPDX-License-Identifier: Apache-2.0 */
/* A graph at work: passes over what is dirty, starting, trying again, ending. */
#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/graph_internal.h"

/* Evaluation rests for so many times as long as it took: it takes at most 2 % of a CPU, however
 * often exports change. But no longer than this, which is how often Alloy's discovery speaks. */
#define REST_FACTOR 50
#define REST_MAX_MS 5000
#define LATER_MS    1000

void graph_wake(struct graph *g)
{
	uint64_t now = clock_ms();

	if (g->started && !g->in_pass)
		loop_set_timer(g->timer, g->rest_until_ms > now ? g->rest_until_ms - now : 0, 0);
}

int graph_pass(struct graph *g, struct diag_list *d)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC), took_ns;
	bool again = false;
	int r = 0;

	g->in_pass = true;
	/* In order: what an update exports reaches its dependants in the same pass. */
	for (size_t i = 0; i < g->plan->n_order && r >= 0; i++) {
		struct node *n = g->plan->order[i];

		if (!n->dirty)
			continue;
		n->dirty = false;
		r = node_evaluate(n, d);
		if (r < 0)
			n->dirty = true;
	}
	g->in_pass = false;
	took_ns = clock_ns(CLOCK_MONOTONIC) - start;
	g->rest_until_ms = clock_ms() + MIN(took_ns * REST_FACTOR / 1000000, REST_MAX_MS);
	/* Who was evaluated before may have got something new since. */
	for (size_t i = 0; i < g->plan->n_order && !again; i++)
		again = g->plan->order[i]->dirty;
	if (again)
		graph_wake(g);
	return r;
}

int graph_start_due(struct graph *g)
{
	int first = 0;

	graph_sweep(g);
	if (!g->started)
		return 0;
	for (size_t i = 0; i < g->plan->n_order; i++) {
		struct node *n = g->plan->order[i];
		int r = n->component ? node_start(n) : 0;

		first = first < 0 ? first : r;
	}
	graph_arm_later(g);
	return first;
}

void graph_arm_later(struct graph *g)
{
	uint64_t due = g->n_leaving ? clock_ms() + 100 : UINT64_MAX, now = clock_ms();

	if (!g->started)
		return;
	for (size_t i = 0; i < g->plan->n_order; i++) {
		const struct node *n = g->plan->order[i];

		if (n->retry_ms)
			due = MIN(due, n->retry_ms);
	}
	if (due != UINT64_MAX)
		loop_set_timer(g->later, due > now ? due - now : 0, 0);
}

static void on_later(void *data)
{
	struct graph *g = data;
	uint64_t now = clock_ms();
	bool dirty = false;

	for (size_t i = 0; i < g->plan->n_order; i++) {
		struct node *n = g->plan->order[i];

		if (!n->retry_ms || n->retry_ms > now || !n->failure)
			continue;
		n->retry_ms = 0;
		n->dirty = dirty = true;
	}
	if (dirty)
		graph_wake(g);
	(void)graph_start_due(g);
}

static void on_dirty(void *data)
{
	_cleanup_diag_ struct diag_list d = {0};
	struct graph *g = data;
	int r;

	graph_unbury(g);
	r = graph_pass(g, &d);
	if (r >= 0)
		r = graph_settle(g, &d);
	if (r < 0) {
		(void)log_error_errno(r, "cannot evaluate the configuration, trying again");
		loop_set_timer(g->timer, LATER_MS, 0);
	}
	(void)graph_start_due(g);
}

/* Whether profiles come from it: it forwards some, and takes none. */
static bool is_source(const struct node *n)
{
	if (!n->component ||
	    (n->component->exports && value_get(n->component->exports, "receiver")))
		return false;
	for (size_t i = 0; i < n->type->schema->n; i++) {
		if (n->type->schema->options[i].type == OPTION_RECEIVERS)
			return true;
	}
	return false;
}

int graph_start(struct graph *g)
{
	size_t sources = 0, alive = 0;
	int r;

	g->timer = loop_add_timer(g->env->loop, on_dirty, g);
	g->later = loop_add_timer(g->env->loop, on_later, g);
	if (!g->timer || !g->later)
		return -ENOMEM;
	g->started = true;
	/* What discovery finds first is waited for. */
	g->rest_until_ms = 0;
	r = graph_start_due(g);
	for (size_t i = 0; i < g->plan->n_order; i++) {
		const struct node *n = g->plan->order[i];

		sources += is_source(n);
		alive += is_source(n) && n->started;
	}
	graph_wake(g);
	return sources && !alive ? r : 0;
}

static bool busy(const struct component *c)
{
	return c->type->busy && c->type->busy(c);
}

static bool graph_busy(const struct graph *g)
{
	for (size_t i = 0; g->plan && i < g->plan->n_order; i++) {
		const struct node *n = g->plan->order[i];

		if (n->component && n->built && busy(n->component))
			return true;
	}
	for (size_t i = 0; i < g->n_leaving; i++) {
		if (busy(g->leaving[i].component))
			return true;
	}
	return false;
}

static void hurry(const struct component *c)
{
	if (c->type->drain)
		c->type->drain((struct component *)c);
}

int graph_drain(struct graph *g, uint64_t timeout_ms, const bool *abort)
{
	uint64_t end = clock_ms() + timeout_ms, now;

	for (size_t i = 0; g->plan && i < g->plan->n_order; i++) {
		struct node *n = g->plan->order[i];

		if (n->component && n->built)
			hurry(n->component);
	}
	for (size_t i = 0; i < g->n_leaving; i++)
		hurry(g->leaving[i].component);
	while (graph_busy(g) && !(abort && *abort)) {
		int r;

		now = clock_ms();
		if (now >= end)
			break;
		r = loop_once(g->env->loop, (int)MIN(end - now, 1000u));
		if (r < 0)
			return r;
	}
	return graph_busy(g) ? -ETIME : 0;
}

void graph_stop(struct graph *g)
{
	g->started = false;
	for (size_t i = g->plan ? g->plan->n_order : 0; i > 0; i--) {
		struct node *n = g->plan->order[i - 1];

		if (n->started && n->type->stop)
			n->type->stop(n->component);
		n->started = false;
	}
	for (size_t i = 0; i < g->n_leaving; i++) {
		struct leaving *l = &g->leaving[i];

		if (!l->stopped && l->component->type->stop)
			l->component->type->stop(l->component);
		l->stopped = true;
	}
	if (g->timer)
		loop_stop_timer(g->timer);
	if (g->later)
		loop_stop_timer(g->later);
}

struct component *graph_next(const struct graph *g, const struct component_type *type,
			     const struct component *prev)
{
	bool past = !prev;

	for (size_t i = 0; i < g->plan->n_order; i++) {
		struct component *c = g->plan->order[i]->component;

		if (past && c && c->type == type)
			return c;
		past = past || (c && c == prev);
	}
	return NULL;
}
