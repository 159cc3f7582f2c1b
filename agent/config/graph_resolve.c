/* SPDX-License-Identifier: Apache-2.0 */
/* Traversals such as pyroscope.write.w.receiver to nodes: as references and as values. */
#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/config/graph_internal.h"
#include "agent/config/stdlib.h"

#define MAX_PARTS   32 /* of a node's name: what lies further out is a field */
#define MODULE_PATH "module_path"

int node_depend(struct node *n, struct node *dep)
{
	for (size_t i = 0; i < n->n_deps; i++) {
		if (n->deps[i] == dep)
			return 0;
	}
	if (n->n_deps == n->cap_deps) {
		size_t cap = n->cap_deps ? n->cap_deps * 2 : 4;
		struct node **deps = realloc(n->deps, cap * sizeof(struct node *));

		if (!deps)
			return -ENOMEM;
		n->deps = deps;
		n->cap_deps = cap;
	}
	n->deps[n->n_deps++] = dep;
	return 0;
}

/* "a.b.c" when x is nothing but that; false otherwise. */
static bool dotted(const struct ast_expr *x, char *to, size_t size)
{
	const char *parts[MAX_PARTS];
	size_t n_parts = 0, n = 0;

	if (x->height > MAX_PARTS)
		return false;
	for (; x->kind == AST_ACCESS; x = x->left)
		parts[n_parts++] = x->name;
	if (x->kind != AST_IDENT)
		return false;
	parts[n_parts++] = x->name;
	while (n_parts--) {
		size_t len = strlen(parts[n_parts]);

		if (n + len + 2 > size)
			return false;
		if (n)
			to[n++] = '.';
		memcpy(to + n, parts[n_parts], len);
		n += len;
	}
	to[n] = '\0';
	return true;
}

/* What expressions can refer to. */
static bool has_value(const struct node *n)
{
	switch (n->kind) {
	case NODE_COMPONENT:
		return !n->type->import;
	case NODE_CUSTOM:
	case NODE_ARGUMENT:
	case NODE_ITEM:
	case NODE_IGNORED:
	case NODE_UNKNOWN:
		return true;
	case NODE_INPUT:
	case NODE_EXPORT:
	case NODE_FOREACH:
	case NODE_DECLARE:
		return false;
	}
	return false;
}

struct node *scope_find(const struct plan *p, const struct module *m, const struct ast_expr *x)
{
	char id[GRAPH_MAX_ID + 1];

	for (; m; m = m->around) {
		size_t n = strlen(m->id);
		struct node *found;

		if (n + 2 > sizeof(id))
			continue;
		memcpy(id, m->id, n);
		if (n)
			id[n++] = '/';
		if (!dotted(x, id + n, sizeof(id) - n))
			return NULL;
		found = plan_find(p, id);
		if (found && has_value(found))
			return found;
	}
	return NULL;
}

int scope_lookup(const struct ast_expr *x, struct eval *e, struct value **ret)
{
	const struct node *n = e->data, *found = scope_find(n->graph->plan, n->module, x);
	struct value *v;

	if (!found && x->kind == AST_IDENT && !strcmp(x->name, MODULE_PATH)) {
		*ret = value_cstr(n->module->unit->dir);
		return *ret ? 0 : -ENOMEM;
	}
	if (!found)
		return -ENOENT;
	v = node_value(found);
	if (!v)
		return eval_fail(e, x, "%s has nothing to refer to", found->id);
	*ret = value_ref(v);
	return 0;
}

static void report_unresolved(struct node *n, const struct ast_expr *x, const char *root,
			      struct diag_list *d)
{
	struct span span = {n->source, x->start, x->end};
	char name[512];

	n->bad = true;
	if (x->kind == AST_IDENT) {
		diag_add(d, DIAG_ERROR, span, "identifier \"%s\" does not exist", root);
		diag_help(d, "text is written in double quotes: \"%s\"", root);
		return;
	}
	if (!dotted(x, name, sizeof(name)))
		(void)snprintf(name, sizeof(name), "%.200s...", root);
	diag_add(d, DIAG_ERROR, span, "component \"%s\" does not exist or is out of scope", name);
}

/* x is the outermost part of a traversal; the longest part of it that names a node counts. */
static int resolve_traversal(struct plan *p, struct node *n, const struct ast_expr *x,
			     struct diag_list *d)
{
	const struct ast_expr *e = x;
	struct node *found = scope_find(p, n->module, e);

	while (!found && e->kind == AST_ACCESS) {
		e = e->left;
		found = scope_find(p, n->module, e);
	}
	if (found)
		return node_depend(n, found);
	if (!stdlib_has(e->name) && strcmp(e->name, MODULE_PATH) != 0)
		report_unresolved(n, x, e->name, d);
	return 0;
}

static int resolve_expr(struct plan *p, struct node *n, const struct ast_expr *x,
			struct diag_list *d)
{
	const struct ast_expr *root = x;
	int r = 0;

	while (root->kind == AST_ACCESS)
		root = root->left;
	if (root->kind == AST_IDENT)
		return resolve_traversal(p, n, x, d);
	if (x->left)
		r = resolve_expr(p, n, x->left, d);
	if (r >= 0 && x->right)
		r = resolve_expr(p, n, x->right, d);
	for (const struct ast_expr *i = x->first; i && r >= 0; i = i->next)
		r = resolve_expr(p, n, i, d);
	return r;
}

static int resolve_body(struct plan *p, struct node *n, const struct ast_body *body, bool blocks,
			struct diag_list *d)
{
	for (const struct ast_stmt *s = body->first; s; s = s->next) {
		int r = 0;

		if (!s->is_block)
			r = resolve_expr(p, n, s->value, d);
		else if (blocks)
			r = resolve_body(p, n, &s->body, true, d);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool has_expressions(const struct node *n)
{
	return n->kind == NODE_COMPONENT || n->kind == NODE_INPUT || n->kind == NODE_ARGUMENT ||
	       n->kind == NODE_EXPORT || n->kind == NODE_FOREACH;
}

static int add_users(struct plan *p)
{
	for (size_t i = 0; i < p->n_nodes; i++) {
		for (size_t k = 0; k < p->nodes[i]->n_deps; k++)
			p->nodes[i]->deps[k]->n_users++;
	}
	for (size_t i = 0; i < p->n_nodes; i++) {
		struct node *n = p->nodes[i];

		n->users = calloc(MAX(n->n_users, 1u), sizeof(struct node *));
		if (!n->users)
			return -ENOMEM;
		n->n_users = 0;
	}
	for (size_t i = 0; i < p->n_nodes; i++) {
		for (size_t k = 0; k < p->nodes[i]->n_deps; k++) {
			struct node *dep = p->nodes[i]->deps[k];

			dep->users[dep->n_users++] = p->nodes[i];
		}
	}
	return 0;
}

int plan_resolve(struct plan *p, struct diag_list *d)
{
	for (size_t i = 0; i < p->n_nodes; i++) {
		struct node *n = p->nodes[i];
		int r = 0;

		if (has_expressions(n))
			r = resolve_body(p, n, &n->block->body, n->kind == NODE_COMPONENT, d);
		if (r < 0)
			return r;
	}
	return add_users(p);
}
