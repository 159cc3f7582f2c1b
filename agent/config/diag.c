/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/diag.h"

#include <stdarg.h>
#include <string.h>

#include "agent/base/buf.h"

#define LINES_SHOWN 8	/* of a span over many lines; the middle is left out */
#define WIDTH	    160 /* of a source line; longer ones are cut around the span */

void diag_done(struct diag_list *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->items[i].message);
		free(d->items[i].help);
	}
	free(d->items);
	*d = (struct diag_list){0};
}

static _printf_(1, 0) char *format(const char *fmt, va_list ap)
{
	char *text = NULL;

	return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

void diag_add(struct diag_list *d, enum diag_severity severity, struct span span, const char *fmt,
	      ...)
{
	struct diag *x;
	va_list ap;

	if (severity == DIAG_ERROR)
		d->n_errors++;
	else
		d->n_warnings++;
	if (d->n >= DIAG_KEEP)
		return;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;

		x = realloc(d->items, cap * sizeof(*x));
		if (!x)
			return;
		d->items = x;
		d->cap = cap;
	}
	x = &d->items[d->n++];
	*x = (struct diag){.severity = severity, .span = span};
	va_start(ap, fmt);
	x->message = format(fmt, ap);
	va_end(ap);
}

void diag_move(struct diag_list *to, struct diag_list *from)
{
	size_t room = DIAG_KEEP - MIN(to->n, DIAG_KEEP), n = MIN(from->n, room);
	struct diag *x = n ? realloc(to->items, (to->n + n) * sizeof(*x)) : NULL;

	to->n_errors += from->n_errors;
	to->n_warnings += from->n_warnings;
	if (x) {
		memcpy(x + to->n, from->items, n * sizeof(*x));
		memset(from->items, 0, n * sizeof(*x));
		to->items = x;
		to->n += n;
		to->cap = to->n;
	}
	diag_done(from);
}

void diag_help(struct diag_list *d, const char *fmt, ...)
{
	struct diag *x = d->n ? &d->items[d->n - 1] : NULL;
	va_list ap;

	/* An entry that was not kept has no place for its cure. */
	if (!x || x->help || d->n_errors + d->n_warnings > DIAG_KEEP)
		return;
	va_start(ap, fmt);
	x->help = format(fmt, ap);
	va_end(ap);
}

char *diag_line(const struct diag *x)
{
	const char *message = x->message ? x->message : "out of memory";
	uint32_t line, col;
	char *text = NULL;
	int n;

	if (!x->span.source)
		return strdup(message);
	source_position(x->span.source, x->span.start, &line, &col);
	n = asprintf(&text, "%s:%u:%u: %s", x->span.source->name, line, col, message);
	return n < 0 ? NULL : text;
}

char *diag_summary(const struct diag_list *d)
{
	size_t more = d->n_errors ? d->n_errors - 1 : 0;
	_cleanup_free_ char *line = NULL;
	char *text = NULL;

	for (size_t i = 0; i < d->n && !line; i++) {
		if (d->items[i].severity == DIAG_ERROR)
			line = diag_line(&d->items[i]);
	}
	if (!more)
		return line ? TAKE_PTR(line) : strdup("out of memory");
	if (asprintf(&text, "%s (and %zu more diagnostics)", line ? line : "out of memory", more) <
	    0)
		return NULL;
	return text;
}

bool diag_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR");

	return isatty(fileno(f)) == 1 && !(no && *no);
}

struct excerpt {
	FILE *f;
	const struct source *s;
	int gutter;				   /* digits of the largest line number */
	bool colour, bars;			   /* bars: the span has several lines */
	uint32_t first, last, first_col, last_col; /* the span; last_col is that of its last byte */
	uint32_t cut;				   /* bytes left out at the start of every line */
};

static void paint(const struct excerpt *e, const char *code)
{
	if (e->colour)
		fputs(code, e->f);
}

static void gutter(const struct excerpt *e, uint32_t line)
{
	paint(e, "\033[2m");
	if (line)
		fprintf(e->f, "%*u | ", e->gutter, line);
	else
		fprintf(e->f, "%*s | ", e->gutter, "");
	paint(e, "\033[0m");
}

/* Columns on the screen that bytes [from, to) of a line take: tabs are four, others one. */
static uint32_t screen_width(const char *line, size_t len, uint32_t from, uint32_t to)
{
	uint32_t n = 0;

	for (uint32_t i = from; i < to; i++) {
		if (i >= len || ((unsigned char)line[i] & 0xc0) != 0x80)
			n += i < len && line[i] == '\t' ? 4 : 1;
	}
	return n;
}

static void show_line(const struct excerpt *e, uint32_t line)
{
	size_t len;
	const char *text = source_line(e->s, line, &len);
	size_t end = MIN(len, (size_t)e->cut + WIDTH);

	gutter(e, line);
	if (e->bars) {
		paint(e, "\033[31m");
		fputs(line > e->first && line <= e->last ? "| " : "  ", e->f);
		paint(e, "\033[0m");
	}
	for (size_t i = e->cut; i < end; i++) {
		unsigned char c = text[i];

		if (c == '\t')
			fputs("    ", e->f);
		else
			fputc(c < ' ' || c == 0x7f ? '?' : c, e->f);
	}
	fputc('\n', e->f);
}

static void show_carets(const struct excerpt *e, uint32_t line, uint32_t from, uint32_t to)
{
	size_t len;
	const char *text = source_line(e->s, line, &len);
	uint32_t before = screen_width(text, len, e->cut, from - 1);
	uint32_t width = screen_width(text, len, from - 1, MIN(to, e->cut + WIDTH));

	gutter(e, 0);
	paint(e, "\033[31m");
	if (e->bars)
		fputs(line == e->first ? " _" : "|_", e->f);
	while (before--)
		fputc(e->bars ? '_' : ' ', e->f);
	do
		fputc('^', e->f);
	while (width-- > 1);
	paint(e, "\033[0m");
	fputc('\n', e->f);
}

static void excerpt_init(struct excerpt *e, FILE *f, const struct span *span, bool colour)
{
	uint32_t last_byte = span->end > span->start ? span->end - 1 : span->start;
	uint32_t shown;

	*e = (struct excerpt){.f = f, .s = span->source, .colour = colour};
	source_position(e->s, span->start, &e->first, &e->first_col);
	source_position(e->s, last_byte, &e->last, &e->last_col);
	e->bars = e->last > e->first;
	shown = MIN(e->last + 1, (uint32_t)e->s->n_lines);
	for (; shown; shown /= 10)
		e->gutter++;
	if (e->first_col > WIDTH / 2 && !e->bars)
		e->cut = e->first_col - WIDTH / 2;
}

static void show_excerpt(FILE *f, const struct span *span, bool colour)
{
	struct excerpt e;

	excerpt_init(&e, f, span, colour);
	if (e.first > 1)
		show_line(&e, e.first - 1);
	show_line(&e, e.first);
	if (!e.bars) {
		show_carets(&e, e.first, e.first_col, e.last_col);
	} else {
		show_carets(&e, e.first, e.first_col, e.first_col);
		for (uint32_t line = e.first + 1; line <= e.last; line++) {
			if (e.last - e.first > LINES_SHOWN && line == e.first + LINES_SHOWN / 2) {
				gutter(&e, 0);
				fputs("| ...\n", f);
				line = e.last - LINES_SHOWN / 2;
			}
			show_line(&e, line);
		}
		show_carets(&e, e.last, e.last_col, e.last_col);
	}
	if (e.last < e.s->n_lines)
		show_line(&e, e.last + 1);
}

static void show(const struct diag *x, FILE *f, bool colour)
{
	_cleanup_free_ char *line = diag_line(x);
	const char *start = !colour ? "" : x->severity == DIAG_ERROR ? "\033[1;31m" : "\033[1;33m";

	fprintf(f, "%s%s:%s %s\n", start, x->severity == DIAG_ERROR ? "Error" : "Warning",
		colour ? "\033[0m" : "", line ? line : "out of memory");
	if (x->span.source) {
		fputc('\n', f);
		show_excerpt(f, &x->span, colour);
	}
	if (x->help)
		fprintf(f, "  help: %s\n", x->help);
}

void diag_print(const struct diag_list *d, FILE *f, bool colour, size_t max)
{
	size_t shown = 0, total = d->n_errors + d->n_warnings;

	/* Errors first: with many diagnostics the limit must not hide the one that stops us. */
	for (int pass = DIAG_ERROR; pass <= DIAG_WARNING; pass++) {
		for (size_t i = 0; i < d->n && shown < max; i++) {
			if ((int)d->items[i].severity != pass)
				continue;
			if (shown++)
				fputc('\n', f);
			show(&d->items[i], f, colour);
		}
	}
	if (total > shown)
		fprintf(f, "\nand %zu more\n", total - shown);
}
