/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs share among themselves: the maps, the knobs and the per-CPU state of the
 * sample that is being walked. Never included outside bpf/.
 */
#pragma once

#include "bpf/arch.bpf.h"
#include "bpf/kernel.h"
#include "bpf/runtimes.h"

#include <stddef.h>

/* ---- Knobs, set before the programs are loaded ---- */
extern const volatile __u32 max_user_frames; /* at most STACK_MAX_USER */
extern const volatile __u32 rule_cache_mask; /* entries - 1 */
extern const volatile __u32 n_cpus;
extern __u32 filter_epoch;	    /* see struct verdict */
extern __u32 process_epoch;	    /* see struct process_memo */
extern __u32 memo_epoch;	    /* raised when user space forgets files: their ids must not come
				     * back from a memo */
extern const volatile __u32 pid_ns; /* inode number of the agent's pid namespace; 0: the host's */

/* ---- State of one CPU ----
 * One element of `cpus` a CPU: the sample's walk, the record it may become and the counters. A
 * perf_event program is not interrupted by itself, so nothing here needs a lock.
 */
/* Of an element of a map that is mapped, which begins at a page. */
#define CACHE_LINES  __attribute__((aligned(64)))
#define WINDOW_BYTES 1024
#define PID_NS_DEPTH 8 /* namespaces in namespaces; the kernel allows 32 */

/*
 * A mapping found before, valid while the address space has not changed since: mm_lock_seq counts
 * the changes (6.4 and later; without it nothing is remembered). An address space that was freed
 * and made again at the same place differs in where its stack and heap begin.
 */
#define RANGE_MEMOS  256
#define MAPLE_PIVOTS 15 /* of a maple_range_64; a maple_arange_64 has 9 */

struct range_memo {
	u64 mm, layout;
	u32 seq, epoch;
	struct range range;
	u64 room;
};
_Static_assert(sizeof(struct range_memo) == 64, "one cache line");

/* Whether a process is wanted, for its control groups or its id; true while the filter is the same
 * and, when it is for the id, the process. */
#define VERDICTS 16

enum verdict_wanted {
	VERDICT_UNWANTED,
	VERDICT_GROUP,
	VERDICT_ID,
};

struct verdict {
	u64 groups; /* address of the css_set */
	u64 start;  /* of a process whose id is wanted */
	u32 tgid, epoch;
	u32 wanted, pad;
};

/* What the last process with code without a file was found to be; true while user space has told
 * nothing new of any. */
struct process_memo {
	struct process_key key;
	struct process_value value;
	u32 epoch, valid;
};

/* Mappings that hold no code, met by late_scan_word(): the words of a stack that are no return
 * addresses point into few of them. */
#define DATA_SPANS 8

struct span {
	u64 start, size;
};

/* The loop of an interpreter that the walk has come to. */
struct loop_frame {
	u64 frame; /* frame word; 0: the walk is at code without a file */
	u64 rule;  /* how it is left */
	u64 load;  /* where the byte 0 of the file would lie, by the mapping of the code */
	u64 end;   /* of the native frame, which begins at c->r.sp; 0: not known */
	u32 file;
	u32 leaving; /* its frames are pushed: native_step() goes on with the caller */
};

struct cpu_state {
	u64 stats[STAT_MAX];
	u64 runtime_stats[RUNTIMES_ROOM][RUNTIME_STATS_MAX];
	struct verdict verdicts[VERDICTS];
	struct process_memo process;
	struct task_id known; /* the last one that user space had heard of... */
	u32 known_epoch, pad; /* ... when the epoch of all was this */
	u32 files_named;      /* ids given out by this CPU */
	u32 rules_kept;	      /* pairs this CPU has put into rule_cache */
	/* The sample. */
	struct walk_regs r;
	struct task_id id;
	u64 mm;	       /* address of the mm_struct */
	u64 mm_layout; /* see struct range_memo; 0: not remembered */
	u32 mm_seq, cpu;
	u64 hash;
	u32 n_kernel, n_user; /* words of `frames` */
	u32 n_frames;	      /* of the user stack: those of runtimes take two words */
	u32 in_kernel;	      /* where the sample interrupted */
	/* Runtimes. */
	u32 mode;	     /* who takes the next step: enum runtime_id, 0 native_step() */
	u32 process_runtime; /* of code without a file, plus 1; 0: not looked up */
	u32 gap;	     /* something is missing in the middle */
	u64 names_from;	     /* before that, some names were others; 0: they never were */
	u64 code_from;	     /* the same of what compiled code is called */
	u32 wake;	     /* names must be read while the process lives: no waiting */
	u32 capturing;	     /* see loops_capture() */
	u32 n_loops;	     /* words that were captured, behind the n_user ones */
	u64 serial;	     /* of the sample: state of a runtime that has another is old */
	u64 thread_pointer;
	u64 not_managed; /* a pc that turned out to be nobody's */
	u64 blocked;	 /* frame word whose rows are not loaded */
	/* Rows of code without a file: struct process_value. */
	u64 code_start, code_size;
	u32 code_file;
	u32 code_pad;
	struct loop_frame loop;
	u32 current_range, n_ranges;
	u32 next_rule; /* predicted index in rule_cache */
	u64 rule;      /* see rule_learn() */
	u32 result;    /* of the walk: enum walk_outcome */
	u32 reason;
	/* A window over the stack: reading it in one piece costs less than frame by frame. */
	u64 window_start;
	u32 window_valid;
	/* What would take too much of the 512 bytes of stack. */
	ARCH_REGS user;
	u64 pivots[MAPLE_PIVOTS];
	u64 tree; /* where the search of a mapping is: a node; then the mapping */
	struct {
		u64 dentry, mnt;
		u32 used;    /* bytes of file.path */
	} path;		     /* where the walk to the root is */
	u32 window_refused;  /* a read of the whole window failed: near the end of the mapping */
	struct span no_code; /* set by vma_resolve() when it refuses an address: what lies there */
	struct span data_spans[DATA_SPANS]; /* a ring */
	u32 n_data_spans;
	u8 window[WINDOW_BYTES];
	/* Those of the walk, and of earlier ones while these agree: see struct range_memo. */
	struct {
		u64 mm, layout;
		u32 seq, epoch;
	} ranges_of;
	struct range ranges[WALK_RANGES];
	struct range_memo memos[RANGE_MEMOS];
	/* Records. The frames of the sample are collected in `stack`. */
	struct event_task task;
	struct event_file file;
	struct event_stack stack;
	u64 frames[FRAMES_ROOM]; /* stack.frames */
};
_Static_assert(offsetof(struct cpu_state, frames) ==
		       offsetof(struct cpu_state, stack) + sizeof(struct event_stack),
	       "the frames follow their header");

#define barrier() asm volatile("" ::: "memory")

enum walk_outcome {
	OUTCOME_WALKING = 0,
	OUTCOME_COMPLETE,
	OUTCOME_CUT,  /* for `reason` */
	OUTCOME_LATE, /* user space finishes it */
};

struct cpus_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of possible CPUs */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct cpu_state);
};
extern struct cpus_map cpus SEC(".maps");

/* Records for user space. */
struct events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
};
extern struct events_map events SEC(".maps");

/* Processes that are profiled, by tgid. */
struct targets_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u64); /* start in ticks, see START_TICK_NS */
};
extern struct targets_map target_tgids SEC(".maps");

/* The id that the agent's /proc has for a thread (or, of a group leader, for the process). */
static __always_inline u32 visible_id(struct task_struct *task, u32 host_id)
{
	struct pid *pid;
	u32 level;

	if (!pid_ns)
		return host_id;
	pid = BPF_CORE_READ(task, thread_pid);
	level = BPF_CORE_READ(pid, level);
	for (u32 i = 0; i < PID_NS_DEPTH && i <= level; i++) {
		struct upid *at = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				  i * bpf_core_type_size(struct upid);

		if (BPF_CORE_READ(at, ns, ns.inum) == pid_ns)
			return BPF_CORE_READ(at, nr);
	}
	return host_id | TASK_HIDDEN;
}

static __always_inline struct cpu_state *cpu_state_of(u32 cpu)
{
	return bpf_map_lookup_elem(&cpus, &cpu);
}

/* Wakes user space when a quarter of the ring is used; BPF_RB_NO_WAKEUP else. */
static __always_inline u64 ring_wakeup(void)
{
	u64 used = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	u64 size = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);

	return used > size / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Sends a record; false when the ring was full, which is counted. */
static __always_inline int event_send(struct cpu_state *c, void *record, u32 bytes, u64 wakeup)
{
	if (bpf_ringbuf_output(&events, record, bytes, wakeup) == 0)
		return 1;
	c->stats[STAT_LOST_RING]++;
	return 0;
}

static __always_inline void push_word(struct cpu_state *c, u64 word)
{
	u32 at = c->n_kernel + c->n_user;

	if (c->capturing) {
		at += c->n_loops;
		if (at >= LATE_FRAMES_MAX)
			return;
		c->n_loops++;
	} else {
		c->n_user++;
		c->hash = stack_hash(c->hash, word);
	}
	c->frames[at & (FRAMES_ROOM - 1)] = word;
}

/* Of two memos that a thing may be in: is it the second one - or, when it is in none, is that the
 * one to forget, as it was seen before the other? Nothing of the second is touched when the first
 * fits. */
#define SECOND_OF_TWO(fits, other_fits, m, other, serial) \
	(!(fits) && ((other_fits) || (u32)(serial) - (other)->seen > (u32)(serial) - (m)->seen))

/* ---- For runtimes (bpf/NAME.bpf.c) ----
 * What each of them defines:
 *
 *   int NAME_step(u32 cpu);     one step while c->mode is the runtime's: at most a frame or two.
 *       Nonzero: c->result says how the walk ended.
 *   int NAME_capture(u32 cpu);  gets ready to step through the thread's frames from where this
 *       sample has come to, without the native frames in between. 1: ready. 0: there are none.
 *
 * An interpreter with a loop in a file (RULE_LOOP) finds the loop's frame in c->loop, and calls
 * loop_leave() when all frames of this activation are pushed. Who walks code without a file gets
 * the registers in c->r, and replaces them by the caller's.
 */
static __always_inline void push_managed(struct cpu_state *c, u32 runtime, u64 value, u64 more)
{
	u64 frame = FRAME_OF_RUNTIME(runtime, value & RUNTIME_VALUE_MASK),
	    rest = FRAME(FRAME_MORE, more);
	u32 at = c->n_kernel + c->n_user;

	c->n_frames++;
	if (c->capturing) {
		push_word(c, frame);
		push_word(c, rest);
		return;
	}
	c->n_user += 2;
	c->hash = stack_hash(stack_hash(c->hash, frame), rest);
	c->frames[at & (FRAMES_ROOM - 1)] = frame;
	c->frames[(at + 1) & (FRAMES_ROOM - 1)] = rest;
}

static __always_inline int stack_is_full(const struct cpu_state *c)
{
	return c->n_frames >= max_user_frames || c->n_user >= STACK_MAX_WORDS;
}

/* Something is missing here; the stack goes on below. */
static __always_inline void push_runtime_reason(struct cpu_state *c, u32 runtime, u32 code)
{
	c->gap = 1;
	push_word(c, RUNTIME_REASON(runtime, code));
}

static __always_inline void runtime_count(struct cpu_state *c, u32 runtime, u32 stat)
{
	c->runtime_stats[runtime & (RUNTIMES_ROOM - 1)][stat & (RUNTIME_STATS_MAX - 1)]++;
}

/*
 * The frames of one activation are complete. While frames are captured there is no native frame to
 * go on with: the next activation's follow. `at`: an address in the native frame that they belong
 * to, by which user space tells it from others; 0: not known.
 */
static __always_inline void loop_leave(struct cpu_state *c, u64 at)
{
	if (c->capturing) {
		push_word(c, FRAME(FRAME_NONE, at));
		return;
	}
	c->mode = RUNTIME_NONE;
	c->loop.leaving = 1;
}

/* Code without a file that is not the runtime's after all. */
static __always_inline void not_managed(struct cpu_state *c)
{
	c->mode = RUNTIME_NONE;
	c->not_managed = c->r.pc;
}

#define RUNTIME(name, NAME)         \
	int name##_step(u32 cpu);   \
	int name##_claims(u32 cpu); \
	int name##_capture(u32 cpu);
#include "bpf/runtimes.inc"
#undef RUNTIME

/* ---- bpf/managed.bpf.c ---- */
extern __u32 keep_loops; /* show the frames of interpreters' loops, too */

/* What the process's code without a file is: sets c->process_runtime, c->code_*. 0: user space has
 * not looked yet. */
int process_find(u32 cpu);
/* A step through such code before user space has looked, by a runtime that needs no more than what
 * lies on the stack. 0: nobody could. */
int code_claimed(u32 cpu);
/* Before a sample goes to user space: the frames of interpreters that the walk has not come to. */
int loops_capture(u32 cpu);
/* Some steps of the walk. Nonzero: it has ended. */
int walk_some(u32 cpu);
#define WALK_STEPS 64
/* A frame of a runtime, of two words, takes up to four. */
#define WALK_STEPS_MAX (STACK_MAX_WORDS / 2 * 4)

/* ---- bpf/vma.bpf.c ----
 * Finds the mapping of an address and the file behind it and appends it to c->ranges. Returns the
 * index, or -1: no executable mapping there.
 */
int vma_resolve(u32 cpu, u64 addr);

/* ---- bpf/native.bpf.c ----
 * One frame: pushes the frame of c->r.pc and replaces the registers by the caller's. 0: go on;
 * else c->result says how the walk ended.
 */
int native_step(u32 cpu);

/* ---- bpf/late.bpf.c ----
 * Sends the sample as it is to user space, with the stack and the mappings its words point into.
 * 0: sent.
 */
int late_send(u32 cpu);
