/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/graph_view.h"

#include <string.h>

#include "agent/config/graph_internal.h"

const char *health_name(enum health h)
{
	static const char *const names[] = {"exited", "unhealthy", "unknown", "healthy"};

	return names[h];
}

struct state {
	enum health health;
	const char *text;
	uint64_t ms;
};

static void worst(struct state *s, enum health health, const char *text, uint64_t ms)
{
	if (health < s->health)
		*s = (struct state){health, text ? text : "", ms};
}

static struct state node_state(const struct node *n)
{
	const struct component *c = n->component;
	struct state s = {HEALTH_HEALTHY, "started component", n->started_ms};

	if (c && c->health_ms && c->health == HEALTH_HEALTHY)
		s = (struct state){HEALTH_HEALTHY, c->health_text, c->health_ms};
	if (n->failure)
		worst(&s, HEALTH_UNHEALTHY, n->failure, n->failure_ms);
	if (n->start_failure)
		worst(&s, HEALTH_UNHEALTHY, n->start_failure, n->started_ms);
	if (c && c->health_ms)
		worst(&s, c->health, c->health_text, c->health_ms);
	if (c && !n->started)
		worst(&s, HEALTH_UNKNOWN, "component is not running", n->evaluated_ms);
	return s;
}

static bool is_shown(const struct node *n)
{
	return n->component || n->kind == NODE_CUSTOM;
}

static void view_node(const struct node *n, struct graph_view *ret)
{
	struct state s = node_state(n);

	/* What was given to an instance of a module is its other half's. */
	if (n->kind == NODE_CUSTOM && n->inner->input->failure)
		worst(&s, HEALTH_UNHEALTHY, n->inner->input->failure, n->inner->input->failure_ms);
	*ret = (struct graph_view){
		.id = n->id,
		.module = n->module->id,
		.name = n->block->name,
		.label = n->block->label ? n->block->label : "",
		.component = n->component,
		.health = s.health,
		.health_text = s.text ? s.text : "",
		.health_ms = s.ms,
		.evaluated_ms = n->evaluated_ms,
		.evaluation_ns = n->evaluation_ns,
		.node = n,
	};
}

bool graph_view_next(const struct graph *g, size_t *cursor, struct graph_view *ret)
{
	while (g->plan && *cursor < g->plan->n_order) {
		const struct node *n = g->plan->order[(*cursor)++];

		if (is_shown(n)) {
			view_node(n, ret);
			return true;
		}
	}
	return false;
}

bool graph_view_find(const struct graph *g, const char *id, struct graph_view *ret)
{
	const struct node *n = g->plan ? plan_find(g->plan, id) : NULL;

	if (!n || !is_shown(n))
		return false;
	view_node(n, ret);
	return true;
}

/* The parts of a module stand between its instance and what it was given. */
static const struct node *shown(const struct node *n)
{
	return n->kind == NODE_INPUT ? n->inner->instance : n;
}

static bool in_list(struct node *const *v, size_t n, const struct node *self, size_t *i,
		    const char **ret)
{
	for (size_t k = 0; k < n; k++) {
		const struct node *other = shown(v[k]);

		if (other != self && is_shown(other) && !(*i)--) {
			*ret = other->id;
			return true;
		}
	}
	return false;
}

const char *graph_view_to(const struct graph_view *v, size_t i)
{
	const struct node *n = v->node;
	const struct node *input = n->kind == NODE_CUSTOM ? n->inner->input : n;
	const char *id = NULL;

	(void)in_list(input->deps, input->n_deps, n, &i, &id);
	return id;
}

const char *graph_view_from(const struct graph_view *v, size_t i)
{
	const char *id = NULL;

	(void)in_list(v->node->users, v->node->n_users, v->node, &i, &id);
	return id;
}

static struct value *or_empty(struct value *v)
{
	struct value_list none = {0};

	return v ? v : value_object(&none);
}

struct value *graph_view_arguments(const struct graph_view *v)
{
	const struct component *c = v->component;
	const struct node *input = c ? NULL : v->node->inner->input;

	if (c)
		return schema_value(c->type->schema, c->args);
	return or_empty(input->value ? value_ref(input->value) : NULL);
}

struct value *graph_view_exports(const struct graph_view *v)
{
	struct value *exports = node_value(v->node);

	return or_empty(exports ? value_ref(exports) : NULL);
}

struct value *graph_view_debug_info(const struct graph_view *v)
{
	const struct component *c = v->component;

	return or_empty(c && c->type->debug_info ? c->type->debug_info(c) : NULL);
}

void graph_view_text(const struct graph *g, struct buf *b)
{
	const struct unit *u = g->plan ? g->plan->unit : NULL;

	for (size_t i = 0; u && i < u->n_files; i++)
		buf_add(b, u->files[i]->source->text, u->files[i]->source->len);
}
