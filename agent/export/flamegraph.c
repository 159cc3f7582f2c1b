/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/flamegraph.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/export/assets/assets.h"
#include "agent/export/page.h"
#include "agent/export/palette.h"
#include "agent/base/utf8.h"

/* The static picture. Its font is monospaced, so that C can know what fits into a box. */
#define WIDTH	   1200.0
#define MARGIN	   10.0
#define HEADER	   62.0
#define ROW	   18.0
#define CHAR_WIDTH 6.62 /* of 11 px; 0.602 em is the widest advance of the usual fonts */
#define BOX_MIN	   0.6	/* pixels: narrower boxes are left to the interactive page */
#define TEXT_MAX   4096u

struct picture {
	const struct page *page;
	FILE *f;
	double *x;	/* per tree node */
	uint32_t depth; /* of the deepest box that is drawn */
	struct buf text;
};

static void picture_done(struct picture *w)
{
	free(w->x);
	buf_done(&w->text);
}

/* Text content or attribute of XML and HTML; what XML 1.0 does not allow becomes U+FFFD. */
static void picture_escape(FILE *f, const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n;) {
		uint32_t code = 0;
		size_t len = utf8_decode(s + i, n - i, &code);

		if (!len || utf8_is_control(code) || code == 0xfffe || code == 0xffff)
			(void)fputs(UTF8_REPLACEMENT, f);
		else if (code == '<' || code == '>' || code == '&' || code == '"' || code == '\'')
			(void)fprintf(f, "&#%" PRIu32 ";", code);
		else
			(void)fwrite(s + i, 1, len, f);
		i += MAX(len, 1u);
	}
}

static double picture_scale(const struct page *g)
{
	uint64_t all = g->tree.nodes[0].value;

	return all ? (WIDTH - 2 * MARGIN) / (double)all : 0;
}

/* Places the nodes: a child begins where its older sibling ends, own time is at the right. */
static int picture_layout(struct picture *w)
{
	const struct tree *t = &w->page->tree;
	double scale = picture_scale(w->page);
	uint32_t depth = 0;

	w->x = calloc(t->n, sizeof(*w->x));
	if (!w->x)
		return -ENOMEM;
	for (uint32_t n = tree_walk(t, 0, &depth); n != TREE_NONE; n = tree_walk(t, n, &depth)) {
		const struct tree_node *node = &t->nodes[n];

		if (t->nodes[node->parent].child == n)
			w->x[n] = w->x[node->parent];
		if (node->next != TREE_NONE)
			w->x[node->next] = w->x[n] + (double)node->value * scale;
		if ((double)node->value * scale >= BOX_MIN)
			w->depth = MAX(w->depth, depth);
	}
	return 0;
}

static void picture_box(struct picture *w, uint32_t n, uint32_t depth)
{
	const struct page *g = w->page;
	const struct tree_node *node = &g->tree.nodes[n];
	double width = (double)node->value * picture_scale(g), x = MARGIN + w->x[n];
	double y = HEADER + depth * ROW;
	const char *name = frames_name(&g->frames, g->profile, node->frame);
	size_t colour = palette_index(g->frames.items[node->frame].kind,
				      frames_module(&g->frames, g->profile, node->frame), name);
	unsigned int columns = width > 6 ? (unsigned int)((width - 6) / CHAR_WIDTH) : 0;

	(void)fprintf(w->f, "<g><title>");
	picture_escape(w->f, name);
	(void)fprintf(w->f, " - %" PRIu64 " samples, %.2f%%</title>", node->count,
		      100.0 * (double)node->value / (double)g->tree.nodes[0].value);
	(void)fprintf(w->f,
		      "<rect class=\"c%zu\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\" "
		      "rx=\"%s\"/>",
		      colour, x, y, MAX(width - 0.7, 0.4), ROW - 1, width > 8 ? "2" : "0");
	if (columns >= 3) {
		buf_reset(&w->text);
		(void)utf8_fit(&w->text, name, columns);
		(void)fprintf(w->f, "<text class=\"n\" x=\"%.1f\" y=\"%.0f\">", x + 3, y + 12.5);
		picture_escape(w->f, buf_cstr(&w->text));
		(void)fputs("</text>", w->f);
	}
	(void)fputs("</g>\n", w->f);
}

static void picture_header(struct picture *w)
{
	const struct page *g = w->page;
	const struct profile *p = g->profile;
	const struct profile_totals *t = &g->totals;
	const char *event = intern_get(&p->strings, p->event);

	(void)fputs("<text class=\"t\" x=\"10\" y=\"26\">", w->f);
	buf_reset(&w->text);
	(void)utf8_fit(&w->text, g->title, 100);
	picture_escape(w->f, buf_cstr(&w->text));
	(void)fprintf(w->f, "</text>\n<text class=\"m\" x=\"10\" y=\"46\">%" PRIu64 " samples",
		      t->count);
	if (*event) {
		(void)fputs(" of ", w->f);
		picture_escape(w->f, event);
	}
	if (p->period_ns)
		(void)fprintf(w->f, " at %.0f Hz", 1e9 / (double)p->period_ns);
	(void)fprintf(w->f, ", %.2f CPU-seconds", (double)t->value / 1e9);
	if (p->duration_ns)
		(void)fprintf(w->f, " in %.1f s", (double)p->duration_ns / 1e9);
	(void)fprintf(w->f, ", %.1f%% complete, %.1f%% named, %" PRIu64 " lost</text>\n",
		      t->count ? 100.0 * (double)t->complete / (double)t->count : 0,
		      t->frames ? 100.0 * (double)t->named_frames / (double)t->frames : 0, p->lost);
}

static int picture_write(struct picture *w)
{
	const struct tree *t = &w->page->tree;
	double scale = picture_scale(w->page);
	uint32_t depth = 0;

	(void)fputs(
		"<g id=\"tephra-picture\">\n<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n",
		w->f);
	picture_header(w);
	for (uint32_t n = 0; n != TREE_NONE && t->nodes[0].value; n = tree_walk(t, n, &depth))
		if ((double)t->nodes[n].value * scale >= BOX_MIN)
			picture_box(w, n, depth);
	(void)fputs("</g>", w->f);
	return w->text.failed;
}

static int picture_palette(struct picture *w)
{
	FILE *f = w->f;

	(void)fputs(".b{fill:#fcfbf9}.t,.m,.n{font:11px ui-monospace,SFMono-Regular,Menlo,"
		    "'DejaVu Sans Mono',monospace}.n{fill:#1f1b16}.t{font-size:16px;"
		    "font-weight:bold;fill:#1f1b16}.m{fill:#6f675e}",
		    f);
	for (int dark = 0; dark < 2; dark++) {
		if (dark)
			(void)fputs("@media (prefers-color-scheme:dark){.b{fill:#161412}"
				    ".t{fill:#ece6dd}.m{fill:#9c948a}",
				    f);
		for (size_t i = 0; i < palette_size(); i++)
			(void)fprintf(f, ".c%zu{fill:#%06" PRIx32 "}", i, palette_rgb(i, dark));
	}
	(void)fputs("}", f);
	return 0;
}

static int flamegraph_title(struct picture *w)
{
	picture_escape(w->f, w->page->title);
	return 0;
}

static int flamegraph_height(struct picture *w)
{
	(void)fprintf(w->f, "%.0f", HEADER + (w->depth + 1) * ROW + MARGIN);
	return 0;
}

static int flamegraph_data(struct picture *w)
{
	return page_write(w->page, w->f);
}

/* What a @WORD@ of a template stands for. */
static const struct flamegraph_word {
	const char *word;
	const struct asset *asset; /* its text, or its hash with `sha` */
	bool sha;
	int (*write)(struct picture *w);
} flamegraph_words[] = {
	{"STYLE", &asset_style},
	{"SCRIPT", &asset_script},
	{"STYLE_SHA", &asset_style, .sha = true},
	{"SCRIPT_SHA", &asset_script, .sha = true},
	{"TITLE", .write = flamegraph_title},
	{"HEIGHT", .write = flamegraph_height},
	{"PALETTE", .write = picture_palette},
	{"PICTURE", .write = picture_write},
	{"DATA", .write = flamegraph_data},
};

static int flamegraph_word(struct picture *w, const char *word, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(flamegraph_words); i++) {
		const struct flamegraph_word *k = &flamegraph_words[i];

		if (strlen(k->word) != n || strncmp(k->word, word, n) != 0)
			continue;
		if (k->write)
			return k->write(w);
		(void)fputs(k->sha ? k->asset->sha256 : k->asset->data, w->f);
		return 0;
	}
	return -EINVAL;
}

/* Writes a template of assets/; outside of its words it has no '@'. */
static int flamegraph_fill(const struct asset *template, struct picture *w)
{
	const char *at = template->data, *word, *end;

	while ((word = strchr(at, '@')) && (end = strchr(word + 1, '@'))) {
		int r;

		(void)fwrite(at, 1, (size_t)(word - at), w->f);
		r = flamegraph_word(w, word + 1, (size_t)(end - word - 1));
		if (r < 0)
			return r;
		at = end + 1;
	}
	(void)fputs(at, w->f);
	return ferror(w->f) ? -EIO : 0;
}

static int flamegraph_write(const struct profile *p, const struct flamegraph_options *o,
			    const struct asset *template, FILE *f)
{
	_cleanup_page_ struct page page = {0};
	_cleanup_(picture_done) struct picture w = {
		.page = &page, .f = f, .text = BUF_INIT(TEXT_MAX)};
	int r;

	r = page_init(&page, p, o ? o->title : NULL,
		      o && o->max_nodes ? o->max_nodes : FLAMEGRAPH_NODES_MAX);
	if (r < 0)
		return r;
	r = picture_layout(&w);
	if (r < 0)
		return r;
	return flamegraph_fill(template, &w);
}

int flamegraph_html(const struct profile *p, const struct flamegraph_options *o, FILE *f)
{
	return flamegraph_write(p, o, &asset_page, f);
}

int flamegraph_svg(const struct profile *p, const struct flamegraph_options *o, FILE *f)
{
	return flamegraph_write(p, o, &asset_picture, f);
}
