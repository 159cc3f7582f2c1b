/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct graph: the components of a configuration, in the order of their references. Loading
 * parses, resolves, checks for cycles, and evaluates and builds each component after those it
 * refers to; everything wrong is reported in one go. While it runs, changed exports go through the
 * graph, what fails is tried again, and the whole text can be exchanged.
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

/*
 * Reads the same paths again (standard input: what was read then; text: the same text) and makes
 * the graph agree with them. 0; or a negative errno with errors in d, see diag_summary():
 *  - does not parse, an unknown component or reference, a cycle, a name twice: nothing changes;
 *  - a component that cannot be evaluated: the rest is applied, it keeps its last arguments and is
 *    unhealthy, and a new one is tried again.
 * Components with unchanged arguments are not touched; those that are gone are stopped, dependants
 * first, and finish what they hold. d points into the graph until its next (re)load.
 */
int graph_reload(struct graph *g, struct diag_list *d);
int graph_reload_text(struct graph *g, const char *name, const char *text, size_t len,
		      struct diag_list *d);

/*
 * Starts all components, dependencies first. One that cannot be started is tried again with a
 * growing pause; but when none of those that make profiles could, that is the end: the first
 * negative errno (all are logged).
 */
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
