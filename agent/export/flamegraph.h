/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flame graph as one file that needs nothing else: an HTML page, or an SVG that is a readable
 * static picture where scripts do not run and the same interactive page where they do. Nothing is
 * ever loaded from a network; every name of the profile is data, never markup.
 */
#pragma once

#include "agent/export/profile.h"

#define FLAMEGRAPH_NODES_MAX 100000u

struct flamegraph_options {
	const char *title; /* NULL: "tephra" */
	size_t max_nodes;  /* more are merged into "[smaller frames]"; 0: FLAMEGRAPH_NODES_MAX */
};

/* o may be NULL. 0, -ENOMEM, -E2BIG, or -EIO when the stream failed. */
int flamegraph_html(const struct profile *p, const struct flamegraph_options *o, FILE *f);
int flamegraph_svg(const struct profile *p, const struct flamegraph_options *o, FILE *f);
