/* SPDX-License-Identifier: Apache-2.0 */
/*
 * declare, argument, export, import.*, foreach and instances of custom components (semantics:
 * grafana/alloy internal/runtime, read at 66ebea856dff). A module is expanded in place: its nodes
 * join the plan under the id of the instance.
 */
#include <errno.h>
#include <string.h>

#include "agent/config/graph_internal.h"

static struct node *find_in(const struct plan *p, const struct module *m, const char *kind,
			    const char *name, size_t len)
{
	char id[2 * GRAPH_MAX_ID];
	int n = snprintf(id, sizeof(id), "%s%s%s.%.*s", m->id, *m->id ? "/" : "", kind, (int)len,
			 name);

	return len > GRAPH_MAX_ID || n < 0 || (size_t)n >= sizeof(id) ? NULL : plan_find(p, id);
}

static int add_named(struct plan *p, struct module *m, enum node_kind kind,
		     const struct source *source, const struct ast_stmt *s, struct diag_list *d,
		     struct node **ret)
{
	_cleanup_free_ char *name = NULL;
	int r;

	if (asprintf(&name, "%s%s%s", s->name, s->label ? "." : "", s->label ? s->label : "") < 0) {
		name = NULL;
		return -ENOMEM;
	}
	r = plan_node(p, m, kind, name, source, s, ret);
	if (r < 0)
		*ret = r == -EEXIST ? *ret : NULL;
	return r;
}

static bool need_label(const struct source *source, const struct ast_stmt *s, struct diag_list *d)
{
	if (s->label)
		return true;
	diag_add(d, DIAG_ERROR, stmt_header(source, s), "block \"%s\" requires non-empty label",
		 s->name);
	diag_help(d, "write: %s \"name\" { ... }", s->name);
	return false;
}

int module_declare(struct plan *p, struct module *m, const struct source *source,
		   const struct ast_stmt *s, struct diag_list *d)
{
	struct node *n = NULL;
	int r;

	if (!need_label(source, s, d))
		return 0;
	if (!strcmp(s->label, "declare")) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "'declare' is not a valid label for a declare block");
		return 0;
	}
	r = add_named(p, m, NODE_DECLARE, source, s, d, &n);
	return r < 0 ? plan_refused(r, n, source, s, d) : 0;
}

static bool too_deep(const struct module *m, const struct source *source, const struct ast_stmt *s,
		     struct diag_list *d)
{
	if (m->depth < GRAPH_MAX_DEPTH)
		return false;
	diag_add(d, DIAG_ERROR, stmt_header(source, s),
		 "modules are nested more than %d deep: does one contain itself?", GRAPH_MAX_DEPTH);
	return true;
}

int module_import(struct plan *p, struct node *n, struct diag_list *d)
{
	const struct plan *old = p->graph->plan;
	struct node *before = old ? plan_find(old, n->id) : NULL;
	int r;

	/* Its text is known when it ran before; else the plan is made anew once it is there. */
	if (!before || before->type != n->type || !before->latest ||
	    too_deep(n->module, n->source, n->block, d))
		return 0;
	r = plan_module(p, n->id, &n->inner);
	if (r < 0)
		return r;
	n->unit = unit_ref(before->latest);
	n->inner->import = true;
	n->inner->depth = n->module->depth + 1;
	return plan_text(p, n->inner, n->unit, d);
}

int module_argument(struct plan *p, struct module *m, const struct source *source,
		    const struct ast_stmt *s, struct diag_list *d)
{
	bool is_export = !strcmp(s->name, "export");
	struct node *n = NULL;
	int r;

	if (!m->instance) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "%s blocks only allowed inside a module", s->name);
		diag_help(d, "put it into a declare block");
		return 0;
	}
	if (!need_label(source, s, d))
		return 0;
	r = add_named(p, m, is_export ? NODE_EXPORT : NODE_ARGUMENT, source, s, d, &n);
	if (r < 0)
		return plan_refused(r, n, source, s, d);
	return is_export ? node_depend(m->instance, n) : node_depend(n, m->input);
}

int module_find_custom(const struct plan *p, struct module *m, const char *name, struct node **ret)
{
	static const char *const imports[] = {"import.file", "import.string", "import.http",
					      "import.git"};
	const char *dot = strchr(name, '.');

	for (; m; m = m->lexical) {
		struct node *n = dot ? NULL : find_in(p, m, "declare", name, strlen(name));

		if (n) {
			*ret = n;
			return 0;
		}
		for (size_t i = 0; dot && i < ARRAY_SIZE(imports); i++) {
			n = find_in(p, m, imports[i], name, (size_t)(dot - name));
			if (!n)
				continue;
			*ret = n->inner ? find_in(p, n->inner, "declare", dot + 1, strlen(dot + 1))
					: NULL;
			return n->inner && !*ret ? -ENOENT : 0;
		}
	}
	return -ENOENT;
}

static const struct module *parent(const struct module *m)
{
	return m->around ? m->around : m->instance ? m->instance->module : NULL;
}

static bool contains_itself(const struct module *m, const struct node *declare,
			    const struct source *source, const struct ast_stmt *s,
			    struct diag_list *d)
{
	for (; m; m = parent(m)) {
		if (m->made == declare || (m->made && m->made->block == declare->block)) {
			diag_add(d, DIAG_ERROR, stmt_header(source, s),
				 "cycle: declare \"%s\" contains itself", declare->block->label);
			return true;
		}
	}
	return false;
}

/* What is given to a custom component is attributes only. */
static void check_input(struct node *n, struct diag_list *d)
{
	for (const struct ast_stmt *s = n->block->body.first; s; s = s->next) {
		if (!s->is_block)
			continue;
		diag_add(d, DIAG_ERROR, stmt_header(n->source, s),
			 "nested blocks not supported here");
		diag_help(d, "a custom component takes attributes: write %s = ...", s->name);
		n->bad = true;
	}
}

int module_instance(struct plan *p, struct module *m, const struct source *source,
		    const struct ast_stmt *s, struct node *declare, struct diag_list *d)
{
	struct node *n = NULL, *input = NULL;
	struct module *inner;
	int r;

	if (too_deep(m, source, s, d) || contains_itself(m, declare, source, s, d))
		return 0;
	r = add_named(p, m, NODE_CUSTOM, source, s, d, &n);
	if (r < 0)
		return plan_refused(r, n, source, s, d);
	r = plan_module(p, n->id, &inner);
	if (r < 0)
		return r;
	n->inner = inner;
	inner->instance = n;
	inner->made = declare;
	inner->lexical = declare->module;
	inner->unit = declare->module->unit;
	inner->depth = m->depth + 1;
	/* No block is called like this: arguments have labels. */
	r = plan_node(p, inner, NODE_INPUT, "argument", source, s, &input);
	if (r < 0)
		return plan_refused(r, n, source, s, d);
	/* Its expressions are the surroundings'. */
	input->module = m;
	input->inner = inner;
	inner->input = input;
	check_input(input, d);
	r = node_depend(n, input);
	return r < 0 ? r : plan_body(p, inner, declare->source, &declare->block->body, d);
}

/* ---- foreach ---- */

static const struct ast_stmt *statement(const struct ast_stmt *block, const char *name)
{
	for (const struct ast_stmt *s = block->body.first; s; s = s->next) {
		if (!strcmp(s->name, name))
			return s;
	}
	return NULL;
}

/* The name of the variable; it must be known before anything is evaluated. */
static char *variable(const struct node *n, struct diag_list *d)
{
	const struct ast_stmt *s = statement(n->block, "var");
	const struct ast_expr *x = s && !s->is_block ? s->value : NULL;
	_cleanup_free_ char *name = NULL;
	size_t len;

	if (!x) {
		diag_add(d, DIAG_ERROR, node_header(n), "missing required attribute \"var\"");
		return NULL;
	}
	if (x->kind == AST_LITERAL && x->op == TOKEN_STRING)
		name = token_string(n->source->text + x->start, x->end - x->start, &len);
	if (!name || !*name ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789_") != strlen(name)) {
		diag_add(d, DIAG_ERROR, (struct span){n->source, x->start, x->end},
			 "var must be the name of a variable, in double quotes");
		return NULL;
	}
	return TAKE_PTR(name);
}

static int expand_item(struct plan *p, struct node *n, const char *var, size_t i,
		       struct value *item, const struct ast_stmt *template, struct diag_list *d)
{
	_cleanup_free_ char *id = NULL;
	struct module *inner;
	struct node *each = NULL;
	int r;

	if (asprintf(&id, "%s/%zu", n->id, i) < 0) {
		id = NULL;
		return -ENOMEM;
	}
	r = plan_module(p, id, &inner);
	if (r < 0)
		return r;
	inner->lexical = inner->around = n->module;
	inner->unit = n->module->unit;
	inner->depth = n->module->depth + 1;
	r = plan_node(p, inner, NODE_ITEM, var, n->source, n->block, &each);
	if (r < 0)
		return plan_refused(r, each, n->source, n->block, d);
	each->value = value_ref(item);
	each->ready = true;
	r = node_depend(each, n);
	return r < 0 ? r : plan_body(p, inner, n->source, &template->body, d);
}

int module_foreach(struct plan *p, struct module *m, const struct source *source,
		   const struct ast_stmt *s, struct diag_list *d)
{
	const struct plan *old = p->graph->plan;
	const struct ast_stmt *template = statement(s, "template");
	_cleanup_free_ char *var = NULL;
	struct node *n = NULL, *before;
	int r;

	if (!stability_allows(p->graph, STABILITY_EXPERIMENTAL, source, s, d) ||
	    !need_label(source, s, d) || too_deep(m, source, s, d))
		return 0;
	r = add_named(p, m, NODE_FOREACH, source, s, d, &n);
	if (r < 0)
		return plan_refused(r, n, source, s, d);
	if (!template || !template->is_block)
		diag_add(d, DIAG_ERROR, node_header(n), "missing required block \"template\"");
	var = variable(n, d);
	n->bad = !var || !template || !template->is_block;
	before = old ? plan_find(old, n->id) : NULL;
	if (n->bad || !before || before->kind != NODE_FOREACH || !before->next_items)
		return 0;
	n->next_items = value_ref(before->next_items);
	for (size_t i = 0; i < n->next_items->n_items && r >= 0; i++) {
		if (!plan_has_room(p, source, s, d))
			return 0;
		r = expand_item(p, n, var, i, n->next_items->items[i], template, d);
	}
	return r;
}
