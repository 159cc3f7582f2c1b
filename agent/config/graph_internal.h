/* SPDX-License-Identifier: Apache-2.0 */
/* What loading, evaluating and running the graph share. */
#pragma once

#include "agent/base/intern.h"
#include "agent/config/graph.h"
#include "agent/config/parser.h"

struct node {
	struct graph *graph; /* borrowed */
	const char *id;	     /* borrowed: interned in graph->ids */
	const struct source *source;
	const struct ast_stmt *block;
	struct component *component; /* NULL when it is ignored or unknown */
	struct node **deps;	     /* borrowed nodes; the array is owned */
	size_t n_deps, cap_deps;
	uint8_t mark; /* of the search for cycles */
	bool ignored; /* belongs to other telemetry */
	bool bad;     /* an error has been reported: do not evaluate */
	bool built, started;
	bool dirty; /* something it refers to has changed */
};

struct graph {
	const struct component_env *env; /* borrowed */
	struct ast_file **files;
	struct source **broken; /* sources that did not parse, kept for their diagnostics */
	size_t n_files, n_broken;
	struct intern ids; /* id n (from 1) is the name of nodes[n - 1] */
	struct node **nodes;
	size_t n_nodes;
	struct node **order; /* borrowed nodes, dependencies first */
	size_t n_order;
	struct value *ignored;	   /* what references to ignored components give */
	struct loop_source *timer; /* evaluates dirty nodes */
	bool ok, started;
};

/* graph_load.c: the files. Reports to d; -ENOMEM only. */
int graph_read(struct graph *g, const char *path, struct diag_list *d);
int graph_add_source(struct graph *g, struct source *s, struct diag_list *d);
/* graph.c: nodes, references and order. Report to d; -ENOMEM only. */
int graph_declare(struct graph *g, struct diag_list *d);
int graph_resolve(struct graph *g, struct diag_list *d);
int graph_sort(struct graph *g, struct diag_list *d);
/* graph_run.c: evaluates and builds everything in order. -ENOMEM only. */
int graph_evaluate(struct graph *g, struct diag_list *d);
