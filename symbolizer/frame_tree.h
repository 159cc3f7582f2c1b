/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree in which libgcc keeps registered frames from GCC 13 on, of a 64-bit process
 * (libgcc/unwind-dw2-btree.h; the layout is the same in 13 to 16). It is read out of memory that
 * its owner may change meanwhile or may have filled with lies: every read is of a fixed size, and a
 * node is read once. Where code lies is not looked at: its frames say so.
 */
#pragma once

#include "agent/base/macro.h"

/* What the variable registered_frames is. Whoever puts something in or takes something out locks it
 * first, so that its version counts the changes of the whole tree. */
struct frame_tree {
	uint64_t root, free_list;
	uint64_t lock; /* as that of a node */
};

#define FRAME_TREE_INNER_MAX 15u
#define FRAME_TREE_LEAF_MAX  10u

struct frame_node {
	uint64_t lock; /* bit 0: somebody writes to it; from bit 2 on: how often somebody did */
	uint32_t count;
	uint32_t type; /* FRAME_NODE_* */
	union {
		struct {
			uint64_t last, node;
		} children[FRAME_TREE_INNER_MAX];
		struct {
			uint64_t code, size, object; /* struct frame_object */
		} entries[FRAME_TREE_LEAF_MAX];
	};
};
_Static_assert(sizeof(struct frame_tree) == 24, "frame_tree");
_Static_assert(sizeof(struct frame_node) == 256, "frame_node");

enum frame_node_type { FRAME_NODE_INNER, FRAME_NODE_LEAF, FRAME_NODE_FREE };

/* Whether all n bytes could be read. */
typedef bool (*frame_tree_read_t)(void *data, uint64_t address, void *to, size_t n);

struct frame_tree_found {
	uint64_t *objects; /* addresses: borrowed, max of them */
	size_t n, max;
	bool cut;     /* part of the tree is nowhere or no part of a tree, or there was no room */
	bool changed; /* while it was read, each time: something may be missing */
};

/* What is in the tree at this address. A tree that changes is read again, some times; what was read
 * last is taken then. -ENOMEM. */
int frame_tree_read(frame_tree_read_t read, void *data, uint64_t tree, struct frame_tree_found *f);
