/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/graph_view.h"

#include <string.h>

#include "agent/config/graph_internal.h"

const char *health_name(enum health h)
{
	static const char *const names[] = {"exited", "unhealthy", "unknown", "healthy"};

	return names[h];
}

static void view_health(const struct node *n, struct graph_view *ret)
{
	const struct component *c = n->component;

	ret->health = n->started ? HEALTH_HEALTHY : HEALTH_UNKNOWN;
	ret->health_text = n->started ? "started component" : "component is not running";
	if (c->health_ms && c->health <= ret->health) {
		ret->health = c->health;
		ret->health_text = c->health_text ? c->health_text : "";
		ret->health_ms = c->health_ms;
	}
}

static void view_node(const struct node *n, struct graph_view *ret)
{
	*ret = (struct graph_view){
		.id = n->id,
		.module = "",
		.name = n->block->name,
		.label = n->block->label ? n->block->label : "",
		.component = n->component,
		.node = n,
	};
	view_health(n, ret);
}

bool graph_view_next(const struct graph *g, size_t *cursor, struct graph_view *ret)
{
	while (*cursor < g->n_order) {
		const struct node *n = g->order[(*cursor)++];

		if (n->component) {
			view_node(n, ret);
			return true;
		}
	}
	return false;
}

bool graph_view_find(const struct graph *g, const char *id, struct graph_view *ret)
{
	size_t cursor = 0;

	while (graph_view_next(g, &cursor, ret)) {
		if (!strcmp(ret->id, id))
			return true;
	}
	return false;
}

const char *graph_view_to(const struct graph_view *v, size_t i)
{
	return i < v->node->n_deps ? v->node->deps[i]->id : NULL;
}

const char *graph_view_from(const struct graph_view *v, size_t i)
{
	const struct graph *g = v->node->graph;

	for (size_t k = 0; k < g->n_order; k++) {
		const struct node *n = g->order[k];

		for (size_t d = 0; d < n->n_deps; d++) {
			if (n->deps[d] == v->node && !i--)
				return n->id;
		}
	}
	return NULL;
}

static struct value *or_empty(struct value *v)
{
	struct value_list none = {0};

	return v ? v : value_object(&none);
}

struct value *graph_view_arguments(const struct graph_view *v)
{
	return schema_value(v->component->type->schema, v->component->args);
}

struct value *graph_view_exports(const struct graph_view *v)
{
	return or_empty(v->component->exports ? value_ref(v->component->exports) : NULL);
}

struct value *graph_view_debug_info(const struct graph_view *v)
{
	const struct component *c = v->component;

	return or_empty(c->type->debug_info ? c->type->debug_info(c) : NULL);
}
