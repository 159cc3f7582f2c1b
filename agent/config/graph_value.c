/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that are no components: what goes into modules and comes out of them. */
#include <errno.h>
#include <string.h>

#include "agent/config/graph_internal.h"
#include "agent/config/schema.h"

struct argument {
	bool optional;
	struct value *fallback;
	char *comment;
};

static const struct option argument_options[] = {
	{"optional", OPTION_BOOL, .offset = offsetof(struct argument, optional)},
	{"default", OPTION_ANY, .offset = offsetof(struct argument, fallback)},
	{"comment", OPTION_STRING, .offset = offsetof(struct argument, comment)},
};

static const struct schema argument_schema = {
	.size = sizeof(struct argument),
	.options = argument_options,
	.n = ARRAY_SIZE(argument_options),
};

struct export
{
	struct value *value;
};

static const struct option export_options[] = {
	{"value", OPTION_ANY, NULL, OPTION_REQUIRED, offsetof(struct export, value)},
};

static const struct schema export_schema = {
	.size = sizeof(struct export),
	.options = export_options,
	.n = ARRAY_SIZE(export_options),
};

static struct eval eval_of(struct node *n, struct diag_list *d)
{
	return (struct eval){.source = n->source,
			     .diags = d,
			     .lookup = scope_lookup,
			     .data = n,
			     .check_only = n->graph->env->check_only};
}

/* Takes v; NULL is -ENOMEM. */
static int set_value(struct node *n, struct value *v)
{
	bool same = v && n->value && value_equal(n->value, v);

	if (!v)
		return -ENOMEM;
	if (same) {
		value_unref(v);
	} else {
		value_unref(n->value);
		n->value = v;
	}
	if (!same || !n->ready) {
		n->ready = true;
		node_changed(n);
	}
	return 0;
}

static bool provided(const struct node *n, const struct ast_stmt *until)
{
	for (const struct ast_stmt *s = n->block->body.first; s != until; s = s->next) {
		if (!strcmp(s->name, until->name))
			return true;
	}
	return false;
}

static int add_input(struct node *n, const struct ast_stmt *s, struct diag_list *d,
		     struct value_list *l)
{
	struct eval e = eval_of(n, d);
	struct value *v;
	char id[2 * GRAPH_MAX_ID];
	int r = snprintf(id, sizeof(id), "%s/argument.%.*s", n->inner->id, GRAPH_MAX_ID, s->name);

	if (r < 0 || (size_t)r >= sizeof(id) || !plan_find(n->graph->plan, id)) {
		diag_add(d, DIAG_ERROR, (struct span){n->source, s->start, s->end},
			 "Provided argument \"%s\" is not defined in the module", s->name);
		return -EINVAL;
	}
	if (provided(n, s)) {
		diag_add(d, DIAG_ERROR, (struct span){n->source, s->start, s->end},
			 "attribute \"%s\" may only be provided once", s->name);
		return -EINVAL;
	}
	r = eval_expr(&e, s->value, &v);
	if (r >= 0)
		value_list_add(l, s->name, v);
	return r;
}

static int evaluate_input(struct node *n, struct diag_list *d)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	int r = 0;

	for (const struct ast_stmt *s = n->block->body.first; s; s = s->next) {
		int k = s->is_block ? 0 : add_input(n, s, d, &l);

		if (k == -ENOMEM)
			return k;
		r = k < 0 ? k : r;
	}
	return r < 0 ? r : set_value(n, value_object(&l));
}

static struct value *boxed(struct value *v)
{
	struct value_list l = {0};

	value_list_add(&l, "value", v);
	return value_object(&l);
}

static int choose_argument(struct node *n, const struct argument *a, struct diag_list *d)
{
	const struct node *input = n->module->input;
	struct value *given = input->value ? value_get(input->value, n->block->label) : NULL;

	if (given)
		return set_value(n, boxed(value_ref(given)));
	if (a->optional)
		return set_value(n, boxed(a->fallback ? value_ref(a->fallback) : value_null()));
	diag_add(d, DIAG_ERROR, node_header(n->module->instance),
		 "missing required argument \"%s\" to module", n->block->label);
	return -EINVAL;
}

static int evaluate_argument(struct node *n, struct diag_list *d)
{
	struct eval e = eval_of(n, d);
	struct argument a = {0};
	int r = schema_init(&argument_schema, &a);

	if (r >= 0)
		r = schema_decode(&argument_schema, n->block, &e, &a);
	if (r >= 0)
		r = choose_argument(n, &a, d);
	schema_done(&argument_schema, &a);
	return r;
}

static int evaluate_export(struct node *n, struct diag_list *d)
{
	struct eval e = eval_of(n, d);
	struct export x = {0};
	int r = schema_decode(&export_schema, n->block, &e, &x);

	if (r >= 0)
		r = set_value(n, value_ref(x.value));
	schema_done(&export_schema, &x);
	return r;
}

static int evaluate_custom(struct node *n)
{
	struct value_list l = {0};

	for (size_t i = 0; i < n->n_deps; i++) {
		const struct node *dep = n->deps[i];

		if (dep->kind == NODE_EXPORT && dep->value)
			value_list_add(&l, dep->block->label, value_ref(dep->value));
	}
	return set_value(n, value_object(&l));
}

static int evaluate_foreach(struct node *n, struct diag_list *d)
{
	_cleanup_value_ struct value *v = NULL;
	struct eval e = eval_of(n, d);
	const struct ast_stmt *s = n->block->body.first;
	int r;

	while (s && (s->is_block || strcmp(s->name, "collection") != 0))
		s = s->next;
	if (!s) {
		diag_add(d, DIAG_ERROR, node_header(n),
			 "missing required attribute \"collection\"");
		return -EINVAL;
	}
	r = eval_expr(&e, s->value, &v);
	if (r < 0)
		return r;
	if (v->kind != VALUE_ARRAY)
		return eval_fail(&e, s->value, "collection should be array, got %s",
				 value_kind_name(v));
	n->ready = true;
	if (n->next_items && value_equal(n->next_items, v))
		return 0;
	/* Other elements are other nodes: plan anew. */
	value_unref(n->next_items);
	n->next_items = TAKE_PTR(v);
	n->graph->replan = true;
	return 0;
}

int node_evaluate_value(struct node *n, struct diag_list *d)
{
	switch (n->kind) {
	case NODE_INPUT:
		return evaluate_input(n, d);
	case NODE_ARGUMENT:
		return evaluate_argument(n, d);
	case NODE_EXPORT:
		return evaluate_export(n, d);
	case NODE_CUSTOM:
		return evaluate_custom(n);
	case NODE_FOREACH:
		return evaluate_foreach(n, d);
	case NODE_ITEM:
	case NODE_IGNORED:
		n->ready = true;
		return 0;
	case NODE_COMPONENT:
	case NODE_DECLARE:
	case NODE_UNKNOWN:
		return 0;
	}
	return 0;
}
