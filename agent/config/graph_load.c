/* SPDX-License-Identifier: Apache-2.0 */
/* From text to a graph, and from one text to the next while it runs. */
#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/config/graph_internal.h"

void graph_bury(struct graph *g, struct unit *u)
{
	struct unit **grown;

	if (!u)
		return;
	grown = realloc(g->old_units, (g->n_old_units + 1) * sizeof(*grown));
	if (!grown) {
		/* Better lost than pointed at. */
		return;
	}
	g->old_units = grown;
	grown[g->n_old_units++] = u;
}

void graph_unbury(struct graph *g)
{
	for (size_t i = 0; i < g->n_old_units; i++)
		unit_unref(g->old_units[i]);
	free(g->old_units);
	g->old_units = NULL;
	g->n_old_units = 0;
}

struct graph *graph_free(struct graph *g)
{
	if (!g)
		return NULL;
	graph_stop(g);
	for (size_t i = 0; i < g->n_leaving; i++)
		hold_release(g->leaving[i].held, g->leaving[i].n_held);
	plan_free(g->plan);
	for (size_t i = 0; i < g->n_leaving; i++)
		component_free(g->leaving[i].component);
	graph_unbury(g);
	for (size_t i = 0; i < g->n_paths; i++)
		free(g->paths[i]);
	free(g->paths);
	free(g->leaving);
	loop_remove(g->timer);
	loop_remove(g->later);
	value_unref(g->ignored);
	free(g);
	return NULL;
}

bool graph_ok(const struct graph *g)
{
	return g->ok;
}

/* ---- From one plan to the next ---- */

static struct node *same(const struct plan *old, const struct node *n)
{
	struct node *before = old ? plan_find(old, n->id) : NULL;

	return before && before->kind == n->kind && before->type == n->type ? before : NULL;
}

/* All that may fail; nothing has changed yet. */
static int prepare(struct graph *g, struct plan *p)
{
	size_t room = g->n_leaving + (g->plan ? g->plan->n_nodes : 0);
	struct leaving *l = realloc(g->leaving, MAX(room, 1u) * sizeof(*l));
	int r = 0;

	if (!l)
		return -ENOMEM;
	g->leaving = l;
	for (size_t i = 0; i < p->n_nodes && r >= 0; i++) {
		struct node *n = p->nodes[i];

		if (!same(g->plan, n))
			r = node_instance(n);
	}
	return r;
}

/* Takes p, also when it fails. What both plans have goes on, the rest of the old one leaves. */
static int commit(struct graph *g, struct plan *p)
{
	struct plan *old = g->plan;
	int r = prepare(g, p);

	if (r < 0) {
		plan_free(p);
		return r;
	}
	for (size_t i = 0; i < p->n_nodes; i++) {
		struct node *before = same(old, p->nodes[i]);

		if (before)
			node_adopt(p->nodes[i], before);
	}
	for (size_t i = old ? old->n_order : 0; i > 0; i--) {
		struct node *n = old->order[i - 1];
		struct component *c = TAKE_PTR(n->component);

		if (!c)
			continue;
		if (!n->built) {
			component_free(c);
			continue;
		}
		g->leaving[g->n_leaving++] = (struct leaving){
			.component = c,
			.held = TAKE_PTR(n->held),
			.n_held = n->n_held,
			.stopped = !n->started,
		};
		n->n_held = 0;
		c->node = NULL;
	}
	g->plan = p;
	plan_free(old);
	return 0;
}

int graph_settle(struct graph *g, struct diag_list *d)
{
	for (int round = 0; g->replan; round++) {
		size_t before = d->n_errors;
		struct plan *p;
		int r;

		g->replan = false;
		if (round == GRAPH_MAX_ROUNDS) {
			diag_add(d, DIAG_ERROR, (struct span){0},
				 "imports are nested more than %d deep", GRAPH_MAX_ROUNDS);
			return 0;
		}
		r = plan_new(g, g->plan->unit, d, &p);
		if (r < 0)
			return r;
		if (d->n_errors > before) {
			_cleanup_free_ char *why = diag_summary(d);

			for (size_t i = 0; i < g->plan->n_order; i++) {
				struct node *n = g->plan->order[i];

				if (n->latest != n->unit)
					node_failed(n, why ? why : "out of memory");
			}
			plan_free(p);
			return 0;
		}
		r = commit(g, p);
		if (r >= 0)
			r = graph_pass(g, d);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- The first time ---- */

static int load(struct graph *g, struct unit *u, struct diag_list *d)
{
	size_t before = d->n_errors;
	struct plan *p;
	int r;

	g->ignored = value_capsule(&capsule_ignored, NULL);
	if (!g->ignored)
		return -ENOMEM;
	g->loading = true;
	r = plan_new(g, u, d, &p);
	if (r >= 0)
		r = commit(g, p);
	if (r >= 0)
		r = graph_pass(g, d);
	if (r >= 0 && d->n_errors == before)
		r = graph_settle(g, d);
	g->loading = false;
	g->ok = r >= 0 && d->n_errors == before;
	return r;
}

static int load_unit(struct graph *g, struct unit *u, struct diag_list *d)
{
	if (!d->n_errors)
		return load(g, u, d);
	/* A file that does not parse hides what others refer to: stop there. */
	graph_bury(g, unit_ref(u));
	return 0;
}

int graph_load(const char *const *paths, size_t n, const struct component_env *env,
	       struct diag_list *d, struct graph **ret)
{
	_cleanup_(graph_freep) struct graph *g = calloc(1, sizeof(*g));
	_cleanup_(unit_unrefp) struct unit *u = NULL;
	int r = g ? unit_new(&u) : -ENOMEM;

	if (r < 0)
		return r;
	g->env = env;
	g->paths = calloc(MAX(n, 1u), sizeof(*g->paths));
	for (size_t i = 0; g->paths && i < n; i++) {
		g->paths[i] = strdup(paths[i]);
		if (!g->paths[i])
			return -ENOMEM;
		g->n_paths++;
	}
	r = g->paths ? unit_read(u, paths, n, d) : -ENOMEM;
	if (r >= 0)
		r = load_unit(g, u, d);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}

static int text_unit(const char *name, const char *text, size_t len, struct diag_list *d,
		     struct unit **ret)
{
	_cleanup_(unit_unrefp) struct unit *u = NULL;
	struct source *s;
	int r = source_new(name, text, len, &s);

	if (r < 0)
		return r;
	r = unit_new(&u);
	if (r < 0) {
		source_free(s);
		return r;
	}
	r = unit_add(u, s, d);
	if (r >= 0)
		*ret = TAKE_PTR(u);
	return r;
}

int graph_load_text(const char *name, const char *text, size_t len, const struct component_env *env,
		    struct diag_list *d, struct graph **ret)
{
	_cleanup_(graph_freep) struct graph *g = calloc(1, sizeof(*g));
	_cleanup_(unit_unrefp) struct unit *u = NULL;
	int r;

	if (!g)
		return -ENOMEM;
	g->env = env;
	r = text_unit(name, text, len, d, &u);
	if (r >= 0)
		r = load_unit(g, u, d);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}

/* ---- Again ---- */

/* Imports read their texts anew first, so that the new configuration finds what belongs to it. */
static void refresh_imports(struct graph *g)
{
	for (size_t i = 0; i < g->plan->n_order; i++) {
		_cleanup_diag_ struct diag_list d = {0};
		struct node *n = g->plan->order[i];
		char why[256];

		if (!node_is_import(n) || !n->built || !n->type->update)
			continue;
		(void)n->type->update(n->component, n->component->args, why, sizeof(why));
		/* What is wrong with them is reported when they are evaluated. */
		if (n->dirty)
			(void)node_evaluate(n, &d);
	}
}

static int apply(struct graph *g, struct unit *u, struct diag_list *d)
{
	size_t before = d->n_errors;
	struct plan *p;
	int r;

	refresh_imports(g);
	r = plan_new(g, u, d, &p);
	if (r < 0)
		return r;
	if (d->n_errors > before) {
		plan_free(p);
		graph_bury(g, unit_ref(u));
		return -EBADMSG;
	}
	r = commit(g, p);
	if (r >= 0)
		r = graph_pass(g, d);
	if (r >= 0)
		r = graph_settle(g, d);
	g->rest_until_ms = 0;
	(void)graph_start_due(g);
	if (r < 0)
		return r;
	return d->n_errors > before ? -EBADMSG : 0;
}

static int reload(struct graph *g, struct unit *u, struct diag_list *d)
{
	int r;

	if (d->n_errors) {
		graph_bury(g, unit_ref(u));
		return -EBADMSG;
	}
	g->reloading = true;
	r = apply(g, u, d);
	g->reloading = false;
	return r;
}

/* The standard input has been read: what came from it stays. */
static bool can_read_again(const struct graph *g)
{
	for (size_t i = 0; i < g->n_paths; i++) {
		if (!strcmp(g->paths[i], "-"))
			return false;
	}
	return g->n_paths > 0;
}

int graph_reload(struct graph *g, struct diag_list *d)
{
	_cleanup_(unit_unrefp) struct unit *u = NULL;
	int r;

	graph_unbury(g);
	if (!can_read_again(g))
		return reload(g, g->plan->unit, d);
	r = unit_new(&u);
	if (r >= 0)
		r = unit_read(u, (const char *const *)g->paths, g->n_paths, d);
	return r < 0 ? r : reload(g, u, d);
}

int graph_reload_text(struct graph *g, const char *name, const char *text, size_t len,
		      struct diag_list *d)
{
	_cleanup_(unit_unrefp) struct unit *u = NULL;
	int r;

	graph_unbury(g);
	r = text_unit(name, text, len, d, &u);
	return r < 0 ? r : reload(g, u, d);
}
