/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/export/frames.h"
#include "agent/base/utf8.h"

#define WIDTH_MIN     40u
#define WIDTH_DEFAULT 80u
#define ROWS_DEFAULT  15u
#define LINE_MAX_     (64u << 10)

#define BOLD  "\033[1m"
#define DIM   "\033[2m"
#define RED   "\033[31m"
#define AMBER "\033[33m"
#define RESET "\033[0m"

struct report_row {
	uint64_t self, total;	  /* nanoseconds */
	uint64_t count, complete; /* samples */
	uint32_t index;		  /* of the item or the process */
	uint32_t seen;		  /* sample + 1 that was last added to total */
};

struct report {
	const struct profile *profile;
	struct report_options options;
	struct frames frames;
	struct report_row *items, *processes;
	struct profile_totals totals;
	struct buf line;
	FILE *f;
};

static void report_done(struct report *w)
{
	frames_done(&w->frames);
	free(w->items);
	free(w->processes);
	buf_done(&w->line);
}

static void report_add_frames(struct report *w, uint32_t sample)
{
	const struct profile *p = w->profile;
	const struct profile_sample *s = &p->samples[sample];

	for (size_t i = 0; i < s->n_locations; i++) {
		const struct profile_location *l = &p->locations[p->stack_locations[s->first + i]];

		for (uint32_t j = 0; j < l->n_lines; j++) {
			struct report_row *row = &w->items[w->frames.of_line[l->first_line + j]];

			if (!i && !j)
				row->self += s->value;
			/* A recursive function counts once. */
			if (row->seen == sample + 1)
				continue;
			row->seen = sample + 1;
			row->total += s->value;
			row->count += s->count;
		}
	}
}

static int report_sum(struct report *w)
{
	const struct profile *p = w->profile;

	w->items = calloc(w->frames.n + 1, sizeof(*w->items));
	w->processes = calloc(p->n_processes + 1, sizeof(*w->processes));
	if (!w->items || !w->processes)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->frames.n; i++)
		w->items[i].index = i;
	for (uint32_t i = 0; i < p->n_processes; i++)
		w->processes[i].index = i;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const struct profile_sample *s = &p->samples[i];
		struct report_row *row = &w->processes[s->process];

		row->self += s->value;
		row->total += s->value;
		row->count += s->count;
		row->complete += s->complete ? s->count : 0;
		report_add_frames(w, i);
	}
	profile_sum(p, &w->totals);
	return 0;
}

static int report_compare(const void *pa, const void *pb)
{
	const struct report_row *a = pa, *b = pb;

	if (a->self != b->self)
		return a->self > b->self ? -1 : 1;
	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

static double report_percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

static const char *report_colour(const struct report *w, const char *code)
{
	return w->options.colour ? code : "";
}

static void report_time(struct buf *b, uint64_t ns)
{
	double s = (double)ns / 1e9;

	if (ns >= UINT64_C(10000000000000))
		buf_printf(b, "%7.0f s ", s);
	else if (ns >= UINT64_C(1000000000))
		buf_printf(b, "%7.2f s ", s);
	else
		buf_printf(b, "%7.1f ms", s * 1e3);
}

/* Pads with spaces to `columns` after `used` were written. */
static void report_pad(struct buf *b, unsigned int used, unsigned int columns)
{
	for (; used < columns; used++)
		buf_add_u8(b, ' ');
}

static void report_flush(struct report *w)
{
	while (w->line.len && w->line.data[w->line.len - 1] == ' ')
		w->line.len--;
	buf_add_u8(&w->line, '\n');
	if (!w->line.failed)
		(void)fwrite(w->line.data, 1, w->line.len, w->f);
	buf_reset(&w->line);
}

static void report_heading(struct report *w, const char *text)
{
	buf_printf(&w->line, "%s", report_colour(w, BOLD));
	(void)utf8_fit(&w->line, text, w->options.width);
	buf_printf(&w->line, "%s", report_colour(w, RESET));
	report_flush(w);
}

/* Hot rows stand out. */
static const char *report_heat(const struct report *w, double percent)
{
	return report_colour(w, percent >= 10 ? RED : percent >= 3 ? AMBER : "");
}

static void report_function(struct report *w, const struct report_row *row, unsigned int name,
			    unsigned int module)
{
	double self = report_percent(row->self, w->totals.value);
	unsigned int used;

	buf_printf(&w->line, "%s%6.2f%s  %6.2f  ", report_heat(w, self), self,
		   *report_heat(w, self) ? report_colour(w, RESET) : "",
		   report_percent(row->total, w->totals.value));
	report_time(&w->line, row->self);
	buf_adds(&w->line, "  ");
	used = utf8_fit(&w->line, frames_name(&w->frames, w->profile, row->index), name);
	if (module) {
		report_pad(&w->line, used, name + 2);
		buf_adds(&w->line, report_colour(w, DIM));
		(void)utf8_fit(&w->line, frames_module(&w->frames, w->profile, row->index), module);
		buf_adds(&w->line, report_colour(w, RESET));
	}
	report_flush(w);
}

static void report_functions(struct report *w)
{
	/* "self %  total %  self time  " takes 28 columns; a third of the rest is the module's. */
	unsigned int rest = w->options.width - 28;
	unsigned int module = rest >= 30 ? MIN(rest / 3, 32u) : 0;
	unsigned int name = module ? rest - module - 2 : rest, shown = 0;

	report_heading(w, "self %  total %       self  function");
	qsort(w->items, w->frames.n, sizeof(*w->items), report_compare);
	for (size_t i = 0; i < w->frames.n && shown < w->options.rows; i++) {
		/* Gap frames have a table of their own; here only where they took the time. */
		if (!w->items[i].total ||
		    (!w->items[i].self &&
		     w->frames.items[w->items[i].index].kind == PROFILE_REASON))
			continue;
		report_function(w, &w->items[i], name, module);
		shown++;
	}
}

static void report_process(struct report *w, const struct report_row *row, unsigned int name)
{
	const struct profile_process *proc = &w->profile->processes[row->index];
	const char *comm = intern_get(&w->profile->strings, proc->comm);
	double share = report_percent(row->total, w->totals.value);
	double complete = report_percent(row->complete, row->count);

	buf_printf(&w->line, "%s%6.2f%s  ", report_heat(w, share), share,
		   *report_heat(w, share) ? report_colour(w, RESET) : "");
	report_time(&w->line, row->total);
	buf_printf(&w->line, "  %s%6.1f%s  ", complete < 95 ? report_colour(w, AMBER) : "",
		   complete, complete < 95 ? report_colour(w, RESET) : "");
	if (proc->pid)
		buf_printf(&w->line, "%7" PRIu32 "  ", proc->pid);
	else
		buf_printf(&w->line, "%7s  ", "-");
	(void)utf8_fit(&w->line, *comm ? comm : "[no process name]", name);
	report_flush(w);
}

static void report_processes(struct report *w)
{
	size_t n = w->profile->n_processes, shown = 0;

	report_heading(w, "share %       time  complete %    pid  process");
	qsort(w->processes, n, sizeof(*w->processes), report_compare);
	for (size_t i = 0; i < n && shown < w->options.rows; i++) {
		if (!w->processes[i].count)
			continue;
		report_process(w, &w->processes[i], w->options.width - 37);
		shown++;
	}
}

static int report_by_count(const void *pa, const void *pb)
{
	const struct report_row *a = pa, *b = pb;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

/* Why stacks were cut: the gap frames by the number of samples that have them. */
static void report_reasons(struct report *w)
{
	bool any = false;

	qsort(w->items, w->frames.n, sizeof(*w->items), report_by_count);
	for (size_t i = 0; i < w->frames.n; i++) {
		const struct report_row *row = &w->items[i];

		if (!row->count || w->frames.items[row->index].kind != PROFILE_REASON)
			continue;
		if (!any) {
			report_flush(w);
			report_heading(w, "  samples       %  stack cut because");
		}
		any = true;
		buf_printf(&w->line, "%9" PRIu64 "  %6.2f  ", row->count,
			   report_percent(row->count, w->totals.count));
		(void)utf8_fit(&w->line, frames_name(&w->frames, w->profile, row->index),
			       w->options.width - 19);
		report_flush(w);
	}
}

static void report_footer(struct report *w)
{
	const struct profile *p = w->profile;
	const struct profile_totals *t = &w->totals;
	_cleanup_buf_ struct buf text = BUF_INIT(LINE_MAX_);
	const char *event = intern_get(&p->strings, p->event);

	report_flush(w);
	buf_printf(&text, "%" PRIu64 " samples", t->count);
	if (*event)
		buf_printf(&text, " of %s", event);
	if (p->period_ns)
		buf_printf(&text, " at %.0f Hz", 1e9 / (double)p->period_ns);
	buf_printf(&text, ", %.2f CPU-seconds", (double)t->value / 1e9);
	if (p->duration_ns)
		buf_printf(&text, " in %.1f s", (double)p->duration_ns / 1e9);
	(void)utf8_fit(&w->line, buf_cstr(&text), w->options.width);
	report_flush(w);
	buf_reset(&text);
	buf_printf(&text, "lost %" PRIu64 ", complete %.1f %%, named %.1f %%", p->lost,
		   report_percent(t->complete, t->count),
		   report_percent(t->named_frames, t->frames));
	buf_adds(&w->line, report_colour(w, p->lost ? AMBER : DIM));
	(void)utf8_fit(&w->line, buf_cstr(&text), w->options.width);
	buf_adds(&w->line, report_colour(w, RESET));
	report_flush(w);
}

int report_print(FILE *f, const struct profile *p, const struct report_options *o)
{
	_cleanup_(report_done) struct report w = {
		.profile = p, .f = f, .line = BUF_INIT(LINE_MAX_)};
	int r;

	if (o)
		w.options = *o;
	if (!w.options.width)
		w.options.width = WIDTH_DEFAULT;
	w.options.width = MAX(w.options.width, WIDTH_MIN);
	if (!w.options.rows)
		w.options.rows = ROWS_DEFAULT;
	r = frames_init(&w.frames, p);
	if (r < 0)
		return r;
	r = report_sum(&w);
	if (r < 0)
		return r;
	if (w.totals.count) {
		report_functions(&w);
		report_flush(&w);
		report_processes(&w);
		report_reasons(&w);
	}
	report_footer(&w);
	return w.line.failed ? w.line.failed : ferror(f) ? -EIO : 0;
}
