/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks to nodes, traversals to edges, edges to an order. */
#include "agent/config/graph.h"

#include <errno.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/config/graph_internal.h"
#include "agent/config/stdlib.h"

#define MAX_PARTS 32 /* of a component's name with its label */

/* Telemetry that is not profiling. People keep one file for all of it; theirs is skipped. */
static const char *const other_families[] = {
	"prometheus.", "loki.", "otelcol.", "beyla.", "mimir.", "faro.", "database_observability.",
};

/* Profiling parts of the language that other versions have. */
static const char *const known_later[] = {
	"argument", "declare", "discovery.", "export",	"foreach",
	"import.",  "local.",  "pyroscope.", "remote.", "remotecfg",
};

static bool has_prefix(const char *name, const char *const *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

static const struct component_type *find_type(const struct graph *g, const char *name)
{
	for (size_t i = 0; i < g->env->n_types; i++) {
		if (!strcmp(g->env->types[i]->name, name))
			return g->env->types[i];
	}
	return NULL;
}

static struct span header(const struct source *source, const struct ast_stmt *s)
{
	return (struct span){source, s->start, s->header_end};
}

static void report_unknown(const struct source *source, const struct ast_stmt *s,
			   struct diag_list *d)
{
	diag_add(d, DIAG_ERROR, header(source, s),
		 "cannot find the definition of component name \"%s\"", s->name);
	if (has_prefix(s->name, known_later, ARRAY_SIZE(known_later)))
		diag_help(d, "this version does not have it yet");
}

/* Checks what depends on the name and label only; NULL when it is no component of ours. */
static const struct component_type *check_block(const struct graph *g, const struct source *source,
						const struct ast_stmt *s, bool *ret_ignored,
						struct diag_list *d)
{
	const struct component_type *type = find_type(g, s->name);

	*ret_ignored = false;
	if (!type && has_prefix(s->name, other_families, ARRAY_SIZE(other_families))) {
		diag_add(d, DIAG_WARNING, header(source, s),
			 "\"%s\" is ignored: not a profiling component", s->name);
		*ret_ignored = true;
		return NULL;
	}
	if (!type) {
		report_unknown(source, s, d);
		return NULL;
	}
	if (type->singleton && s->label) {
		diag_add(d, DIAG_ERROR, header(source, s),
			 "block \"%s\" does not support specifying labels", s->name);
		return NULL;
	}
	if (!type->singleton && !s->label) {
		diag_add(d, DIAG_ERROR, header(source, s), "component \"%s\" must have a label",
			 s->name);
		diag_help(d, "write: %s \"name\" { ... }", s->name);
		return NULL;
	}
	return type;
}

static int instance_new(struct node *n, const struct component_type *type)
{
	struct component *c = calloc(1, type->size);
	int r;

	if (!c)
		return -ENOMEM;
	n->component = c;
	c->type = type;
	c->env = n->graph->env;
	c->id = n->id;
	c->node = n;
	c->health = HEALTH_UNKNOWN;
	c->args = calloc(1, MAX(type->schema->size, 1u));
	if (!c->args)
		return -ENOMEM;
	r = schema_init(type->schema, c->args);
	return r < 0 || !type->init ? r : type->init(c);
}

/* The node of a new id; *ret is the one that is there when the id is taken. */
static int node_new(struct graph *g, const char *id, const struct source *source,
		    const struct ast_stmt *s, struct node **ret)
{
	struct node *n, **nodes;
	uint32_t k;

	(void)intern_str(&g->ids, "");
	k = intern_str(&g->ids, id);
	if (k == INTERN_INVALID)
		return -ENOMEM;
	if (k <= g->n_nodes) {
		*ret = g->nodes[k - 1];
		return -EEXIST;
	}
	nodes = realloc(g->nodes, (g->n_nodes + 1) * sizeof(struct node *));
	if (!nodes)
		return -ENOMEM;
	g->nodes = nodes;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	*n = (struct node){.graph = g, .id = intern_get(&g->ids, k), .source = source, .block = s};
	g->nodes[g->n_nodes++] = n;
	*ret = n;
	return 0;
}

static int declare(struct graph *g, const struct source *source, const struct ast_stmt *s,
		   struct diag_list *d)
{
	const struct component_type *type;
	_cleanup_free_ char *id = NULL;
	struct node *n = NULL;
	bool ignored;
	int r;

	if (!s->is_block) {
		diag_add(d, DIAG_ERROR, (struct span){source, s->start, s->end},
			 "unrecognized attribute %s", s->name);
		diag_help(d, "attributes belong into a block");
		return 0;
	}
	type = check_block(g, source, s, &ignored, d);
	if (asprintf(&id, "%s%s%s", s->name, s->label ? "." : "", s->label ? s->label : "") < 0) {
		id = NULL;
		return -ENOMEM;
	}
	r = node_new(g, id, source, s, &n);
	if (r == -EEXIST) {
		uint32_t line, col;

		source_position(n->source, n->block->start, &line, &col);
		if (type)
			diag_add(d, DIAG_ERROR, header(source, s),
				 "block %s already declared at %s:%u:%u", id, n->source->name, line,
				 col);
		return 0;
	}
	if (r < 0)
		return r;
	n->ignored = ignored;
	n->bad = !type;
	return type ? instance_new(n, type) : 0;
}

int graph_declare(struct graph *g, struct diag_list *d)
{
	for (size_t i = 0; i < g->n_files; i++) {
		const struct ast_file *f = g->files[i];

		for (const struct ast_stmt *s = f->body.first; s; s = s->next) {
			int r;

			if (g->n_nodes >= GRAPH_MAX_COMPONENTS) {
				diag_add(d, DIAG_ERROR, header(f->source, s),
					 "more than %d components", GRAPH_MAX_COMPONENTS);
				return 0;
			}
			r = declare(g, f->source, s, d);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int add_dep(struct node *n, struct node *dep)
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

static struct node *lookup(struct graph *g, const char *id, size_t len)
{
	uint32_t k, before = (uint32_t)g->ids.n_strings;
	char name[512];

	if (len >= sizeof(name))
		return NULL;
	memcpy(name, id, len);
	name[len] = '\0';
	/* Interning would add unknown names; compare against the hash first. */
	if (hash_get(&g->ids.by_hash, hash_bytes(name, len)) == HASH_NONE)
		return NULL;
	k = intern_str(&g->ids, name);
	return k && k < before && k <= g->n_nodes ? g->nodes[k - 1] : NULL;
}

static void report_unresolved(struct node *n, const struct ast_expr *x, const char *name,
			      struct diag_list *d)
{
	struct span span = {n->source, x->start, x->end};

	n->bad = true;
	if (!strchr(name, '.'))
		diag_add(d, DIAG_ERROR, span, "identifier \"%s\" does not exist", name);
	else
		diag_add(d, DIAG_ERROR, span, "component \"%s\" does not exist or is out of scope",
			 name);
	if (!strchr(name, '.'))
		diag_help(d, "text is written in double quotes: \"%s\"", name);
}

/* x is the outermost part of a traversal a.b.c; marks the part of it that names a node. */
static int resolve_traversal(struct node *n, struct ast_expr *x, struct diag_list *d)
{
	_cleanup_buf_ struct buf name = BUF_INIT(64u << 10);
	struct ast_expr *parts[MAX_PARTS], *e = x;
	size_t n_parts = 0, ends[MAX_PARTS], found_at = 0;
	struct node *found = NULL;

	/* Only the innermost parts can name a component; what lies further out is a field. */
	for (; e->kind == AST_ACCESS; e = e->left)
		parts[n_parts++ % MAX_PARTS] = e;
	parts[n_parts++ % MAX_PARTS] = e;
	for (size_t i = 0; i < MIN(n_parts, MAX_PARTS); i++) {
		buf_printf(&name, "%s%s", i ? "." : "", parts[(n_parts - 1 - i) % MAX_PARTS]->name);
		ends[i] = name.len;
	}
	if (name.failed)
		return name.failed;
	for (size_t i = MIN(n_parts, MAX_PARTS); i > 0 && !found; i--) {
		found = lookup(n->graph, buf_cstr(&name), ends[i - 1]);
		found_at = n_parts - i;
	}
	if (found) {
		/* What an ignored component exports is unknown: the whole traversal stands for it.
		 */
		(found->ignored ? x : parts[found_at % MAX_PARTS])->ref = found;
		return found->ignored ? 0 : add_dep(n, found);
	}
	if (!stdlib_has(e->name))
		report_unresolved(n, x, buf_cstr(&name), d);
	return 0;
}

static int resolve_expr(struct node *n, struct ast_expr *x, struct diag_list *d)
{
	const struct ast_expr *root = x;
	int r = 0;

	while (root->kind == AST_ACCESS)
		root = root->left;
	if (root->kind == AST_IDENT)
		return resolve_traversal(n, x, d);
	if (x->left)
		r = resolve_expr(n, x->left, d);
	if (r >= 0 && x->right)
		r = resolve_expr(n, x->right, d);
	for (struct ast_expr *i = x->first; i && r >= 0; i = i->next)
		r = resolve_expr(n, i, d);
	return r;
}

static int resolve_body(struct node *n, const struct ast_body *body, struct diag_list *d)
{
	for (const struct ast_stmt *s = body->first; s; s = s->next) {
		int r = s->is_block ? resolve_body(n, &s->body, d) : resolve_expr(n, s->value, d);

		if (r < 0)
			return r;
	}
	return 0;
}

int graph_resolve(struct graph *g, struct diag_list *d)
{
	for (size_t i = 0; i < g->n_nodes; i++) {
		struct node *n = g->nodes[i];
		int r = n->component ? resolve_body(n, &n->block->body, d) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

enum { MARK_NEW, MARK_OPEN, MARK_DONE };

static void report_cycle(struct graph *g, struct node **path, size_t n, struct node *again,
			 struct diag_list *d)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64u << 10);
	size_t first = n - 1;

	while (path[first] != again)
		first--;
	for (size_t i = first; i < n; i++) {
		path[i]->bad = true;
		buf_printf(&text, "%s%s", i > first ? ", " : "", path[i]->id);
	}
	diag_add(d, DIAG_ERROR, header(again->source, again->block), "%s: %s",
		 n - first == 1 ? "self reference" : "cycle", buf_cstr(&text));
}

/* Depth first; `path` has room for every node. */
static void visit(struct graph *g, struct node *n, struct node **path, size_t depth,
		  struct diag_list *d)
{
	n->mark = MARK_OPEN;
	path[depth] = n;
	for (size_t i = 0; i < n->n_deps; i++) {
		if (n->deps[i]->mark == MARK_NEW)
			visit(g, n->deps[i], path, depth + 1, d);
		else if (n->deps[i]->mark == MARK_OPEN)
			report_cycle(g, path, depth + 1, n->deps[i], d);
	}
	n->mark = MARK_DONE;
	g->order[g->n_order++] = n;
}

int graph_sort(struct graph *g, struct diag_list *d)
{
	_cleanup_free_ struct node **path = calloc(MAX(g->n_nodes, 1u), sizeof(struct node *));

	g->order = calloc(MAX(g->n_nodes, 1u), sizeof(struct node *));
	if (!path || !g->order)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_nodes; i++) {
		if (g->nodes[i]->mark == MARK_NEW)
			visit(g, g->nodes[i], path, 0, d);
	}
	return 0;
}
