/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct processes: the processes whose code has no file, and the runtime that made it. When the
 * kernel meets such code in a process that it knows nothing of, the sample waits here until the
 * tables of the files that the process has mapped executably say what it runs; what the runtime
 * reads of its memory then goes to the kernel. A process that is never sampled costs nothing, and a
 * file that was looked at once is known for all processes. The memory of a process stays readable
 * through its own descriptor, which never leads to another process.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/runtimes.h"
#include "bpf/types.h"

struct loop;
struct processes;
struct profiler;
struct runtime;
struct runtime_process;
struct tables;

/* At most, and half of what descriptors there may be. */
#define PROCESSES_MAX 4096

struct processes_options {
	struct loop *loop; /* borrowed, as all here */
	struct profiler *profiler;
	struct tables *tables;
	bool (*wanted)(void *data, const struct runtime *rt);
	/* What else the kernel shall know of the process's code: 0, or -EAGAIN until
	 * processes_code_changed(). */
	int (*code)(void *data, struct process_key key, struct process_value *v);
	void (*ready)(void *data); /* what was -EAGAIN may be answered now */
	void *data;
};

int processes_new(const struct processes_options *o, struct processes **ret);
struct processes *processes_free(struct processes *p);
DEFINE_CLEANUP(struct processes *, processes_free)

/*
 * The runtime of a process's code without a file: 0 with both results, borrowed until the loop
 * runs; -ENOENT: there is none; -EAGAIN: being found out, see `ready`.
 */
int processes_find(struct processes *p, struct task_id id, const struct runtime **ret_runtime,
		   const struct runtime_process **ret_process);
/* The answer of `code` is another one for this process. */
void processes_code_changed(struct processes *p, struct process_key key);
/* How many are being found out. */
size_t processes_pending(const struct processes *p);
/* All are looked at anew: the wanted runtimes have changed. */
void processes_forget(struct processes *p);
/*
 * Lets go of those that were not asked for lately. Of the others `learned` is asked first, whether
 * more is known of it than when the kernel was told (struct runtime).
 */
void processes_next_interval(struct processes *p,
			     bool (*learned)(void *data, const struct runtime *rt,
					     const struct runtime_process *process, void *proc),
			     void *data);

struct processes_stats {
	uint64_t known, with_runtime;		     /* now */
	uint64_t attached, refused, gone, not_ready, /* refused: by the runtime, for what it read */
		dropped;			     /* to make room */
};
void processes_get_stats(const struct processes *p, struct processes_stats *ret);
