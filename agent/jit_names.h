/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct jit_names: names and unwind rows of code that has no file, from what the runtimes
 * themselves write about it: /tmp/perf-PID.map as the process sees /tmp and its PID, a jit-PID.dump
 * that the process has mapped, and the object files that it registered through GDB's JIT interface
 * (jit_debug.h). A file is opened when the first such code of a process is met, kept open, so that
 * it can be read after the process is gone, read by the parser's child, and read again when it
 * changed, for a bounded share of a CPU. Processes that were not asked for lately are let go of,
 * and tables over the budget.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/runtimes.h"
#include "bpf/types.h"

struct code_map_hit;
struct jit_names;
struct parser;

#define JIT_NAMES_PROCESSES 256
#define JIT_NAMES_BUDGET    (64u << 20)

struct jit_names_options {
	struct parser *parser; /* borrowed */
	/* jit_names_code() has another answer; old_file: the pages of it are of no use any more, 0:
	 * there was none. */
	void (*changed)(void *data, struct process_key key, uint32_t old_file);
	/* What was -EAGAIN may be answered now. */
	void (*ready)(void *data);
	void *data;
};

/* -ENOMEM. */
int jit_names_new(const struct jit_names_options *o, struct jit_names **ret);
struct jit_names *jit_names_free(struct jit_names *j);
DEFINE_CLEANUP(struct jit_names *, jit_names_free)

/* There is code without a file in this process. Cheap when that is known. */
void jit_names_want(struct jit_names *j, struct task_id id);
/* Reads again what changed; `now`: also what was read a moment ago, once an interval. */
void jit_names_update(struct jit_names *j, bool now);
/* Some times a second: rows that are in use must not outlive the code that they are for, and code
 * that is registered gets its rows. */
void jit_names_watch(struct jit_names *j);
/* Files that are being read. The loop must run for them to be. */
size_t jit_names_pending(const struct jit_names *j);
/* -ENOENT. What is returned is valid until the loop runs. */
int jit_names_lookup(const struct jit_names *j, struct task_id id, uint64_t address,
		     struct code_map_hit *ret);
void jit_names_next_interval(struct jit_names *j);

/* Fills in for which code of the process there are rows. -EAGAIN: being found out. */
int jit_names_code(const struct jit_names *j, struct process_key key, struct process_value *v);

struct jit_rule {
	uint64_t rule;
	/* For the kernel, until the loop runs; page NULL: it shall ask again. */
	uint32_t file, number;
	const struct rows_page *page;
};

/* The rule of an address in such code. Where none is known it is looked whether there is one now.
 * -ENODATA: there are no rows in this process; -EAGAIN: being found out. */
int jit_names_rule(struct jit_names *j, struct task_id id, uint64_t address, struct jit_rule *ret);
/* The same for a frame word in a file of FILE_ID_CODE or above. */
int jit_names_rule_of_frame(struct jit_names *j, uint64_t frame, struct jit_rule *ret);

struct jit_names_stats {
	uint64_t processes, tables, functions, bytes;	       /* now */
	uint64_t reads, failed, refused, dropped, over_budget; /* refused: not of the process */
	uint64_t lists_cut; /* of what is registered, something was left out */
	uint64_t child_us;
};
void jit_names_get_stats(const struct jit_names *j, struct jit_names_stats *ret);
