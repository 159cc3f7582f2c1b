/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks to nodes. What makes modules is in graph_module.c. */
#include <errno.h>
#include <string.h>

#include "agent/config/graph_internal.h"

/* Telemetry that is not profiling. People keep one file for all of it; theirs is skipped. */
static const char *const other_families[] = {
	"prometheus.", "loki.", "otelcol.", "beyla.", "mimir.", "faro.", "database_observability.",
};

/* Profiling parts of the language that other versions have. */
static const char *const known_later[] = {
	"discovery.", "local.", "pyroscope.", "remote.", "remotecfg",
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

struct span stmt_header(const struct source *source, const struct ast_stmt *s)
{
	return (struct span){source, s->start, s->header_end};
}

struct span node_header(const struct node *n)
{
	return stmt_header(n->source, n->block);
}

bool node_is_import(const struct node *n)
{
	return n->kind == NODE_COMPONENT && n->type->import;
}

struct node *plan_find(const struct plan *p, const char *id)
{
	uint32_t k = intern_find(&p->ids, id, strlen(id));

	return k && k <= p->n_nodes ? p->nodes[k - 1] : NULL;
}

int plan_node(struct plan *p, struct module *m, enum node_kind kind, const char *name,
	      const struct source *source, const struct ast_stmt *s, struct node **ret)
{
	_cleanup_free_ char *id = NULL;
	struct node *n, **nodes;
	uint32_t k;

	if (asprintf(&id, "%s%s%s", m->id, *m->id ? "/" : "", name) < 0) {
		id = NULL;
		return -ENOMEM;
	}
	*ret = plan_find(p, id);
	if (*ret)
		return -EEXIST;
	if (strlen(id) > GRAPH_MAX_ID)
		return -E2BIG;
	(void)intern_str(&p->ids, "");
	nodes = realloc(p->nodes, (p->n_nodes + 1) * sizeof(struct node *));
	if (!nodes)
		return -ENOMEM;
	p->nodes = nodes;
	n = calloc(1, sizeof(*n));
	k = n ? intern_str(&p->ids, id) : INTERN_INVALID;
	if (k == INTERN_INVALID) {
		free(n);
		return -ENOMEM;
	}
	*n = (struct node){.kind = kind,
			   .graph = p->graph,
			   .module = m,
			   .id = intern_get(&p->ids, k),
			   .source = source,
			   .block = s,
			   .dirty = true};
	p->nodes[p->n_nodes++] = n;
	*ret = n;
	return 0;
}

int plan_module(struct plan *p, const char *id, struct module **ret)
{
	struct module *m, **modules = realloc(p->modules, (p->n_modules + 1) * sizeof(*modules));

	if (!modules)
		return -ENOMEM;
	p->modules = modules;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->id = strdup(id);
	if (!m->id) {
		free(m);
		return -ENOMEM;
	}
	p->modules[p->n_modules++] = m;
	*ret = m;
	return 0;
}

static void report_unknown(const struct source *source, const struct ast_stmt *s,
			   struct diag_list *d)
{
	diag_add(d, DIAG_ERROR, stmt_header(source, s),
		 "cannot find the definition of component name \"%s\"", s->name);
	if (has_prefix(s->name, known_later, ARRAY_SIZE(known_later)))
		diag_help(d, "this version does not have it yet");
}

bool stability_allows(const struct graph *g, enum stability level, const struct source *source,
		      const struct ast_stmt *s, struct diag_list *d)
{
	enum stability least = g->env->stability;

	if (level <= least)
		return true;
	diag_add(d, DIAG_ERROR, stmt_header(source, s),
		 "component \"%s\" is at stability level \"%s\", which is below the minimum "
		 "allowed stability level \"%s\". Use --stability.level command-line flag to "
		 "enable \"%s\" features",
		 s->name, stability_name(level), stability_name(least), stability_name(level));
	return false;
}

/* Checks what depends on the name and label only. */
static bool check_component(const struct graph *g, const struct module *m,
			    const struct component_type *type, const struct source *source,
			    const struct ast_stmt *s, struct diag_list *d)
{
	if (type->singleton && s->label) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "block \"%s\" does not support specifying labels", s->name);
		return false;
	}
	if (type->singleton && *m->id) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "%s blocks are not allowed inside a module", s->name);
		return false;
	}
	if (!type->singleton && !s->label) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "component \"%s\" must have a label", s->name);
		diag_help(d, "write: %s \"name\" { ... }", s->name);
		return false;
	}
	return stability_allows(g, type->stability, source, s, d);
}

/* Reports what plan_node() refused; -ENOMEM only. */
int plan_refused(int r, const struct node *there, const struct source *source,
		 const struct ast_stmt *s, struct diag_list *d)
{
	uint32_t line, col;

	if (r == -E2BIG) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "the name is too long with those of its modules (%d bytes)", GRAPH_MAX_ID);
	} else if (r == -EEXIST) {
		source_position(there->source, there->block->start, &line, &col);
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "block %s already declared at %s:%u:%u", there->id, there->source->name,
			 line, col);
	}
	return r == -ENOMEM ? r : 0;
}

static int add_component(struct plan *p, struct module *m, const struct component_type *type,
			 const struct source *source, const struct ast_stmt *s, struct diag_list *d)
{
	bool ok = check_component(p->graph, m, type, source, s, d);
	_cleanup_free_ char *name = NULL;
	struct node *n = NULL;
	int r;

	if (asprintf(&name, "%s%s%s", s->name, s->label ? "." : "", s->label ? s->label : "") < 0) {
		name = NULL;
		return -ENOMEM;
	}
	r = plan_node(p, m, ok ? NODE_COMPONENT : NODE_UNKNOWN, name, source, s, &n);
	if (r < 0)
		return ok ? plan_refused(r, n, source, s, d) : r == -ENOMEM ? r : 0;
	n->type = type;
	return ok && type->import ? module_import(p, n, d) : 0;
}

/* Neither a component of ours nor a custom one. */
static int add_other(struct plan *p, struct module *m, bool unknown, const struct source *source,
		     const struct ast_stmt *s, struct diag_list *d)
{
	bool other = has_prefix(s->name, other_families, ARRAY_SIZE(other_families));
	_cleanup_free_ char *name = NULL;
	struct node *n;
	int r;

	if (unknown && other)
		diag_add(d, DIAG_WARNING, stmt_header(source, s),
			 "\"%s\" is ignored: not a profiling component", s->name);
	else if (unknown)
		report_unknown(source, s, d);
	if (asprintf(&name, "%s%s%s", s->name, s->label ? "." : "", s->label ? s->label : "") < 0) {
		name = NULL;
		return -ENOMEM;
	}
	r = plan_node(p, m, unknown && other ? NODE_IGNORED : NODE_UNKNOWN, name, source, s, &n);
	return r == -ENOMEM ? r : 0;
}

static int add_block(struct plan *p, struct module *m, const struct source *source,
		     const struct ast_stmt *s, struct diag_list *d)
{
	const struct component_type *type = find_type(p->graph, s->name);
	struct node *declare = NULL;
	int r;

	if (!strcmp(s->name, "argument") || !strcmp(s->name, "export"))
		return module_argument(p, m, source, s, d);
	if (!strcmp(s->name, "foreach"))
		return module_foreach(p, m, source, s, d);
	if (type)
		return add_component(p, m, type, source, s, d);
	r = module_find_custom(p, m, s->name, &declare);
	if (!r && declare)
		return module_instance(p, m, source, s, declare, d);
	return add_other(p, m, r == -ENOENT, source, s, d);
}

bool plan_has_room(struct plan *p, const struct source *source, const struct ast_stmt *s,
		   struct diag_list *d)
{
	if (p->n_nodes < GRAPH_MAX_COMPONENTS)
		return true;
	if (!p->full)
		diag_add(d, DIAG_ERROR, stmt_header(source, s), "more than %d components",
			 GRAPH_MAX_COMPONENTS);
	p->full = true;
	return false;
}

/* What others in the same module may use comes in the first pass, whatever the order. */
static int add_statement(struct plan *p, struct module *m, const struct source *source,
			 const struct ast_stmt *s, int pass, struct diag_list *d)
{
	bool declare = s->is_block && !strcmp(s->name, "declare");
	bool import = s->is_block && !strncmp(s->name, "import.", strlen("import."));

	if ((declare || import) != !pass)
		return 0;
	if (!plan_has_room(p, source, s, d))
		return 0;
	if (!s->is_block) {
		diag_add(d, DIAG_ERROR, (struct span){source, s->start, s->end},
			 "unrecognized attribute %s", s->name);
		diag_help(d, "attributes belong into a block");
		return 0;
	}
	if (pass && m->import) {
		diag_add(d, DIAG_ERROR, stmt_header(source, s),
			 "only declare and import blocks are allowed in a module that is imported, "
			 "got %s",
			 s->name);
		return 0;
	}
	return declare ? module_declare(p, m, source, s, d) : add_block(p, m, source, s, d);
}

static int add_pass(struct plan *p, struct module *m, const struct source *source,
		    const struct ast_body *body, int pass, struct diag_list *d)
{
	int r = 0;

	for (const struct ast_stmt *s = body->first; s && r >= 0; s = s->next)
		r = add_statement(p, m, source, s, pass, d);
	return r;
}

int plan_body(struct plan *p, struct module *m, const struct source *source,
	      const struct ast_body *body, struct diag_list *d)
{
	int r = add_pass(p, m, source, body, 0, d);

	return r < 0 ? r : add_pass(p, m, source, body, 1, d);
}

int plan_text(struct plan *p, struct module *m, const struct unit *u, struct diag_list *d)
{
	int r = 0;

	m->unit = u;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < u->n_files && r >= 0; i++)
			r = add_pass(p, m, u->files[i]->source, &u->files[i]->body, pass, d);
	}
	return r;
}

int plan_new(struct graph *g, struct unit *u, struct diag_list *d, struct plan **ret)
{
	struct plan *p = calloc(1, sizeof(*p));
	struct module *top;
	int r;

	if (!p)
		return -ENOMEM;
	p->graph = g;
	p->unit = unit_ref(u);
	r = plan_module(p, "", &top);
	if (r >= 0)
		r = plan_text(p, top, u, d);
	if (r >= 0)
		r = plan_resolve(p, d);
	if (r >= 0)
		r = plan_sort(p, d);
	if (r < 0) {
		plan_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct plan *plan_free(struct plan *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_nodes; i++)
		node_release(p->nodes[i]);
	for (size_t i = 0; i < p->n_nodes; i++) {
		node_done(p->nodes[i]);
		free(p->nodes[i]);
	}
	for (size_t i = 0; i < p->n_modules; i++) {
		free(p->modules[i]->id);
		free(p->modules[i]);
	}
	unit_unref(p->unit);
	intern_done(&p->ids);
	free(p->nodes);
	free(p->modules);
	free(p->order);
	free(p);
	return NULL;
}
