/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a configuration takes from text to a built graph, and again with nothing changed, and
 * how long one takes in which every line is wrong. Medians of N rounds, as one JSON object.
 */
#include <inttypes.h>
#include <malloc.h>
#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/registry.h"
#include "agent/config/graph.h"
#include "agent/http/multi.h"

#define LINES	   2000
#define MAX_ROUNDS 1000

/* 20 lines: two rules, a profiler's module and a server. */
static const char chunk[] = "// one of many\n"
			    "discovery.relabel \"r%1$u\" {\n"
			    "\ttargets = [{\"__process_pid__\" = \"%1$u\", app = \"a%1$u\"}]\n"
			    "\trule {\n"
			    "\t\tsource_labels = [\"app\"]\n"
			    "\t\tregex         = `(.+?)(?::\\d+)?`\n"
			    "\t\ttarget_label  = \"service_name\"\n"
			    "\t\treplacement   = \"${1}\" // the name\n"
			    "\t}\n"
			    "}\n"
			    "pyroscope.write \"w%1$u\" {\n"
			    "\tendpoint {\n"
			    "\t\turl = \"http://127.0.0.1:\" + \"4040\"\n"
			    "\t}\n"
			    "\texternal_labels = {env = \"prod\", host = constants.hostname}\n"
			    "}\n"
			    "profiling \"p%1$u\" {\n"
			    "\ttargets = array.concat(discovery.relabel.r%1$u.output, [])\n"
			    "\tto      = [pyroscope.write.w%1$u.receiver]\n"
			    "}\n";

static const char module[] = "declare \"profiling\" {\n"
			     "\targument \"targets\" { }\n"
			     "\targument \"to\" { }\n"
			     "\tpyroscope.ebpf \"e\" {\n"
			     "\t\ttargets    = argument.targets.value\n"
			     "\t\tforward_to = argument.to.value\n"
			     "\t}\n"
			     "}\n";

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static double ms_since(uint64_t start)
{
	return (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e6;
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

struct bench {
	struct component_env env;
	size_t rounds, kib, errors_kib, components, errors;
	double load[MAX_ROUNDS], reload[MAX_ROUNDS], broken[MAX_ROUNDS];
};

static bool load_round(struct bench *b, size_t i, struct buf *text)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	size_t before = heap();
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	if (graph_load_text("bench", buf_cstr(text), text->len, &b->env, &d, &g) < 0)
		return false;
	b->load[i] = ms_since(start);
	b->kib = (heap() - before) >> 10;
	if (!graph_ok(g)) {
		diag_print(&d, stderr, false, 5);
		return false;
	}
	b->components = 0;
	for (size_t k = 0; k < b->env.n_types; k++) {
		const struct component *c = NULL;

		while ((c = graph_next(g, b->env.types[k], c)))
			b->components++;
	}
	start = clock_ns(CLOCK_MONOTONIC);
	if (graph_reload_text(g, "bench", buf_cstr(text), text->len, &d) < 0)
		return false;
	b->reload[i] = ms_since(start);
	return true;
}

static bool broken_round(struct bench *b, size_t i, struct buf *text)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	size_t before = heap();
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	if (graph_load_text("bench", buf_cstr(text), text->len, &b->env, &d, &g) < 0)
		return false;
	b->broken[i] = ms_since(start);
	b->errors_kib = (heap() - before) >> 10;
	b->errors = d.n_errors;
	return !graph_ok(g);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static bool measure(struct bench *b)
{
	_cleanup_buf_ struct buf text = BUF_INIT(8u << 20), broken = BUF_INIT(8u << 20);

	buf_adds(&text, module);
	for (unsigned int i = 0; i < LINES / 20; i++)
		buf_printf(&text, chunk, i);
	for (unsigned int i = 0; i < 10000; i++)
		buf_printf(&broken, "pyroscope.write \"w%u\" { endpoint = 'x' }\n", i);
	for (size_t i = 0; i < b->rounds; i++) {
		if (!load_round(b, i, &text) || !broken_round(b, i, &broken))
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct bench b;
	int rounds = argc > 1 ? atoi(argv[1]) : 20;

	b.rounds = (size_t)MIN(MAX(rounds, 1), MAX_ROUNDS);
	log_set_level(LOG_LEVEL_ERROR);
	b.env.types = component_registry(&b.env.n_types);
	if (loop_new(&b.env.loop) < 0 || http_multi_new(b.env.loop, &b.env.http) < 0)
		return 1;
	if (!measure(&b)) {
		fprintf(stderr, "config_load: the configuration does not load\n");
		return 1;
	}
	printf("{\"lines\": %d, \"components\": %zu, \"load_ms\": %.2f, \"reload_ms\": %.2f, "
	       "\"kib\": %zu, \"errors\": %zu, \"errors_ms\": %.2f, \"errors_kib\": %zu}\n",
	       LINES, b.components, median(b.load, b.rounds), median(b.reload, b.rounds), b.kib,
	       b.errors, median(b.broken, b.rounds), b.errors_kib);
	http_multi_free(b.env.http);
	loop_free(b.env.loop);
	return 0;
}
