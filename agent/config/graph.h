/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct graph: the components of a configuration, in the order of their references. Loading
 * parses, resolves, checks for cycles, and evaluates and builds each component after those it
 * refers to; everything wrong is reported in one go. Reloading is not here yet.
 */
#pragma once

#include "agent/config/component.h"

#define GRAPH_MAX_COMPONENTS 10000

struct graph;

/*
 * Each path is a file, or a directory whose *.alloy files (not those of sub-directories) are
 * taken in the order of their names. env must outlive the graph. 0: *ret is a graph, whether or
 * not d has errors, as d points into its sources: free it after d is printed, and run it only
 * when graph_ok(). A negative errno (-ENOMEM): no graph.
 */
int graph_load(const char *const *paths, size_t n, const struct component_env *env,
	       struct diag_list *d, struct graph **ret);
/* The same for text in memory. */
int graph_load_text(const char *name, const char *text, size_t len, const struct component_env *env,
		    struct diag_list *d, struct graph **ret);
struct graph *graph_free(struct graph *g);
DEFINE_CLEANUP(struct graph *, graph_free)
/* Whether everything was evaluated without an error. */
bool graph_ok(const struct graph *g);

/* Starts all components, dependencies first. A negative errno when one fails (logged). */
int graph_start(struct graph *g);
/* In reverse order: who makes profiles hands over the last ones to who sends them. */
void graph_stop(struct graph *g);
/*
 * After graph_stop(): asks for queued work to be finished and runs the loop until it is,
 * timeout_ms have passed, or *abort is true (NULL: never). 0, or -ETIME with work left, which
 * graph_free() then drops.
 */
int graph_drain(struct graph *g, uint64_t timeout_ms, const bool *abort);

/* The component after `prev` (NULL: the first) of that type, or NULL. In order of evaluation. */
struct component *graph_next(const struct graph *g, const struct component_type *type,
			     const struct component *prev);
