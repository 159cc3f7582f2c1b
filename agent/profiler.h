/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct profiler: the kernel side as the agent sees it. Loads the BPF programs, opens one perf
 * event per CPU and keeps up with CPUs that come and go, spreads the sampling period, hands the
 * records of the ring buffer to its owner and collects the counts at the end of an interval.
 * It knows maps and records; what a file or a stack means is its owner's business.
 */
#pragma once

#include "agent/base/loop.h"
#include "bpf/runtimes.h"
#include "bpf/types.h"

struct profiler;
struct rows_pool_stats; /* agent/rows_pool.h */

enum profiler_event { PROFILER_EVENT_AUTO, PROFILER_EVENT_CYCLES, PROFILER_EVENT_CPU_CLOCK };

struct profiler_options {
	uint32_t frequency_hz;
	uint32_t interval_s;	  /* how often counts are collected: sizes the maps */
	uint32_t max_user_frames; /* 0: STACK_MAX_USER */
	uint32_t filter;	  /* enum filter_mode */
	uint32_t split;		  /* enum task_split */
	bool follow_children;	  /* of FILTER_TGID targets */
	bool kernel_stacks;
	bool keep_loops; /* frames of interpreters' loops beside those they stand for */
	enum profiler_event event;
	size_t rows_bytes; /* budget of loaded rows; 0: 8 MiB */
};

/* Called from profiler_poll() and the loop. Records are borrowed for the call. */
struct profiler_handler {
	void (*on_task)(void *data, const struct event_task *e);
	void (*on_file)(void *data, const struct event_file *e);
	void (*on_stack)(void *data, const struct event_stack *e, const uint64_t *frames);
	void (*on_late)(void *data, const struct event_late *e);
	void (*on_runtime)(void *data, const struct event_runtime *e);
	void (*on_page)(void *data, uint64_t frame); /* its rule is wanted */
	void (*on_end)(void *data);		     /* no more records for now; may be NULL */
	void *data;				     /* borrowed */
};

/*
 * -EPERM/-EACCES: a capability is missing; -EOPNOTSUPP: the kernel lacks something; both are
 * logged with the cure. Nothing is sampled before profiler_start().
 */
int profiler_new(struct loop *loop, const struct profiler_options *options,
		 const struct profiler_handler *handler, struct profiler **ret);
struct profiler *profiler_free(struct profiler *p);
DEFINE_CLEANUP(struct profiler *, profiler_free)

/*
 * Takes over what can change while samples are taken: frequency_hz, split, kernel_stacks,
 * keep_loops. Samples from now on are like that; a new frequency costs each CPU half a period,
 * once.
 */
void profiler_change(struct profiler *p, const struct profiler_options *o);
/* The same for enum filter_mode. */
void profiler_set_filter(struct profiler *p, uint32_t filter);
/* The time in which no CPU can fill its table of counts; drain at least so often. */
uint64_t profiler_patience_ms(const struct profiler *p);

int profiler_start(struct profiler *p);
/* Ends sampling; counts can still be drained. */
void profiler_stop(struct profiler *p);

/* Dispatches what the ring buffer holds. */
void profiler_poll(struct profiler *p);

/* Calls fn for every (CPU, stack, process) counted since the last call, after the records that
 * explain them were dispatched. Blocks for an RCU grace period (some 10 ms). 0 or an errno. */
typedef void (*profiler_count_fn)(void *data, const struct count_entry *e);
int profiler_drain(struct profiler *p, profiler_count_fn fn, void *data);

/* Counters since the start, summed over CPUs. */
void profiler_stats(const struct profiler *p, uint64_t ret[STAT_MAX]);
/* Name of a counter, as in /metrics. */
const char *profiler_stat_name(enum stat_id s);

const char *profiler_event_name(const struct profiler *p); /* "cycles" or "cpu-clock" */
uint64_t profiler_period_ns(const struct profiler *p);

/* ---- The kernel's tables ---- */
/* start_ticks: field 22 of /proc/PID/stat, so that a later process with the id is none; 0: any. */
int profiler_add_target(struct profiler *p, uint32_t tgid, uint64_t start_ticks);
void profiler_remove_target(struct profiler *p, uint32_t tgid);
int profiler_add_cgroup(struct profiler *p, uint64_t cgroup_id);
void profiler_remove_cgroup(struct profiler *p, uint64_t cgroup_id);
/* Takes targets that have exited out; returns how many are left (followed children count). */
size_t profiler_sweep_targets(struct profiler *p);
/* How the kernel treats a file from now on; runtime: enum runtime_id. Absent keys are ignored. */
int profiler_set_file(struct profiler *p, const struct file_key *key, uint32_t id,
		      enum range_state state, uint32_t runtime);
/* The kernel numbers and announces these files again when they are next met. */
void profiler_forget_files(struct profiler *p, const struct file_key *keys, size_t n);
/* The stacks will be delivered again when they are next met. */
void profiler_forget_stacks(struct profiler *p, const uint64_t *hashes, size_t n);
/* The process will be announced again when it is next met. */
void profiler_forget_task(struct profiler *p, struct task_id id);

/* What remembers how files were treated is not believed any more. */
void profiler_forget_ranges(struct profiler *p);

/* ---- Runtimes ---- */
/* The maps of a runtime: RUNTIME_files, RUNTIME_procs, RUNTIME_sent. -ENOENT: it has none such. */
int profiler_put(struct profiler *p, const char *runtime, const char *map, const void *key,
		 const void *value);
void profiler_remove(struct profiler *p, const char *runtime, const char *map, const void *key);
/* What the code without a file is in this process. */
int profiler_set_process(struct profiler *p, struct process_key key, const struct process_value *v);
void profiler_forget_process(struct profiler *p, struct process_key key);
/* Counters of all runtimes since the start, by enum runtime_id and the runtime's own number. */
void profiler_runtime_stats(const struct profiler *p,
			    uint64_t ret[RUNTIMES_ROOM][RUNTIME_STATS_MAX]);

/*
 * Loads one page of rows, evicting others over the budget. `rows` must have been validated
 * (rows_page_get()). 0, -EAGAIN while there is no room, or -E2BIG for a page that can never fit.
 */
int profiler_load_page(struct profiler *p, uint32_t file, uint32_t page,
		       const struct rows_page *rows);
/* The pages of a file that will not be asked for again. */
void profiler_forget_pages(struct profiler *p, uint32_t file);

/* The sampling program, for events of one's own (benchmarks). */
int profiler_program_fd(const struct profiler *p);

/* Memory of the maps, from the kernel's own accounting: a file of /proc for each. */
uint64_t profiler_map_bytes(const struct profiler *p);
/* The pages of unwind rows in the kernel. */
void profiler_rows_stats(const struct profiler *p, struct rows_pool_stats *ret);
/* Their budget in bytes. */
size_t profiler_rows_budget(const struct profiler *p);
/* Nanoseconds the programs ran and how often, when the kernel counts it (kernel.bpf_stats). */
int profiler_run_time(const struct profiler *p, uint64_t *ret_ns, uint64_t *ret_runs);
