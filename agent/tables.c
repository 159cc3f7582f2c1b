/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every load ends as DONE and is delivered by one timer, whether it was a hit, an error or a new
 * table: one path on which callbacks run, with the list in order.
 */
#include "agent/tables.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/filekey.h"
#include "agent/parser/build.h"
#include "agent/parser/parser.h"
#include "symbolizer/table.h"

#define DELIVERIES_A_TURN 64 /* then the loop looks at its other sources */

enum load_state { LOAD_PARSING, LOAD_SHARING, LOAD_DONE };

struct load {
	struct load *next;
	struct tables *tables; /* borrowed */
	enum load_state state;
	enum build_kind kind;
	struct filekey key;
	bool retried;
	int r;
	struct table *table;
	tables_done_fn fn; /* NULL: cancelled */
	void *data;	   /* borrowed */
};

struct tables {
	struct loop *loop;     /* borrowed */
	struct parser *parser; /* borrowed */
	struct tablecache *cache;
	struct loop_source *timer;
	struct load *first, **last;
	struct tables_stats stats;
};

static struct load *load_free(struct load *l)
{
	if (l)
		table_free(l->table);
	free(l);
	return NULL;
}

static void load_unlink(struct tables *t, struct load **at)
{
	*at = (*at)->next;
	if (!*at)
		t->last = at;
}

static void load_end(struct load *l, int r, struct table *table)
{
	l->state = LOAD_DONE;
	l->r = r;
	l->table = table;
	l->tables->stats.failed += r < 0;
	loop_set_timer(l->tables->timer, 0, 0);
}

static struct load *next_done(struct tables *t)
{
	for (struct load **at = &t->first; *at; at = &(*at)->next) {
		struct load *l = *at;

		if (l->state == LOAD_DONE) {
			load_unlink(t, at);
			return l;
		}
	}
	return NULL;
}

static void deliver(void *data)
{
	struct tables *t = data;

	for (int i = 0; i < DELIVERIES_A_TURN; i++) {
		struct load *l = next_done(t);

		if (!l)
			return;
		if (l->fn)
			l->fn(l->data, l->r, TAKE_PTR(l->table));
		load_free(l);
	}
	loop_set_timer(t->timer, 0, 0);
}

/* ---- building ---- */

/* The file-backed mapping when the cache takes it, else the one of the memfd. */
static struct table *store(struct tables *t, const struct filekey *key,
			   struct parser_result *result)
{
	struct table *table;

	if (t->cache && tablecache_put(t->cache, key, result->fd, &table) == 0)
		return table;
	return TAKE_PTR(result->table);
}

/* Another mapping for somebody who asked for the same contents meanwhile. */
static void share(struct load *l, const struct parser_result *result)
{
	struct tables *t = l->tables;
	struct table *table = NULL;
	int r = result->r;

	if (r == 0 && (!t->cache || tablecache_get(t->cache, &l->key, &table) < 0))
		r = table_open(result->fd, false, &table);
	load_end(l, r, table);
}

static void on_parsed(void *data, struct parser_result *result)
{
	struct load *l = data;
	struct tables *t = l->tables;

	/* Not the file's fault: the OOM killer, an operator. */
	if (result->r == -EIO && !l->retried) {
		l->retried = true;
		t->stats.retried++;
		if (parser_request(t->parser, TAKE_FD(result->in_fd), l->kind, on_parsed, l) == 0)
			return;
	}
	load_end(l, result->r, result->r == 0 ? store(t, &l->key, result) : NULL);
	for (struct load *i = t->first; i; i = i->next) {
		if (i->state == LOAD_SHARING && !strcmp(i->key.name, l->key.name))
			share(i, result);
	}
}

static bool is_being_built(const struct tables *t, const struct filekey *key)
{
	for (const struct load *l = t->first; l; l = l->next) {
		if (l->state == LOAD_PARSING && !strcmp(l->key.name, key->name))
			return true;
	}
	return false;
}

int tables_load(struct tables *t, int fd, enum build_kind kind, tables_done_fn fn, void *data)
{
	_cleanup_close_ int taken = fd;
	struct load *l = calloc(1, sizeof(*l));
	struct table *table = NULL;
	bool shared;
	int r;

	if (!l)
		return -ENOMEM;
	*l = (struct load){
		.tables = t, .state = LOAD_PARSING, .kind = kind, .fn = fn, .data = data};
	t->stats.loads++;
	r = filekey_read(fd, &l->key);
	if (r == 0 && kind != BUILD_FILE)
		filekey_set_kind(&l->key, kind);
	shared = r == 0 && is_being_built(t, &l->key);
	*t->last = l;
	t->last = &l->next;
	if (r < 0) {
		load_end(l, r, NULL);
	} else if (shared) {
		l->state = LOAD_SHARING;
		t->stats.shared++;
	} else if (t->cache && tablecache_get(t->cache, &l->key, &table) == 0) {
		load_end(l, 0, table);
	} else {
		r = parser_request(t->parser, TAKE_FD(taken), kind, on_parsed, l);
		if (r < 0)
			load_end(l, r, NULL);
	}
	return 0;
}

void tables_cancel(struct tables *t, const void *data)
{
	for (struct load *l = t->first; l; l = l->next) {
		if (l->data == data)
			l->fn = NULL;
	}
}

/* ---- life ---- */

int tables_new(struct loop *loop, struct parser *parser, const char *cache_dir,
	       uint64_t cache_budget_bytes, struct tables **ret)
{
	_cleanup_(tables_freep) struct tables *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->parser = parser;
	t->last = &t->first;
	t->timer = loop_add_timer(loop, deliver, t);
	if (!t->timer)
		return -ENOMEM;
	r = cache_dir ? tablecache_open(cache_dir, cache_budget_bytes, &t->cache) : 0;
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		(void)log_warn_errno(r, "cache: cannot use '%s', running without disk cache",
				     cache_dir);
	*ret = TAKE_PTR(t);
	return 0;
}

struct tables *tables_free(struct tables *t)
{
	if (!t)
		return NULL;
	loop_remove(t->timer);
	while (t->first) {
		struct load *l = t->first;

		t->first = l->next;
		parser_cancel(t->parser, l);
		load_free(l);
	}
	tablecache_close(t->cache);
	free(t);
	return NULL;
}

void tables_get_stats(const struct tables *t, struct tables_stats *ret)
{
	*ret = t->stats;
	ret->has_cache = t->cache;
	if (t->cache)
		tablecache_get_stats(t->cache, &ret->cache);
}
