/* SPDX-License-Identifier: Apache-2.0 */
/* The order of evaluation: dependencies first. Without recursion, as chains may be long. */
#include <errno.h>

#include "agent/base/buf.h"
#include "agent/config/graph_internal.h"

enum { MARK_NEW, MARK_OPEN, MARK_DONE };

struct step {
	struct node *node;
	size_t next; /* of its dependencies */
};

static void report_cycle(const struct step *path, size_t n, const struct node *again,
			 struct diag_list *d)
{
	_cleanup_buf_ struct buf text = BUF_INIT(64u << 10);
	size_t first = n - 1;

	while (path[first].node != again)
		first--;
	for (size_t i = first; i < n; i++) {
		path[i].node->bad = true;
		if (path[i].node->kind != NODE_INPUT)
			buf_printf(&text, "%s%s", text.len ? ", " : "", path[i].node->id);
	}
	diag_add(d, DIAG_ERROR, node_header(again), "%s: %s",
		 n - first == 1 ? "self reference" : "cycle", buf_cstr(&text));
}

/* Depth first; `path` has room for every node. */
static void visit(struct plan *p, struct node *start, struct step *path, struct diag_list *d)
{
	size_t depth = 0;

	path[depth++] = (struct step){.node = start};
	start->mark = MARK_OPEN;
	while (depth) {
		struct step *top = &path[depth - 1];
		struct node *dep;

		if (top->next == top->node->n_deps) {
			top->node->mark = MARK_DONE;
			p->order[p->n_order++] = top->node;
			depth--;
			continue;
		}
		dep = top->node->deps[top->next++];
		if (dep->mark == MARK_OPEN)
			report_cycle(path, depth, dep, d);
		if (dep->mark != MARK_NEW)
			continue;
		dep->mark = MARK_OPEN;
		path[depth++] = (struct step){.node = dep};
	}
}

int plan_sort(struct plan *p, struct diag_list *d)
{
	_cleanup_free_ struct step *path = calloc(MAX(p->n_nodes, 1u), sizeof(*path));

	p->order = calloc(MAX(p->n_nodes, 1u), sizeof(struct node *));
	if (!path || !p->order)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_nodes; i++) {
		if (p->nodes[i]->mark == MARK_NEW)
			visit(p, p->nodes[i], path, d);
	}
	return 0;
}
