/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/page.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/export/palette.h"
#include "agent/base/utf8.h"

#define NAME_MAX_ 8192u /* bytes of one name in the page */
#define TITLE_MAX 512u

void page_done(struct page *g)
{
	frames_done(&g->frames);
	tree_done(&g->tree);
	free(g->title);
	g->title = NULL;
}

/* How many nodes would be written: those that are large enough, and one for the small children of
 * each of them. */
static size_t page_count(const struct tree *t, uint64_t min_count)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		bool small = false;

		if (t->nodes[i].count < min_count)
			continue;
		n++;
		for (uint32_t c = t->nodes[i].child; c != TREE_NONE && !small; c = t->nodes[c].next)
			small = t->nodes[c].count < min_count;
		n += small;
	}
	return n;
}

int page_init(struct page *g, const struct profile *p, const char *title, size_t max_nodes)
{
	_cleanup_page_ struct page new = {.profile = p};
	_cleanup_buf_ struct buf clean = BUF_INIT(TITLE_MAX + 1u);
	size_t ignored;
	int r;

	r = frames_init(&new.frames, p);
	if (r < 0)
		return r;
	r = tree_init(&new.tree, p, &new.frames, true);
	if (r < 0)
		return r;
	profile_sum(p, &new.totals);
	while (page_count(&new.tree, new.min_count) > max_nodes && new.min_count < new.totals.count)
		new.min_count += 1 + new.min_count / 8;
	title = title && *title ? title : "tephra";
	utf8_clean(&clean, title, strlen(title), TITLE_MAX);
	buf_add_u8(&clean, 0);
	new.title = (char *)buf_take(&clean, &ignored);
	if (!new.title)
		return -ENOMEM;
	*g = new;
	new = (struct page){0};
	return 0;
}

/* One character inside a JSON string that is itself inside <script> of HTML or of XML. */
static void page_write_char(FILE *f, const char *s, size_t len, uint32_t code)
{
	if (code == '"' || code == '\\')
		(void)fprintf(f, "\\%c", (char)code);
	else if (utf8_is_control(code) || code == '<' || code == '>' || code == '&' ||
		 code == '\'' || code == 0xfffe || code == 0xffff)
		(void)fprintf(f, "\\u%04" PRIx32, code);
	else
		(void)fwrite(s, 1, len, f);
}

static void page_write_string(FILE *f, const char *s)
{
	size_t n = MIN(strlen(s), (size_t)NAME_MAX_);

	(void)fputc('"', f);
	for (size_t i = 0; i < n;) {
		uint32_t code = 0;
		size_t len = utf8_decode(s + i, n - i, &code);

		if (len)
			page_write_char(f, s + i, len, code);
		else
			(void)fputs(UTF8_REPLACEMENT, f);
		i += MAX(len, 1u);
	}
	(void)fputc('"', f);
}

static void page_write_header(const struct page *g, FILE *f)
{
	const struct profile *p = g->profile;
	const struct profile_totals *t = &g->totals;

	(void)fputs("{\"version\":1,\"title\":", f);
	page_write_string(f, g->title);
	(void)fputs(",\"event\":", f);
	page_write_string(f, intern_get(&p->strings, p->event));
	(void)fprintf(f,
		      ",\"time\":%" PRIu64 ",\"duration\":%" PRIu64 ",\"period\":%" PRIu64
		      ",\"lost\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"complete\":%" PRIu64
		      ",\"frames\":%" PRIu64 ",\"named\":%" PRIu64 ",\"minCount\":%" PRIu64,
		      p->time_ns / 1000000, p->duration_ns, p->period_ns, p->lost, t->count,
		      t->complete, t->frames, t->named_frames, g->min_count);
}

static void page_write_palette(FILE *f)
{
	static const char *const names[] = {"light", "dark"};

	(void)fputs(",\"palette\":{", f);
	for (int dark = 0; dark < 2; dark++) {
		(void)fprintf(f, "%s\"%s\":[", dark ? "," : "", names[dark]);
		for (size_t i = 0; i < palette_size(); i++)
			(void)fprintf(f, "%s\"#%06" PRIx32 "\"", i ? "," : "",
				      palette_rgb(i, dark));
		(void)fputc(']', f);
	}
	(void)fputc('}', f);
}

/* The index of a profile's string in the page's table, which holds only what is used. */
static uint32_t page_string(uint32_t *ids, uint32_t *order, uint32_t *n, uint32_t string)
{
	if (!ids[string]) {
		order[*n] = string;
		ids[string] = ++*n;
	}
	return ids[string] - 1;
}

static int page_write_frames(const struct page *g, FILE *f)
{
	const struct intern *strings = &g->profile->strings;
	_cleanup_free_ uint32_t *ids = calloc(strings->n_strings + 1, sizeof(*ids));
	_cleanup_free_ uint32_t *order = calloc(strings->n_strings + 1, sizeof(*order));
	uint32_t n = 0;

	if (!ids || !order)
		return -ENOMEM;
	(void)page_string(ids, order, &n, 0);
	(void)fputs(",\"table\":[", f);
	for (uint32_t i = 0; i < g->frames.n; i++) {
		const struct frames_item *item = &g->frames.items[i];
		size_t colour = palette_index(item->kind, frames_module(&g->frames, g->profile, i),
					      frames_name(&g->frames, g->profile, i));

		(void)fprintf(f, "%s%" PRIu32, i ? "," : "",
			      page_string(ids, order, &n, item->name));
		(void)fprintf(f, ",%" PRIu32, page_string(ids, order, &n, item->module));
		(void)fprintf(f, ",%" PRIu32 ",%" PRIu32 ",%u,%zu",
			      page_string(ids, order, &n, item->file), item->line,
			      item->kind | (item->named ? 8u : 0u), colour);
	}
	(void)fputs("],\n\"strings\":[", f);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			(void)fputc(',', f);
		page_write_string(f, intern_get(strings, order[i]));
	}
	(void)fputc(']', f);
	return 0;
}

/* One node of the output, in depth-first order. */
struct page_node {
	uint32_t up, frame;
	uint64_t count, value; /* its own, without what is below */
};

struct page_nodes {
	struct page_node *items;
	size_t n, cap;
	uint32_t depth; /* of the last one */
};

static int page_push(struct page_nodes *out, uint32_t depth, uint32_t frame, uint64_t count,
		     uint64_t value)
{
	if (out->n == out->cap) {
		size_t cap = out->cap ? out->cap * 2 : 1024;
		struct page_node *items = realloc(out->items, cap * sizeof(*items));

		if (!items)
			return -ENOMEM;
		out->items = items;
		out->cap = cap;
	}
	out->items[out->n] =
		(struct page_node){out->n ? out->depth + 1 - depth : 0, frame, count, value};
	out->n++;
	out->depth = depth;
	return 0;
}

/* The children of a node that are too small to be nodes of their own come as one, after the last
 * that is not. Siblings fall in weight, so they are the end of the list. */
static uint32_t page_step(const struct page *g, uint32_t node, uint32_t *depth)
{
	const struct tree *t = &g->tree;
	uint32_t next = t->nodes[node].child;

	if (next != TREE_NONE && t->nodes[node].count >= g->min_count) {
		(*depth)++;
		return next;
	}
	for (; node; node = t->nodes[node].parent) {
		if (t->nodes[node].next != TREE_NONE)
			return t->nodes[node].next;
		(*depth)--;
	}
	return TREE_NONE;
}

static int page_collect(const struct page *g, struct page_nodes *out)
{
	const struct tree *t = &g->tree;
	uint32_t depth = 0;
	int r = 0;

	for (uint32_t n = 0; n != TREE_NONE && r >= 0; n = page_step(g, n, &depth)) {
		const struct tree_node *node = &t->nodes[n];
		struct page_node *last = out->n ? &out->items[out->n - 1] : NULL;

		if (!n || node->count >= g->min_count)
			r = page_push(out, depth, node->frame, node->self_count, node->self_value);
		else if (last && last->frame == FRAMES_OTHER && out->depth == depth) {
			last->count += node->count;
			last->value += node->value;
		} else
			r = page_push(out, depth, FRAMES_OTHER, node->count, node->value);
	}
	return r;
}

static void page_write_array(FILE *f, const char *name, const struct page_nodes *nodes,
			     int64_t (*get)(const struct page_node *, uint64_t), uint64_t period)
{
	(void)fprintf(f, ",\n\"%s\":[", name);
	for (size_t i = 0; i < nodes->n; i++)
		(void)fprintf(f, "%s%" PRId64, i ? "," : "", get(&nodes->items[i], period));
	(void)fputc(']', f);
}

static int64_t page_get_up(const struct page_node *n, uint64_t period)
{
	return n->up;
}

static int64_t page_get_frame(const struct page_node *n, uint64_t period)
{
	return n->frame;
}

static int64_t page_get_count(const struct page_node *n, uint64_t period)
{
	return (int64_t)n->count;
}

/* What count x period does not explain of the value; almost always 0. */
static int64_t page_get_rest(const struct page_node *n, uint64_t period)
{
	return (int64_t)(n->value - n->count * period);
}

static int page_write_nodes(const struct page *g, FILE *f)
{
	struct page_nodes nodes = {0};
	uint64_t period = g->profile->period_ns;
	int r = page_collect(g, &nodes);
	bool rest = false;

	if (r >= 0) {
		for (size_t i = 0; i < nodes.n; i++)
			rest |= page_get_rest(&nodes.items[i], period) != 0;
		page_write_array(f, "up", &nodes, page_get_up, period);
		page_write_array(f, "frame", &nodes, page_get_frame, period);
		page_write_array(f, "count", &nodes, page_get_count, period);
		if (rest)
			page_write_array(f, "rest", &nodes, page_get_rest, period);
	}
	free(nodes.items);
	return r;
}

int page_write(const struct page *g, FILE *f)
{
	int r;

	page_write_header(g, f);
	page_write_palette(f);
	r = page_write_frames(g, f);
	if (r < 0)
		return r;
	r = page_write_nodes(g, f);
	(void)fputs("}\n", f);
	return r;
}
