/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluating nodes: all of them when loading, those that something changed for later. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/graph_internal.h"

#define WHY_BYTES 256

static struct value *node_exports(const void *ref, void *data)
{
	const struct node *n = ref;

	if (n->ignored)
		return n->graph->ignored;
	return n->component ? n->component->exports : NULL;
}

/* New arguments of n; owned by the caller. -EINVAL: reported. */
static int decode(struct node *n, struct diag_list *d, void **ret)
{
	const struct schema *s = n->component->type->schema;
	struct eval e = {.source = n->source, .diags = d, .exports = node_exports};
	void *args = calloc(1, MAX(s->size, 1u));
	int r;

	if (!args)
		return -ENOMEM;
	r = schema_init(s, args);
	if (r >= 0)
		r = schema_decode(s, n->block, &e, args);
	if (r < 0) {
		schema_done(s, args);
		free(args);
		return r;
	}
	*ret = args;
	return 0;
}

static void args_free(const struct schema *s, void *args)
{
	schema_done(s, args);
	free(args);
}

static int first_build(struct graph *g, struct node *n, struct diag_list *d)
{
	struct component *c = n->component;
	char why[WHY_BYTES] = "";
	void *args;
	int r = decode(n, d, &args);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	args_free(c->type->schema, c->args);
	c->args = args;
	if (d->n_errors || g->env->check_only)
		return 0;
	r = c->type->build ? c->type->build(c, why, sizeof(why)) : 0;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		diag_add(d, DIAG_ERROR,
			 (struct span){n->source, n->block->start, n->block->header_end},
			 "Failed to build component: %s", *why ? why : strerror(-r));
		return 0;
	}
	n->built = true;
	return 0;
}

static const struct capsule_type capsule_ignored = {"something of an ignored component", NULL,
						    NULL};

int graph_evaluate(struct graph *g, struct diag_list *d)
{
	g->ignored = value_capsule(&capsule_ignored, NULL);
	if (!g->ignored)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_order; i++) {
		struct node *n = g->order[i];
		int r = n->bad ? 0 : first_build(g, n, d);

		if (r < 0)
			return r;
		n->dirty = false;
	}
	return 0;
}

static void log_diags(const struct diag_list *d, const char *id)
{
	for (size_t i = 0; i < d->n; i++) {
		_cleanup_free_ char *line = diag_line(&d->items[i]);

		if (d->items[i].severity == DIAG_ERROR)
			log_error("%s keeps its last arguments: %s", id, line ? line : "no memory");
	}
}

static void reevaluate(struct node *n)
{
	_cleanup_diag_ struct diag_list d = {0};
	struct component *c = n->component;
	char why[WHY_BYTES] = "";
	void *args, *old;
	int r = decode(n, &d, &args);

	if (r < 0) {
		log_diags(&d, n->id);
		return;
	}
	if (schema_equal(c->type->schema, args, c->args)) {
		args_free(c->type->schema, args);
		return;
	}
	old = c->args;
	c->args = args;
	r = c->type->update ? c->type->update(c, old, why, sizeof(why)) : 0;
	if (r < 0) {
		log_error("%s keeps its last arguments: %s", n->id, *why ? why : strerror(-r));
		c->args = old;
		old = args;
	}
	args_free(c->type->schema, old);
}

static void on_dirty(void *data)
{
	struct graph *g = data;

	/* In order: what an update exports reaches its dependants in the same pass. */
	for (size_t i = 0; i < g->n_order; i++) {
		struct node *n = g->order[i];

		if (!n->dirty)
			continue;
		n->dirty = false;
		if (n->built)
			reevaluate(n);
	}
}

void component_export(struct component *c, struct value *v)
{
	struct graph *g = c->node->graph;

	if (!v)
		return;
	if (c->exports && value_equal(c->exports, v)) {
		value_unref(v);
		return;
	}
	value_unref(c->exports);
	c->exports = v;
	for (size_t i = 0; i < g->n_order; i++) {
		struct node *n = g->order[i];

		for (size_t k = 0; k < n->n_deps; k++)
			n->dirty = n->dirty || n->deps[k] == c->node;
	}
	if (g->started && g->timer)
		loop_set_timer(g->timer, 0, 0);
}

void component_set_health(struct component *c, enum health health, const char *fmt, ...)
{
	static const char *const names[] = {"exited", "unhealthy", "unknown", "healthy"};
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->health == health && c->health_text && !strcmp(c->health_text, text))
		return;
	if (c->health != health && health <= HEALTH_UNHEALTHY)
		log_warn("%s is %s: %s", c->id, names[health], text);
	else if (c->health != health)
		log_info("%s is %s: %s", c->id, names[health], text);
	free(c->health_text);
	c->health_text = strdup(text);
	c->health = health;
	c->health_ms = clock_ns(CLOCK_REALTIME) / 1000000;
}

int graph_start(struct graph *g)
{
	g->timer = loop_add_timer(g->env->loop, on_dirty, g);
	if (!g->timer)
		return -ENOMEM;
	g->started = true;
	for (size_t i = 0; i < g->n_order; i++) {
		struct component *c = g->order[i]->component;
		char why[WHY_BYTES] = "";
		int r;

		if (!g->order[i]->built)
			continue;
		g->order[i]->started = true;
		r = c->type->start ? c->type->start(c, why, sizeof(why)) : 0;
		if (r < 0) {
			log_error("cannot start %s: %s", c->id, *why ? why : strerror(-r));
			return r;
		}
	}
	return 0;
}

static bool graph_busy(const struct graph *g)
{
	for (size_t i = 0; i < g->n_order; i++) {
		const struct component *c = g->order[i]->component;

		if (g->order[i]->built && c->type->busy && c->type->busy(c))
			return true;
	}
	return false;
}

int graph_drain(struct graph *g, uint64_t timeout_ms, const bool *abort)
{
	uint64_t end = clock_ms() + timeout_ms, now;

	for (size_t i = 0; i < g->n_order; i++) {
		struct component *c = g->order[i]->component;

		if (g->order[i]->built && c->type->drain)
			c->type->drain(c);
	}
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
	for (size_t i = g->n_order; i > 0; i--) {
		struct node *n = g->order[i - 1];

		if (n->started && n->component->type->stop)
			n->component->type->stop(n->component);
		n->started = false;
	}
	if (g->timer)
		loop_stop_timer(g->timer);
}

struct component *graph_next(const struct graph *g, const struct component_type *type,
			     const struct component *prev)
{
	bool past = !prev;

	for (size_t i = 0; i < g->n_order; i++) {
		struct component *c = g->order[i]->component;

		if (past && c && c->type == type)
			return c;
		past = past || c == prev;
	}
	return NULL;
}
