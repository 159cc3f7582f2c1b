/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What planning, evaluating and running the graph share. A plan is what the text says: nodes, their
 * modules, references and order; it is made without touching what runs, and dropped when the text
 * is wrong. Committing it moves the running components, by id and type, from the old plan's nodes
 * to its own. Modules are expanded in place: one plan has the nodes of all of them, so that a
 * change goes through all modules in one pass.
 */
#pragma once

#include "agent/base/intern.h"
#include "agent/config/graph.h"
#include "agent/config/parser.h"

#define GRAPH_MAX_DEPTH	 32   /* modules within modules */
#define GRAPH_MAX_ID	 1000 /* bytes of a node's id */
#define GRAPH_MAX_ROUNDS 16   /* plans until the imports are settled */

/* ---- graph_unit.c: parsed texts ---- */

/* The parsed texts of one configuration or of one import. */
struct unit {
	uint32_t refs;
	struct ast_file **files;
	struct source **broken; /* those that did not parse, kept for their diagnostics */
	size_t n_files, n_broken;
	char *dir;	     /* what module_path is */
	struct value *texts; /* of an import: what it was made from */
};

int unit_new(struct unit **ret);
struct unit *unit_ref(struct unit *u);
struct unit *unit_unref(struct unit *u);
DEFINE_CLEANUP(struct unit *, unit_unref)
/* Takes s. Reports to d what does not parse; -ENOMEM only. */
int unit_add(struct unit *u, struct source *s, struct diag_list *d);
/* Reads files and directories; as unit_add(). "-" is the standard input. */
int unit_read(struct unit *u, const char *const *paths, size_t n, struct diag_list *d);
/* From what an import exports, {files = [{name, text}], dir}; outer is module_path without dir. */
int unit_parse(struct unit *u, const char *name, struct value *exports, const char *outer,
	       struct diag_list *d);

/* ---- nodes ---- */

enum node_kind {
	NODE_COMPONENT, /* also settings and imports */
	NODE_CUSTOM,	/* an instance of a custom component; its value: what the module exports */
	NODE_INPUT,	/* its other half; the value: what it was given */
	NODE_ARGUMENT,	/* argument "x" of a module; value: {value} */
	NODE_EXPORT,	/* export "x" of a module; value: what it exports */
	NODE_FOREACH,	/* value: the collection as it is expanded */
	NODE_ITEM,	/* the variable of a foreach: one element */
	NODE_DECLARE,	/* never evaluated */
	NODE_IGNORED,	/* belongs to other telemetry */
	NODE_UNKNOWN,	/* reported, or its import has no text yet */
};

struct module;

struct node {
	enum node_kind kind;
	struct graph *graph;   /* borrowed */
	struct module *module; /* borrowed: it stands in this one */
	struct module *inner;  /* borrowed: of NODE_CUSTOM and imports what is in them */
	const char *id;	       /* borrowed: interned in plan->ids */
	const struct source *source;
	const struct ast_stmt *block;
	const struct component_type *type; /* of NODE_COMPONENT */
	struct node **deps, **users;	   /* borrowed nodes; the arrays are owned */
	size_t n_deps, cap_deps, n_users;
	uint8_t mark; /* of the search for cycles */
	bool bad;     /* an error has been reported: do not evaluate */

	/* What the next plan takes over. */
	struct component *component; /* owned */
	struct value *value;	     /* owned: what references give, but for NODE_COMPONENT */
	struct component **held; /* arguments or value come from what these export; see holders */
	size_t n_held;
	struct unit *unit,
		*latest;	  /* owned: an import's text in this plan, and the last good one */
	struct value *next_items; /* owned: of NODE_FOREACH, for the next plan */
	bool ready;		  /* has arguments or a value that may be used */
	bool built, started;
	bool dirty;	     /* something it refers to has changed */
	char *failure;	     /* why the last evaluation failed; NULL: it did not */
	char *start_failure; /* why it could not be started; NULL: nothing */
	uint64_t failure_ms, started_ms, evaluated_ms; /* CLOCK_REALTIME */
	uint64_t evaluation_ns;
	uint64_t retry_ms,
		backoff_ms; /* clock_ms() of the next attempt to build, update or start */
};

/* One set of names: the main configuration, an instance of a custom component, an import. */
struct module {
	char *id;		 /* owned; "" at the top; else the id of the node it belongs to */
	struct module *lexical;	 /* borrowed: where to look on for custom components; or NULL */
	struct module *around;	 /* borrowed: where to look on for values (foreach); or NULL */
	struct node *instance;	 /* borrowed: NODE_CUSTOM; NULL: none */
	struct node *input;	 /* borrowed: its NODE_INPUT */
	const struct node *made; /* borrowed: the NODE_DECLARE it is an instance of */
	const struct unit *unit; /* borrowed: where its text stands, for module_path */
	bool import;		 /* only declare and import blocks */
	uint32_t depth;
};

struct plan {
	struct graph *graph; /* borrowed */
	struct unit *unit;   /* owned: the main configuration */
	struct intern ids;   /* id n (from 1) is the name of nodes[n - 1] */
	struct node **nodes;
	size_t n_nodes;
	struct module **modules;
	size_t n_modules;
	struct node **order; /* borrowed nodes, dependencies first */
	size_t n_order;
	bool full; /* over GRAPH_MAX_COMPONENTS, reported */
};

/* A component that is in no plan any more but still has something to do. */
struct leaving {
	struct component *component; /* owned */
	struct component **held;
	size_t n_held;
	bool stopped;
	uint64_t end_ms; /* what it holds is dropped then */
};

struct graph {
	const struct component_env *env; /* borrowed */
	char **paths;
	size_t n_paths;
	struct plan *plan;	 /* the one in force */
	struct unit **old_units; /* kept for diagnostics that point into them */
	size_t n_old_units;
	struct leaving *leaving;
	size_t n_leaving;
	struct value *ignored;	   /* what references to ignored components give */
	struct loop_source *timer; /* evaluates dirty nodes */
	struct loop_source *later; /* tries again what failed, ends what leaves */
	uint64_t rest_until_ms;	   /* no evaluation before */
	bool ok, started, loading, reloading, replan, in_pass;
};

/* graph_plan.c */
int plan_new(struct graph *g, struct unit *u, struct diag_list *d, struct plan **ret);
struct plan *plan_free(struct plan *p);
DEFINE_CLEANUP(struct plan *, plan_free)
/* *ret is the node that is there when the id is taken (-EEXIST). */
int plan_node(struct plan *p, struct module *m, enum node_kind kind, const char *name,
	      const struct source *source, const struct ast_stmt *s, struct node **ret);
int plan_module(struct plan *p, const char *id, struct module **ret);
/* All statements of a body or of a text; report to d, -ENOMEM only. */
int plan_body(struct plan *p, struct module *m, const struct source *source,
	      const struct ast_body *body, struct diag_list *d);
int plan_text(struct plan *p, struct module *m, const struct unit *u, struct diag_list *d);
struct node *plan_find(const struct plan *p, const char *id);
struct span node_header(const struct node *n);
struct span stmt_header(const struct source *source, const struct ast_stmt *s);
bool node_is_import(const struct node *n);
/* Reports what plan_node() refused; -ENOMEM only. */
int plan_refused(int r, const struct node *there, const struct source *source,
		 const struct ast_stmt *s, struct diag_list *d);
/* Reports, once, when there are too many nodes for another one. */
bool plan_has_room(struct plan *p, const struct source *source, const struct ast_stmt *s,
		   struct diag_list *d);
/* Reports when a block of that level is not allowed. */
bool stability_allows(const struct graph *g, enum stability level, const struct source *source,
		      const struct ast_stmt *s, struct diag_list *d);

/* graph_module.c: what makes modules. */
int module_declare(struct plan *p, struct module *m, const struct source *source,
		   const struct ast_stmt *s, struct diag_list *d);
int module_import(struct plan *p, struct node *n, struct diag_list *d);
int module_argument(struct plan *p, struct module *m, const struct source *source,
		    const struct ast_stmt *s, struct diag_list *d);
int module_foreach(struct plan *p, struct module *m, const struct source *source,
		   const struct ast_stmt *s, struct diag_list *d);
/* Whether name is a custom component here: -ENOENT, or 0 with *ret (NULL: its import has no text
 * yet). */
int module_find_custom(const struct plan *p, struct module *m, const char *name, struct node **ret);
int module_instance(struct plan *p, struct module *m, const struct source *source,
		    const struct ast_stmt *s, struct node *declare, struct diag_list *d);

/* graph_resolve.c: references. */
int plan_resolve(struct plan *p, struct diag_list *d);
int node_depend(struct node *n, struct node *dep);
/* The node that x names as seen from m; NULL: none. */
struct node *scope_find(const struct plan *p, const struct module *m, const struct ast_expr *x);
/* For struct eval; data is the struct node whose expressions are evaluated. */
int scope_lookup(const struct ast_expr *x, struct eval *e, struct value **ret);

/* graph_sort.c: dependencies first. */
int plan_sort(struct plan *p, struct diag_list *d);

/* graph_node.c: one node. */
int node_instance(struct node *n);
void node_adopt(struct node *n, struct node *old);
/* Nobody is held any more: of all nodes before node_done() of the first. */
void node_release(struct node *n);
void node_done(struct node *n);
/* Evaluates, and builds or updates. Reports to d; -ENOMEM only. */
int node_evaluate(struct node *n, struct diag_list *d);
/* What references to it give, borrowed; NULL: nothing yet. */
struct value *node_value(const struct node *n);
void node_changed(struct node *n);
/* Its last evaluation, or that of its text, failed; logged when that is new. */
void node_failed(struct node *n, const char *text);
/* Starts it when it is due. A negative errno when that failed (logged); it is tried again. */
int node_start(struct node *n);
void node_retry_later(struct node *n);

/* graph_value.c: the nodes that are no components. */
int node_evaluate_value(struct node *n, struct diag_list *d);

/* graph_leave.c: components that go. */
int graph_leave(struct graph *g, struct component *c, struct component **held, size_t n_held);
void graph_sweep(struct graph *g);
void component_free(struct component *c);
void hold_release(struct component **held, size_t n);

/* graph_run.c */
/* Evaluates what is dirty, in order. -ENOMEM only. */
int graph_pass(struct graph *g, struct diag_list *d);
void graph_wake(struct graph *g);
/* Sweeps, and starts what is built and due. The first error, everything is tried. */
int graph_start_due(struct graph *g);
void graph_arm_later(struct graph *g);

/* graph_load.c */
void graph_bury(struct graph *g, struct unit *u);
void graph_unbury(struct graph *g);
/* Plans again as long as imports bring new text. -ENOMEM only. */
int graph_settle(struct graph *g, struct diag_list *d);
