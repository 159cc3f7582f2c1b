/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct tree: the samples of a profile merged from the root: each node is one frame reached by
 * one path, with its own and its inclusive weight. Node 0 is the root. Children are in the order
 * of falling weight, then of name, so that the same profile always gives the same picture.
 */
#pragma once

#include "agent/export/frames.h"

#define TREE_NONE UINT32_MAX

struct tree_node {
	uint32_t parent, frame;
	uint32_t child, next; /* first child, next sibling: TREE_NONE at the end */
	uint64_t self_value, self_count;
	uint64_t value, count; /* with everything below */
};

struct tree {
	struct tree_node *nodes;
	size_t n, cap;
};

void tree_done(struct tree *t);
/* With `processes` the first level are the names of the processes. 0, -ENOMEM, -E2BIG. */
int tree_init(struct tree *t, const struct profile *p, const struct frames *f, bool processes);
/* The node after n in depth-first order below node 0, TREE_NONE at the end. *depth follows. */
uint32_t tree_walk(const struct tree *t, uint32_t n, uint32_t *depth);

#define _cleanup_tree_ _cleanup_(tree_done)
