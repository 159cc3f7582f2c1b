/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct tables: from an open ELF file to its table: out of the disk cache when it is there, else
 * built by the parser child and stored. It joins filekey, tablecache and parser; it does not keep
 * tables, that is the caller's business.
 */
#pragma once

#include "agent/base/macro.h"
#include "agent/parser/build.h"
#include "agent/tablecache.h"

struct loop;
struct parser;
struct table;
struct tables;

/* r 0: the table is the receiver's (table_free()). Else NULL and why, see parser_result.r; also
 * -EOPNOTSUPP for a 32-bit file and -ENOBUFS when too many files wait (try later). */
typedef void (*tables_done_fn)(void *data, int r, struct table *table);

struct tables_stats {
	uint64_t loads, failed;
	uint64_t shared; /* waited for another load of the same contents */
	uint64_t retried;
	struct tablecache_stats cache;
	bool has_cache;
};

/*
 * cache_dir NULL: no disk cache. A directory that can not be used is logged and done without.
 * loop and parser are borrowed and must outlive it. 0 or -ENOMEM.
 */
int tables_new(struct loop *loop, struct parser *parser, const char *cache_dir,
	       uint64_t cache_budget_bytes, struct tables **ret);
/* Callbacks that are still due are not called. Not from a callback. */
struct tables *tables_free(struct tables *t);
DEFINE_CLEANUP(struct tables *, tables_free)

/* kind: BUILD_FILE, BUILD_DEBUG or BUILD_NAMES. fd is taken in any case. fn is called once, from
 * the loop, never from here - also for a hit. 0 or -ENOMEM (fn is not called then). */
int tables_load(struct tables *t, int fd, enum build_kind kind, tables_done_fn fn, void *data);
/* fn is not called any more for loads with this data. The work goes on, for the cache. */
void tables_cancel(struct tables *t, const void *data);

void tables_get_stats(const struct tables *t, struct tables_stats *ret);
