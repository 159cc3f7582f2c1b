/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct profile: one named profile in memory, what every writer (pprof, folded, flame graph,
 * report) reads. Strings are interned ids of `strings`. Frames are interned too: a frame is one
 * line of one location, and a location (an address) expands to one or more frames when functions
 * were inlined there. Stacks are leaf first.
 */
#pragma once

#include "agent/base/intern.h"

enum profile_kind { /* what a frame is, for colours and grouping */
		    PROFILE_NATIVE,
		    PROFILE_KERNEL,
		    PROFILE_JIT,
		    PROFILE_REASON,  /* a gap: "[stack memory unreadable]" */
		    PROFILE_COMM,    /* the synthetic root: process or thread name */
		    PROFILE_MANAGED, /* Python, Java, ... */
		    PROFILE_KIND_MAX,
};

struct profile_mapping {
	uint64_t start, limit, offset; /* as in pprof; 0 where unknown */
	uint32_t file, build_id;       /* strings; build_id in hex or "" */
	bool has_functions, has_lines, has_inlines;
};

struct profile_function {
	uint32_t name;	      /* what a person reads (demangled) */
	uint32_t system_name; /* as the file has it */
	uint32_t file;
	uint32_t start_line; /* 0: unknown */
};

struct profile_line {
	uint32_t function; /* index into functions */
	uint32_t line;	   /* 0: unknown */
};

struct profile_location {
	uint64_t address;    /* virtual address in the ELF file (0 for managed frames) */
	uint32_t mapping;    /* index + 1 into mappings; 0: none */
	uint32_t first_line; /* index into lines: innermost (inlined) function first */
	uint16_t n_lines;    /* at least 1: a frame without a name is named module+0xoffset */
	uint8_t kind;	     /* enum profile_kind */
	bool named;	     /* false: the name is module+0xoffset or [unknown] */
};

struct profile_process {
	uint32_t pid;
	uint32_t tid;	    /* when threads are told apart; else 0 */
	uint32_t comm;	    /* string: its name, or the thread's when these are told apart */
	uint32_t exe;	    /* string: path, or "" */
	uint32_t container; /* string: id, or "" */
	uint32_t service;   /* string: what it is called on this host, or "" */
	uint64_t start_ns;  /* since boot; 0: unknown */
};

struct profile_sample {
	uint64_t value;	      /* nanoseconds of CPU */
	uint64_t count;	      /* samples */
	uint32_t first;	      /* index into stack_locations */
	uint32_t n_locations; /* leaf first */
	uint32_t process;     /* index into processes */
	bool complete;	      /* reached the thread's or process's entry, or has only kernel frames
				 of a kernel thread */
};

struct profile {
	struct intern strings;
	struct profile_mapping *mappings;
	struct profile_function *functions;
	struct profile_line *lines;
	struct profile_location *locations;
	struct profile_process *processes;
	struct profile_sample *samples;
	uint32_t *stack_locations; /* indices into locations, per sample a run */
	size_t n_mappings, n_functions, n_lines, n_locations, n_processes, n_samples,
		n_stack_locations;
	struct hash mapping_ids, function_ids, location_ids, stack_ids; /* for interning */

	uint64_t time_ns; /* start, CLOCK_REALTIME */
	uint64_t duration_ns;
	uint64_t period_ns; /* mean distance of two samples of one CPU */
	uint32_t event;	    /* string: "cpu-clock" or "cycles" */
	uint64_t lost;	    /* samples that were taken but could not be stored */
};

int profile_new(struct profile **ret);
struct profile *profile_free(struct profile *p);
DEFINE_CLEANUP(struct profile *, profile_free)

/* All of these intern: the same content gives the same index. They return the index, or a
 * negative errno (-ENOMEM, -E2BIG over 2^31 entries). Strings are copied. */
int64_t profile_add_mapping(struct profile *p, const struct profile_mapping *m);
int64_t profile_add_function(struct profile *p, const struct profile_function *f);
/* Locations are the same when mapping, address, kind and all lines are. */
int64_t profile_add_location(struct profile *p, uint64_t address, uint32_t mapping,
			     enum profile_kind kind, bool named, const struct profile_line *lines,
			     size_t n_lines);
/* Not interned: one process entry a call. */
int64_t profile_add_process(struct profile *p, const struct profile_process *proc);
/* The same stack of the same process adds to the sample that is there. */
int profile_add_sample(struct profile *p, uint32_t process, const uint32_t *locations, size_t n,
		       uint64_t value, uint64_t count, bool complete);

struct profile_totals {
	uint64_t value, count;
	uint64_t complete;	       /* samples with complete stacks */
	uint64_t frames, named_frames; /* weighted by samples; reason frames are not counted */
};
void profile_sum(const struct profile *p, struct profile_totals *ret);
