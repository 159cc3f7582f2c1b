/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/tree.h"

#include <errno.h>
#include <string.h>

void tree_done(struct tree *t)
{
	free(t->nodes);
	*t = (struct tree){0};
}

static int64_t tree_append(struct tree *t, uint32_t parent, uint32_t frame)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 256;
		struct tree_node *nodes;

		if (cap >= TREE_NONE)
			return -E2BIG;
		nodes = realloc(t->nodes, cap * sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		t->nodes = nodes;
		t->cap = cap;
	}
	t->nodes[t->n] = (struct tree_node){
		.parent = parent, .frame = frame, .child = TREE_NONE, .next = TREE_NONE};
	return (int64_t)t->n++;
}

static int64_t tree_child(struct tree *t, struct hash *edges, uint32_t parent, uint32_t frame)
{
	uint64_t key = (uint64_t)parent << 32 | frame;
	uint64_t index = hash_get(edges, key);
	int64_t node;
	int r;

	if (index != HASH_NONE)
		return (int64_t)index;
	node = tree_append(t, parent, frame);
	if (node < 0)
		return node;
	r = hash_put(edges, key, (uint64_t)node);
	return r < 0 ? r : node;
}

static int tree_add_sample(struct tree *t, struct hash *edges, const struct profile *p,
			   const struct frames *f, const struct profile_sample *s, bool processes)
{
	int64_t node = 0;

	if (processes)
		node = tree_child(t, edges, 0, f->of_process[s->process]);
	for (size_t i = s->n_locations; i-- > 0 && node >= 0;) {
		const struct profile_location *l = &p->locations[p->stack_locations[s->first + i]];

		/* The writer makes the process level itself; a profile may have it already. */
		if (processes && l->kind == PROFILE_COMM)
			continue;
		for (uint32_t j = l->n_lines; j-- > 0 && node >= 0;)
			node = tree_child(t, edges, (uint32_t)node, f->of_line[l->first_line + j]);
	}
	if (node < 0)
		return (int)node;
	t->nodes[node].self_value += s->value;
	t->nodes[node].self_count += s->count;
	return 0;
}

struct tree_order {
	const struct tree *tree;
	const struct profile *profile;
	const struct frames *frames;
};

/* By parent, then by falling weight, then by name. */
static int tree_compare(const void *pa, const void *pb, void *data)
{
	const struct tree_order *o = data;
	const struct tree_node *a = &o->tree->nodes[*(const uint32_t *)pa];
	const struct tree_node *b = &o->tree->nodes[*(const uint32_t *)pb];
	int c;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	if (a->value != b->value)
		return a->value > b->value ? -1 : 1;
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	c = strcmp(frames_name(o->frames, o->profile, a->frame),
		   frames_name(o->frames, o->profile, b->frame));
	return c ? c : (a->frame > b->frame) - (a->frame < b->frame);
}

/* A parent is always older than its children, so one pass from the end sums the tree. */
static void tree_add_up(struct tree *t)
{
	for (size_t i = t->n; i-- > 0;) {
		struct tree_node *n = &t->nodes[i];

		n->value += n->self_value;
		n->count += n->self_count;
		if (i) {
			t->nodes[n->parent].value += n->value;
			t->nodes[n->parent].count += n->count;
		}
	}
}

static int tree_link(struct tree *t, const struct profile *p, const struct frames *f)
{
	_cleanup_free_ uint32_t *order = calloc(t->n, sizeof(*order));
	struct tree_order o = {t, p, f};

	if (!order)
		return -ENOMEM;
	for (size_t i = 1; i < t->n; i++)
		order[i - 1] = (uint32_t)i;
	qsort_r(order, t->n - 1, sizeof(*order), tree_compare, &o);
	for (size_t i = t->n - 1; i-- > 0;) {
		struct tree_node *n = &t->nodes[order[i]];

		n->next = t->nodes[n->parent].child;
		t->nodes[n->parent].child = order[i];
	}
	return 0;
}

int tree_init(struct tree *t, const struct profile *p, const struct frames *f, bool processes)
{
	_cleanup_tree_ struct tree new = {0};
	_cleanup_(hash_done) struct hash edges = {0};
	int r;

	if (tree_append(&new, 0, FRAMES_ROOT) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_samples; i++) {
		r = tree_add_sample(&new, &edges, p, f, &p->samples[i], processes);
		if (r < 0)
			return r;
	}
	tree_add_up(&new);
	r = tree_link(&new, p, f);
	if (r < 0)
		return r;
	*t = new;
	new = (struct tree){0};
	return 0;
}

uint32_t tree_walk(const struct tree *t, uint32_t n, uint32_t *depth)
{
	if (t->nodes[n].child != TREE_NONE) {
		(*depth)++;
		return t->nodes[n].child;
	}
	for (; n; n = t->nodes[n].parent) {
		if (t->nodes[n].next != TREE_NONE)
			return t->nodes[n].next;
		(*depth)--;
	}
	return TREE_NONE;
}
