/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct runtime: the user half of an interpreter or a JIT compiler. What it does happens in two
 * places. In the sandboxed child it looks at an ELF file and describes the runtime that is in it;
 * in the agent it reads what is left to a process, and names frames. The kernel half is
 * bpf/NAME.bpf.c; what both share is bpf/NAME.h.
 *
 * A runtime knows no file ids, no maps and no pids: it gets memory and gives bytes.
 */
#pragma once

#include "agent/base/buf.h"
#include "bpf/runtimes.h"
#include "unwinders/native.h"
#include "unwinders/rows.h"
#include "unwinders/target_memory.h"

struct objfile;
struct table;
struct table_writer;

#define RUNTIME_FILE_BYTES_MAX 4096
#define RUNTIME_PROC_BYTES_MAX 1024
#define RUNTIME_LOOPS_MAX      64
#define RUNTIME_FUNCTIONS_MAX  64 /* of one frame: inlined ones */

/* What describe() finds. */
struct runtime_description {
	struct buf file;			    /* struct NAME_file, its file_bytes */
	struct rows_range loops[RUNTIME_LOOPS_MAX]; /* virtual addresses of the loop's code */
	size_t n_loops;
};

struct runtime_process {
	const void *file; /* struct NAME_file of its runtime */
	uint32_t file_id; /* its key in the map `NAME_files` */
	uint64_t bias;	  /* what to add to that file's virtual addresses */
	const void *proc; /* struct NAME_proc, as attach() wrote it; NULL without attach() */
	struct target_memory *memory; /* of the process; reads fail when it is gone */
	uint64_t key;		      /* of this process among all, also when its id comes back */
	struct process_key id;	      /* as the kernel half knows it */
};

/* A frame's two words. */
struct runtime_frame {
	uint64_t value; /* 52 bits */
	uint64_t more;	/* 56 bits */
	/* Whose it is: NULL when it was not found, or frames are not per process. */
	const struct runtime_process *process;
};

struct runtime_function {
	const char *name;
	const char *file;    /* "" unknown */
	uint32_t line;	     /* 0 unknown */
	uint32_t start_line; /* the same */
};

/* A counter in /metrics. */
struct runtime_stat {
	const char *name, *help;
};

struct runtime {
	const char *name;  /* "python", as in frames and metrics */
	uint32_t id;	   /* enum runtime_id */
	const char *title; /* "CPython", for people */
	/* The words of a frame say something about one process only. Else they mean the same
	 * everywhere, also when the process is gone. */
	bool per_process;
	/* Of struct NAME_file, the value of the map `NAME_files`, and of struct NAME_proc, the
	 * value of `NAME_procs`, which is there when it has bytes. */
	size_t file_bytes, proc_bytes;

	/*
	 * In the child, from a hostile file: 0 when the runtime is in it, -ENODATA when not,
	 * -ENOMEM. ret->file is empty; ret->loops may stay so.
	 */
	int (*describe)(struct objfile *o, struct runtime_description *ret);
	/* Is this a struct NAME_file that the kernel half can work with? The child may lie. */
	bool (*valid)(const void *file);

	/*
	 * For code without a file (else NULL): what the kernel half needs of a process. p->proc is
	 * not set. 0, -EAGAIN when the runtime has not got that far, or why there will be nothing.
	 */
	int (*attach)(const struct runtime_process *p, void *ret_proc);
	/* Code of another runtime may be in the same process, and would not be known for it. */
	bool attach_last;
	/*
	 * One step as NAME_step() takes it, over a recorded stack: pushes with native_push() and
	 * replaces w->regs. p is NULL when the process is gone: `attach_last` only. 0: go on.
	 * -ENOENT: the code is not the runtime's. -EIO: the stack ends here, with a reason that was
	 * pushed (native_push_reason()).
	 */
	int (*walk)(const struct runtime_process *p, struct native_walk *w);

	/* ---- Names: a state for each session ---- */
	int (*names_new)(void **ret); /* 0 or -ENOMEM */
	void (*names_free)(void *names);
	/* A record of the kernel half; bytes: of the whole record. */
	void (*on_record)(void *names, const struct event_runtime *e, size_t bytes);
	/* A stack with this frame has come: reads what its name will need, while the process is
	 * there. May be NULL. */
	void (*want)(void *names, const struct runtime_frame *f);
	/*
	 * The functions of a frame, innermost first, at most RUNTIME_FUNCTIONS_MAX: their number,
	 * or 0 and *ret_why says why not (static text, "[java: method unloaded]"). Strings are
	 * valid until the next call.
	 */
	int (*name_frame)(void *names, const struct runtime_frame *f, struct runtime_function *ret,
			  const char **ret_why);
	/*
	 * At intervals: changes proc by what was learned of the process since, for the kernel half
	 * to use. False: it is as it was. May be NULL.
	 */
	bool (*learned)(const void *names, const struct runtime_process *p, void *proc);
	/* Lets go of what was not asked for lately; `forget` is told the keys of records that the
	 * kernel half must send again: they are deleted from the map `NAME_sent`. */
	void (*next_interval)(void *names, void (*forget)(void *data, uint64_t key), void *data);

	const char *const *reasons; /* frames by code, from RUNTIME_REASON_UNSEEN on */
	size_t n_reasons;
	const struct runtime_stat *stats; /* of runtime_count(), in /metrics */
	size_t n_stats;
	struct runtime_stat named, unnamed; /* frames, as often as they were sampled */
};

/* By id, 1 to RUNTIME_MAX - 1. NULL for another. */
const struct runtime *runtime_get(uint32_t id);

/* ---- TABLE_RUNTIME ---- */
struct runtime_section {
	uint32_t runtime; /* enum runtime_id */
	uint32_t bytes;	  /* that follow: struct NAME_file */
};
/*
 * Asks each runtime. 0 and the id (RUNTIME_NONE: none is in the file) or -ENOMEM. runtime_write()
 * puts it into the table; runtime_description_done() frees it.
 */
int runtime_describe(struct objfile *o, struct runtime_description *ret, uint32_t *ret_id);
int runtime_write(uint32_t id, const struct runtime_description *d, struct table_writer *w);
void runtime_description_done(struct runtime_description *d);
/* The runtime in a table's file, and its checked struct NAME_file, borrowed from t. NULL: none. */
const struct runtime *runtime_of_table(const struct table *t, const void **ret_file);
