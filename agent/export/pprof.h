/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a profile as pprof: gzip around google/pprof's proto/profile.proto. One sample type,
 * cpu/nanoseconds, with the period type the same, because these are part of what Pyroscope calls
 * the type of a profile. There are no comments. Beside the profile, encoding takes a few bytes per
 * table entry, the profile's bytes before compression, and the compressor's 200 KiB.
 *
 * The format has no field for the event (cpu-clock, cycles) that would not change the meaning of
 * another; with label_event each sample carries the label "event".
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/export/profile.h"

#define PPROF_STRING_MAX 65535u /* bytes; Pyroscope cuts longer ones and keeps the tail */

struct pprof_options {
	/* Which processes' samples; NULL: all. Only what these samples use is written. */
	bool (*want)(const struct profile *p, uint32_t process, void *data);
	void *data;
	/* Of the wanted samples, leave out the first `skip`, stop after `limit` (0: no limit). */
	size_t skip, limit;
	size_t max_raw_bytes; /* -E2BIG when larger before compression; 0: no limit */
	bool label_pid;	      /* numeric sample label "pid" */
	bool label_tid;	      /* numeric sample label "tid" */
	bool label_comm;      /* sample label "comm": the process's name, or the thread's */
	bool label_event;     /* sample label "event" */
	bool comm_frame;      /* the process's name as outermost frame */
};

/* Appends to out. The number of samples written (0: none was wanted; out is a valid, empty
 * profile), or -ENOMEM, -E2BIG (max_raw_bytes, or the maximum of out). o may be NULL. */
int64_t pprof_encode(const struct profile *p, const struct pprof_options *o, struct buf *out);
