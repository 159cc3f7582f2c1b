/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Components that are in no plan any more. One goes when nobody's arguments come from its exports:
 * who keeps its last good arguments keeps what they point at. Then it is stopped, and freed when
 * it has sent what it holds.
 */
#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/graph_internal.h"

#define DRAIN_MS 5000

void hold_release(struct component **held, size_t n)
{
	for (size_t i = 0; i < n; i++)
		held[i]->holders--;
	free(held);
}

int graph_leave(struct graph *g, struct component *c, struct component **held, size_t n_held)
{
	struct leaving *l = realloc(g->leaving, (g->n_leaving + 1) * sizeof(*l));

	if (!l)
		return -ENOMEM;
	g->leaving = l;
	c->node = NULL;
	l[g->n_leaving++] = (struct leaving){.component = c, .held = held, .n_held = n_held};
	return 0;
}

static bool busy(const struct component *c)
{
	return c->type->busy && c->type->busy(c);
}

static void stop(struct leaving *l)
{
	struct component *c = l->component;

	l->stopped = true;
	l->end_ms = clock_ms() + DRAIN_MS;
	log_info("%s is gone from the configuration: ending it", c->id);
	if (c->type->stop)
		c->type->stop(c);
	if (c->type->drain)
		c->type->drain(c);
}

/* Whether it is gone for good. */
static bool end(struct leaving *l)
{
	struct component *c = l->component;

	if (c->holders)
		return false;
	if (!l->stopped)
		stop(l);
	if (busy(c) && clock_ms() < l->end_ms)
		return false;
	if (busy(c))
		log_warn("%s ends with profiles that could not be sent", c->id);
	hold_release(l->held, l->n_held);
	component_free(c);
	return true;
}

void graph_sweep(struct graph *g)
{
	bool more = true;

	/* In the order of the list, dependants first; the end of one may free the next. */
	while (more) {
		size_t kept = 0, n = g->n_leaving;

		more = false;
		for (size_t i = 0; i < n; i++) {
			if (end(&g->leaving[i]))
				more = true;
			else
				g->leaving[kept++] = g->leaving[i];
		}
		g->n_leaving = kept;
	}
}
