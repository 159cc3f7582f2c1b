/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What names cost: the child makes the table of a file, or looks up addresses in its debug
 * information; then every answer is asked for again and again, out of memory.
 * Usage: symbols_cost file|debug|lines FILE < ADDRESSES. Prints JSON: bytes of the symbols with
 * their names, how many there are, the child's time and peak memory, nanoseconds a warm lookup.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "agent/base/loop.h"
#include "agent/debug_file.h"
#include "agent/line_cache.h"
#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/parser/parser.h"
#include "agent/verbs.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"

#define ADDRESSES_MAX 65536
#define ROUNDS	      100

struct cost {
	struct loop *loop;
	struct parser *parser;
	uint64_t vaddrs[ADDRESSES_MAX];
	size_t n, answered, levels;
	struct table *table;
	int r;
	bool done;
	uint64_t child_us;
	double lookup_ns;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void read_addresses(struct cost *c)
{
	while (c->n < ADDRESSES_MAX) {
		uint64_t v = 0;
		int ch = getchar();

		while (ch != EOF && ch != '\n') {
			if (ch != 'x')
				v = v << 4 |
				    (uint64_t)(ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10);
			ch = getchar();
		}
		if (ch == EOF)
			return;
		c->vaddrs[c->n++] = v;
	}
}

static void on_table(void *data, struct parser_result *result)
{
	struct cost *c = data;

	c->r = result->r;
	c->child_us = result->us;
	c->table = TAKE_PTR(result->table);
	c->done = true;
}

static void make_table(struct cost *c, int fd, enum build_kind kind)
{
	uint64_t t0 = 0;

	c->r = parser_request(c->parser, fd, kind, on_table, c);
	while (c->r >= 0 && !c->done)
		(void)loop_once(c->loop, -1);
	if (c->r < 0 || !c->n)
		return;
	for (int round = 0; round <= ROUNDS; round++) {
		if (round == 1)
			t0 = now_ns();
		for (size_t i = 0; i < c->n; i++) {
			struct symtab_hit hit;

			c->answered += symtab_lookup(c->table, c->vaddrs[i], &hit) == 0;
		}
	}
	c->lookup_ns = (double)(now_ns() - t0) / ROUNDS / (double)c->n;
	c->answered /= ROUNDS + 1;
}

static size_t get_all(struct cost *c, struct line_cache *lines, struct debug_file *d)
{
	struct line_frame frames[LINE_FRAMES_MAX];
	size_t answered = 0;

	c->levels = 0;
	for (size_t i = 0; i < c->n; i++) {
		int n = line_cache_get(lines, d, c->vaddrs[i], frames);

		answered += n > 0;
		c->levels += n > 0 ? (size_t)n : 0;
	}
	return answered;
}

static void get_lines(struct cost *c, int fd)
{
	_cleanup_(line_cache_freep) struct line_cache *lines = NULL;
	struct debug_file d = {.state = DEBUG_READY, .fd = fd, .alt_fd = -1, .root_fd = -1};
	struct line_cache_stats stats;
	uint64_t t0;

	c->r = line_cache_new(c->loop, c->parser, SIZE_MAX, &lines);
	if (c->r < 0)
		return;
	(void)get_all(c, lines, &d);
	while (line_cache_pending(lines))
		(void)loop_once(c->loop, -1);
	t0 = now_ns();
	for (int round = 0; round < ROUNDS; round++)
		c->answered = get_all(c, lines, &d);
	c->lookup_ns = (double)(now_ns() - t0) / ROUNDS / (double)MAX(c->n, (size_t)1);
	line_cache_get_stats(lines, &stats);
	c->child_us = stats.child_us;
	c->r = stats.failed ? -EIO : 0;
}

static void print(struct cost *c)
{
	size_t symbols = 0, names = 0;
	struct parser_stats stats;

	parser_get_stats(c->parser, &stats);
	if (c->table) {
		(void)table_section(c->table, TABLE_SYMBOLS, &symbols);
		(void)table_section(c->table, TABLE_STRINGS, &names);
	}
	printf("{\"r\": %d, \"addresses\": %zu, \"answered\": %zu, \"levels\": %zu, "
	       "\"lookup_ns\": %.1f, \"child_ms\": %.1f, \"peak_kib\": %" PRIu64
	       ", \"symbols\": %u, \"bytes\": %zu}\n",
	       c->r, c->n, c->answered, c->levels, c->lookup_ns, (double)c->child_us / 1000,
	       stats.peak_kib, c->table ? symtab_count(c->table) : 0, symbols + names);
}

int main(int argc, char **argv)
{
	static const char *const child_argv[] = {"symbols_cost", PARSER_CHILD_VERB, NULL};
	static const struct child_options child = {.build = build_table};
	static struct cost c;
	int fd;

	if (argc == 2 && !strcmp(argv[1], PARSER_CHILD_VERB))
		return child_main(CHILD_SOCKET, &child);
	fd = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		fputs("usage: symbols_cost file|debug|lines FILE < ADDRESSES\n", stderr);
		return 2;
	}
	read_addresses(&c);
	if (loop_new(&c.loop) < 0 || parser_new(c.loop, child_argv, NULL, &c.parser) < 0)
		return 1;
	if (!strcmp(argv[1], "lines"))
		get_lines(&c, fd);
	else
		make_table(&c, fd, !strcmp(argv[1], "debug") ? BUILD_DEBUG : BUILD_FILE);
	print(&c);
	table_free(c.table);
	parser_free(c.parser);
	loop_free(c.loop);
	return c.r < 0;
}
