/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/folded.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/export/tree.h"
#include "agent/base/utf8.h"

struct folded {
	const struct profile *profile;
	const struct folded_options *options;
	struct frames frames;
	struct tree tree;
	struct buf line;
	size_t *ends; /* per depth: where the line ends after that frame */
	size_t n_ends;
};

#define FOLDED_LINE_MAX (64u << 20)

static void folded_done(struct folded *w)
{
	frames_done(&w->frames);
	tree_done(&w->tree);
	buf_done(&w->line);
	free(w->ends);
}

static void folded_add_name(struct buf *line, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n;) {
		uint32_t code = 0;
		size_t len = utf8_decode(name + i, n - i, &code);

		if (!len)
			buf_adds(line, UTF8_REPLACEMENT);
		else if (code == ';')
			buf_add_u8(line, ':');
		else if (utf8_is_control(code))
			buf_add_u8(line, ' ');
		else
			buf_add(line, name + i, len);
		i += MAX(len, 1u);
	}
}

static const char *folded_suffix(const struct folded *w, uint32_t frame)
{
	if (!w->options->kernel_suffix)
		return "";
	if (w->frames.items[frame].kind == PROFILE_KERNEL)
		return "_[k]";
	return w->frames.items[frame].kind == PROFILE_JIT ? "_[j]" : "";
}

static int folded_node(struct folded *w, uint32_t node, uint32_t depth, FILE *f)
{
	const struct tree_node *n = &w->tree.nodes[node];
	uint64_t weight = w->options->nanoseconds ? n->self_value : n->self_count;

	if (depth >= w->n_ends) {
		size_t cap = MAX(w->n_ends * 2, 128u);
		size_t *ends = realloc(w->ends, cap * sizeof(*ends));

		if (!ends)
			return -ENOMEM;
		w->ends = ends;
		w->n_ends = cap;
	}
	/* Everything up to the parent is in the buffer already; the root itself is not written. */
	w->line.len = depth > 1 ? w->ends[depth - 1] : 0;
	if (depth > 1)
		buf_add_u8(&w->line, ';');
	folded_add_name(&w->line, frames_name(&w->frames, w->profile, n->frame));
	buf_adds(&w->line, folded_suffix(w, n->frame));
	if (w->line.failed)
		return w->line.failed;
	w->ends[depth] = w->line.len;
	if (!weight)
		return 0;
	(void)fwrite(w->line.data, 1, w->line.len, f);
	return fprintf(f, " %" PRIu64 "\n", weight) < 0 ? -EIO : 0;
}

int folded_write(const struct profile *p, const struct folded_options *o, FILE *f)
{
	static const struct folded_options defaults;
	_cleanup_(folded_done) struct folded w = {
		.profile = p, .options = o ? o : &defaults, .line = BUF_INIT(FOLDED_LINE_MAX)};
	uint32_t depth = 0;
	int r;

	r = frames_init(&w.frames, p);
	if (r < 0)
		return r;
	r = tree_init(&w.tree, p, &w.frames, !w.options->no_process);
	if (r < 0)
		return r;
	for (uint32_t n = tree_walk(&w.tree, 0, &depth); n != TREE_NONE;
	     n = tree_walk(&w.tree, n, &depth)) {
		r = folded_node(&w, n, depth, f);
		if (r < 0)
			return r;
	}
	return ferror(f) ? -EIO : 0;
}
