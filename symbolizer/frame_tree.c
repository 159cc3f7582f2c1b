/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/frame_tree.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "agent/base/hash.h"

/* Of all levels. But for the root, an inner node has at least 6 children and a leaf 4 entries, so
 * that 4096 objects lie in 1024 leaves under at most 206 others. */
#define NODES_MAX 1536
#define TRIES	  4

/* A place with a version: of a node, or of the root. */
struct version {
	uint64_t address, value;
};

struct reading {
	frame_tree_read_t read;
	void *data;
	struct frame_tree_found *found;
	uint64_t *nodes; /* in the order in which they are met: one level after another */
	size_t n_nodes;
	struct version *versions;
	size_t n_versions;
	struct hash met; /* addresses of nodes: a tree that runs in a circle ends there */
};

static int meet(struct reading *r, uint64_t node)
{
	int e;

	if (r->n_nodes == NODES_MAX || hash_get(&r->met, node) != HASH_NONE) {
		r->found->cut = true;
		return 0;
	}
	e = hash_put(&r->met, node, 0);
	if (e == 0)
		r->nodes[r->n_nodes++] = node;
	return e;
}

static void note(struct reading *r, uint64_t address, uint64_t value)
{
	r->found->changed |= value & 1;
	r->versions[r->n_versions++] = (struct version){address, value};
}

static int read_inner(struct reading *r, const struct frame_node *node)
{
	uint32_t n = MIN(node->count, FRAME_TREE_INNER_MAX);
	int e = 0;

	r->found->cut |= n < node->count;
	for (uint32_t i = 0; i < n && e == 0; i++)
		e = meet(r, node->children[i].node);
	return e;
}

static void read_leaf(struct reading *r, const struct frame_node *node)
{
	struct frame_tree_found *f = r->found;
	uint32_t n = MIN(node->count, FRAME_TREE_LEAF_MAX);

	f->cut |= n < node->count || n > f->max - f->n;
	for (uint32_t i = 0; i < n && f->n < f->max; i++)
		f->objects[f->n++] = node->entries[i].object;
}

static int read_node(struct reading *r, uint64_t address)
{
	struct frame_node node;

	if (!r->read(r->data, address, &node, sizeof(node))) {
		r->found->cut = true;
		return 0;
	}
	note(r, address + offsetof(struct frame_node, lock), node.lock);
	if (node.type == FRAME_NODE_INNER)
		return read_inner(r, &node);
	if (node.type == FRAME_NODE_LEAF)
		read_leaf(r, &node);
	else
		r->found->cut = true;
	return 0;
}

/* Who writes goes from the root down, locks a node before it lets go of the one above, and counts
 * each up when it lets go. So it is at a node that is locked now, or at one that was when it was
 * read, or has counted up one that was read before. */
static bool has_changed(const struct reading *r)
{
	for (size_t i = 0; i < r->n_versions; i++) {
		uint64_t now;

		if (!r->read(r->data, r->versions[i].address, &now, sizeof(now)) ||
		    now != r->versions[i].value)
			return true;
	}
	return false;
}

static int read_once(struct reading *r, uint64_t tree)
{
	struct frame_tree head;
	int e = 0;

	r->found->n = r->n_nodes = r->n_versions = 0;
	r->found->cut = r->found->changed = false;
	if (!r->read(r->data, tree, &head, sizeof(head))) {
		r->found->cut = true;
		return 0;
	}
	note(r, tree + offsetof(struct frame_tree, lock), head.lock);
	if (head.root)
		e = meet(r, head.root);
	for (size_t i = 0; i < r->n_nodes && e == 0; i++)
		e = read_node(r, r->nodes[i]);
	hash_done(&r->met);
	return e;
}

int frame_tree_read(frame_tree_read_t read, void *data, uint64_t tree, struct frame_tree_found *f)
{
	_cleanup_free_ uint64_t *nodes = calloc(NODES_MAX, sizeof(*nodes));
	_cleanup_free_ struct version *versions = calloc(NODES_MAX + 1, sizeof(*versions));
	struct reading r = {
		.read = read, .data = data, .found = f, .nodes = nodes, .versions = versions};
	int e = nodes && versions ? 0 : -ENOMEM;

	for (int i = 0; i < TRIES && e == 0; i++) {
		e = read_once(&r, tree);
		f->changed = f->changed || has_changed(&r);
		if (!f->changed)
			break;
	}
	return e;
}
