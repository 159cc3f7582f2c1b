/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct runtimes: the runtimes that are wanted, as a session sees them: what the kernel is told of
 * a file that holds one, whose the frames of a stack are, and what they are called. It knows the
 * contract of unwinders/runtime.h and no single runtime.
 */
#pragma once

#include "agent/base/macro.h"
#include "agent/processes.h"
#include "bpf/runtimes.h"
#include "bpf/types.h"

struct loop;
struct native_walk;
struct profiler;
struct runtime_function;
struct runtimes;
struct table;
struct tables;

struct runtimes_options {
	struct loop *loop; /* borrowed, as all here */
	struct profiler *profiler;
	struct tables *tables;
	uint32_t disabled; /* bits by enum runtime_id */
	/* See struct processes_options. */
	int (*code)(void *data, struct process_key key, struct process_value *v);
	void (*ready)(void *data); /* late samples may go on */
	void *data;
};

int runtimes_new(const struct runtimes_options *o, struct runtimes **ret);
struct runtimes *runtimes_free(struct runtimes *r);
DEFINE_CLEANUP(struct runtimes *, runtimes_free)

#define RUNTIMES_HELP "python, hotspot"
/* The bit of a runtime by its name, 0: not built. */
uint32_t runtimes_bit(const char *name);
/* "all", "none", or names with commas between them, as bits of those that are not wanted. -EINVAL.
 */
int runtimes_parse(const char *text, uint32_t *ret_disabled);
/* Other ones are wanted from now on; true when that is a change. Who has told the kernel of files
 * must do so again. */
bool runtimes_set_disabled(struct runtimes *r, uint32_t disabled);

/* A file has got its table: the runtime that the kernel shall know it for (enum runtime_id). */
uint32_t runtimes_file(struct runtimes *r, uint32_t file_id, const struct table *t);
void runtimes_forget_file(struct runtimes *r, uint32_t file_id);

/* For native_walk(): see struct native_ops. */
uint32_t runtimes_of_frame(const struct runtimes *r, uint64_t frame);
int runtimes_code_step(struct runtimes *r, struct task_id id, struct native_walk *w);
void runtimes_code_changed(struct runtimes *r, struct process_key key);
size_t runtimes_pending(const struct runtimes *r);

void runtimes_on_record(struct runtimes *r, const struct event_runtime *e);
/* A stack has come: what names need of the process is read now. */
void runtimes_want(struct runtimes *r, struct task_id id, const uint64_t *frames, uint32_t n);
/* No more stacks for now: what was read of a process may be another the next time. */
void runtimes_release(struct runtimes *r);
/* Whether the words of a frame say something about one process only. */
bool runtimes_frame_is_per_process(uint64_t frame);
/*
 * The functions of a FRAME_MANAGED and its FRAME_MORE, innermost first, at most
 * RUNTIME_FUNCTIONS_MAX. Their number, or 0 and why (static text). Strings are valid until the next
 * call.
 */
int runtimes_name(struct runtimes *r, struct task_id id, uint64_t frame, uint64_t more,
		  struct runtime_function *ret, const char **ret_why);
/* The text of a FRAME_REASON of a runtime. */
const char *runtimes_reason(uint64_t frame);
void runtimes_next_interval(struct runtimes *r);

struct runtimes_stats {
	struct processes_stats processes;
	uint64_t kernel[RUNTIMES_ROOM][RUNTIME_STATS_MAX];
	uint64_t named[RUNTIMES_ROOM], unnamed[RUNTIMES_ROOM]; /* different frames, each interval */
};
void runtimes_get_stats(const struct runtimes *r, struct runtimes_stats *ret);
