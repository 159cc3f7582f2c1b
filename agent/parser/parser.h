/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct parser: the agent's side of the sandboxed parser process. It queues files, keeps at most
 * one child (started when there is work, let go when there was none for a minute), gives each file
 * a deadline, survives whatever happens to the child, and trusts nothing that comes back: the
 * memfd is the agent's own, sealed and measured before it is mapped.
 */
#pragma once

#include <errno.h>

#include "agent/base/macro.h"

struct loop;
struct parser;
struct table;

enum parser_failure {
	PARSER_FAIL_BUILD,    /* the builder said so: not ELF, too big, no memory... */
	PARSER_FAIL_TABLE,    /* what it built is not a table, or was not let go of */
	PARSER_FAIL_PROTOCOL, /* it answered what it was not asked */
	PARSER_FAIL_DEADLINE, /* wall-clock or CPU limit */
	PARSER_FAIL_SECCOMP,  /* a forbidden system call */
	PARSER_FAIL_CRASH,    /* any other death by its own fault */
	PARSER_FAIL_KILLED,   /* SIGKILL from elsewhere, or it just left */
	PARSER_FAIL_START,    /* the child could not be started */
	PARSER_FAIL_MAX,
};
const char *parser_failure_name(enum parser_failure f);

/* Of a result: not the fault of what was asked for, another time there may be an answer. What does
 * not fit into the child's memory never will. */
static inline bool parser_may_answer_later(int r)
{
	return r == -EIO || r == -ECHILD;
}

struct parser_result {
	/*
	 * 0, the builder's negative errno, or: -EBADMSG no table came back, -ETIMEDOUT, -EACCES
	 * forbidden system call, -EFAULT crash, -EIO the child was killed or left (not the file's
	 * fault: may be tried once more), -ECHILD or another reason why no child can be started.
	 */
	int r;
	/*
	 * The callback takes what it wants with TAKE_PTR / TAKE_FD, the rest is freed after it.
	 * in_fd: the file that was asked for. On success only: the table, and in fd the sealed
	 * memfd behind it, open for reading.
	 */
	int in_fd;
	int fd;
	struct table *table;
	uint32_t flags; /* of the builder */
	uint64_t us;	/* the child's time */
};

typedef void (*parser_done_fn)(void *data, struct parser_result *result);

struct parser_options {
	uint32_t deadline_ms; /* 0: 30 s a file, from when the child gets it */
	uint32_t cpu_ms;      /* 0: 20 s of CPU a file */
	uint32_t idle_ms;     /* 0: the child ends after 60 s without work */
	uint64_t table_bytes; /* 0: SANDBOX_FILE_BYTES */
};

struct parser_stats {
	uint64_t requests, tables, failures[PARSER_FAIL_MAX];
	uint64_t starts, deaths; /* deaths: ends that were not asked for */
	uint64_t build_us;	 /* sum over all answers */
	uint64_t queued;	 /* now */
	uint64_t peak_kib;	 /* highest VmHWM of any child, read after each answer */
	uint32_t missing;	 /* sandbox_layer mask of the last child */
	pid_t pid;		 /* 0: no child now */
};

#define PARSER_QUEUE_MAX 4096

/*
 * exe_argv: what /proc/self/exe is started with ({"tephra", "--parser-child", NULL}), borrowed for
 * the parser's life; the child finds its socket at CHILD_SOCKET and calls child_main(). o may be
 * NULL. Nothing is started yet.
 */
int parser_new(struct loop *loop, const char *const *exe_argv, const struct parser_options *o,
	       struct parser **ret);
/* Callbacks of what is still queued are not called. Not from a callback. */
struct parser *parser_free(struct parser *p);
DEFINE_CLEANUP(struct parser *, parser_free)

/*
 * Queues a file. fd is taken in any case. `kind` goes to the builder. fn is called once from the
 * loop, never from here, unless cancelled. 0, -ENOBUFS when the queue is full, -ENOMEM.
 */
int parser_request(struct parser *p, int fd, uint32_t kind, parser_done_fn fn, void *data);
/* The same for up to 32 files that belong together (CHILD_FILES_MAX); the first is in_fd of the
 * result. All are taken in any case. Also -EINVAL for none or too many. */
int parser_request_files(struct parser *p, const int *fds, size_t n, uint32_t kind,
			 parser_done_fn fn, void *data);
/* Forgets every request with this data; what the child is at is finished and thrown away. */
void parser_cancel(struct parser *p, const void *data);

void parser_get_stats(struct parser *p, struct parser_stats *ret);

/*
 * Starts a child on a loop of its own, waits for it to be in its sandbox (5 s), ends it: for
 * `tephra check`. 0 with the mask of missing layers, or why there can be no sandbox.
 */
int parser_check(const char *const *exe_argv, uint32_t *ret_missing);
