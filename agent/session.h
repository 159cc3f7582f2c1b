/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct session: one profiling of this host from the first sample to the named profile. It joins
 * what knows nothing of each other: the kernel's records, the files, late unwinding, the stacks of
 * the interval, the processes and the names. `record` uses one for its duration, `run` one for
 * ever, collecting again and again.
 */
#pragma once

#include "agent/bpf_time.h"
#include "agent/debug_search.h"
#include "agent/line_cache.h"
#include "agent/export/profile.h"
#include "agent/files.h"
#include "agent/jit_names.h"
#include "agent/late.h"
#include "agent/naming.h"
#include "agent/parser/parser.h"
#include "agent/profiler.h"
#include "agent/rows_pool.h"
#include "agent/runtimes.h"
#include "agent/tables.h"
#include "symbolizer/demangle.h"

struct session;

struct session_options {
	struct profiler_options profiler;
	enum demangle_mode demangle;
	uint32_t no_runtimes;	      /* whose frames are not wanted: bits by enum runtime_id */
	bool measure_bpf;	      /* see bpf_time.h */
	const char *cache_dir;	      /* NULL: the default; "": no cache on disk */
	struct debug_dirs debug_dirs; /* the strings are borrowed for the session's life */
};

int session_new(struct loop *loop, const struct session_options *o, struct session **ret);
struct session *session_free(struct session *s);
DEFINE_CLEANUP(struct session *, session_free)

struct profiler *session_profiler(struct session *s); /* borrowed */
int session_start(struct session *s);
void session_stop(struct session *s);

/* Takes what the kernel has sent; some times a second. */
void session_poll(struct session *s);
/*
 * Takes over what the kernel has counted so far, so that its tables have room for more, and stacks
 * whose announcement was lost are announced again. The interval goes on.
 */
int session_absorb(struct session *s);
/*
 * Goes on with other options: those of profiler_change(), demangle and no_runtimes. Nothing is
 * lost: what was sampled until now is *ret, named in the old way.
 */
int session_change(struct session *s, const struct session_options *o, struct profile **ret);
/*
 * Asks for all that the names of this interval need and do not have yet, as far as it was absorbed:
 * whose code without a file is run is known by the counts. What is still awaited: late samples,
 * files, lines, names of generated code. The loop must run for it to come.
 */
size_t session_prepare(struct session *s);
/*
 * Throws away what was sampled until now; what was learned of files and processes stays. The
 * interval begins anew.
 */
int session_discard(struct session *s);
/*
 * What was sampled since the last call, named. With `final`, samples that still wait are counted
 * as they are; else they belong to the next interval. *ret may hold no samples.
 */
int session_collect(struct session *s, bool final, struct profile **ret);

struct session_status { /* since the start, for a status line */
	uint64_t samples, lost;
	double complete, named; /* shares of 1; of the user stacks seen so far */
};
void session_get_status(struct session *s, struct session_status *ret);

/* Everything that is counted, since the start; and the sizes of now. Cheap: reads no stack. */
struct session_stats {
	uint64_t kernel[STAT_MAX];
	struct naming_stats naming; /* of what was collected */
	struct jit_names_stats jit;
	struct runtimes_stats runtimes;
	struct late_stats late;
	struct files_stats files;
	struct tables_stats tables;
	struct parser_stats parser;
	struct rows_pool_stats rows;
	struct line_cache_stats lines;
	uint64_t intervals, collect_ns, collect_max_ns; /* session_collect() */
	uint64_t lost_user; /* samples that user space had no room for */
	uint64_t tasks_new; /* announced, again after exec */
	size_t late_waiting, files_loading;
	size_t stacks, stacks_bytes, tasks;
	size_t rows_budget, stacks_budget;
	uint64_t map_bytes; /* of the kernel's tables; at most a minute old */
	uint64_t period_ns;
	struct bpf_time_stats bpf;
};
void session_get_stats(struct session *s, struct session_stats *ret);
