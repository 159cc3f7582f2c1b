/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct session: one profiling of this host from the first sample to the named profile. It joins
 * what knows nothing of each other: the kernel's records, the files, late unwinding, the stacks of
 * the interval, the processes and the names. `record` uses one for its duration, `run` one for
 * ever, collecting again and again.
 */
#pragma once

#include "agent/export/profile.h"
#include "agent/profiler.h"
#include "symbolizer/demangle.h"

struct session;

struct session_options {
	struct profiler_options profiler;
	enum demangle_mode demangle;
	const char *cache_dir; /* NULL: the default; "": no cache on disk */
};

int session_new(struct loop *loop, const struct session_options *o, struct session **ret);
struct session *session_free(struct session *s);
DEFINE_CLEANUP(struct session *, session_free)

struct profiler *session_profiler(struct session *s); /* borrowed */
int session_start(struct session *s);
void session_stop(struct session *s);

/*
 * Takes over what the kernel has counted so far, so that its tables have room for more, and stacks
 * whose announcement was lost are announced again. The interval goes on.
 */
int session_absorb(struct session *s);
/* Late samples that still wait for their files. The loop must run for them to get done. */
size_t session_pending(const struct session *s);
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
