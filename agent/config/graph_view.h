/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct graph_view: one node of the graph as a person sees it: components, top-level settings,
 * imports and instances of custom components. Everything is borrowed from the graph and valid
 * until the event loop turns; views change nothing.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/graph.h"

struct graph_view {
	const char *id;			   /* unique: "p.one/pyroscope.ebpf.e" */
	const char *module;		   /* "p.one"; "" at the top */
	const char *name, *label;	   /* "pyroscope.ebpf", "e" ("": none) */
	const struct component *component; /* NULL: an instance of a custom component */
	/* The worst of: does it run, could it be evaluated, what does it say of itself. */
	enum health health;
	const char *health_text;
	uint64_t health_ms; /* when it changed, CLOCK_REALTIME */
	uint64_t
		evaluated_ms; /* when its arguments were evaluated last, CLOCK_REALTIME; 0: never */
	uint64_t evaluation_ns; /* how long that took, with building or updating */
	const struct node *node;
};

/* The first with *cursor 0; in order of evaluation. False: there are no more. */
bool graph_view_next(const struct graph *g, size_t *cursor, struct graph_view *ret);
bool graph_view_find(const struct graph *g, const char *id, struct graph_view *ret);
/* Ids of the i-th node that it refers to, or that refers to it; NULL beyond the last. */
const char *graph_view_to(const struct graph_view *v, size_t i);
const char *graph_view_from(const struct graph_view *v, size_t i);
/* New references; secrets are capsules. NULL without memory; an empty object when there are none.
 */
struct value *graph_view_arguments(const struct graph_view *v);
struct value *graph_view_exports(const struct graph_view *v);
struct value *graph_view_debug_info(const struct graph_view *v);
/* Appends the text of the main configuration that is in force. */
void graph_view_text(const struct graph *g, struct buf *b);
/* "healthy", "unhealthy", "unknown", "exited". */
const char *health_name(enum health h);
