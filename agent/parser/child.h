/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that parses: enters the sandbox, then answers one request after the other on a
 * SOCK_SEQPACKET socket until the other end is closed. A request carries the descriptors of an
 * empty memfd to write the table to, and of the files to read. The memfd is the agent's, so the
 * child sends back numbers only and the agent never takes a descriptor from it. Between requests it
 * holds what its builder keeps (kept.h), and no descriptor.
 */
#pragma once

#include "agent/base/macro.h"
#include "agent/parser/sandbox.h"

#define CHILD_SOCKET 3		 /* the descriptor worker.c hands over */
#define CHILD_MAGIC  0x54504331u /* "TPC1" */

/* Sent once, after the sandbox was entered (r 0) or could not be (r < 0; the child then exits). */
struct child_hello {
	uint32_t magic;
	int32_t r;
	uint32_t missing; /* sandbox_layer mask */
	uint32_t pad;
};

#define CHILD_FILES_MAX 32 /* files of one request */

/* Agent to child, with SCM_RIGHTS {output, inputs...}: 1 to CHILD_FILES_MAX inputs. */
struct child_request {
	uint64_t id;
	uint32_t kind;	 /* passed to the builder */
	uint32_t cpu_ms; /* more CPU time than this ends the child (SIGPROF); 0: no limit */
};

struct child_reply {
	uint64_t id;
	int32_t r;	/* of the builder */
	uint32_t flags; /* of the builder */
	uint64_t us;	/* time spent, CLOCK_MONOTONIC */
};

/*
 * Reads the n files behind in_fds and writes a whole table to out_fd. All stay the caller's. 0 or a
 * negative errno. It leaves no mapping and no memory behind but what it keeps in data.
 */
typedef int (*child_build_fn)(void *data, const int *in_fds, size_t n, uint32_t kind, int out_fd,
			      uint32_t *ret_flags);

struct child_options {
	child_build_fn build;
	void *data;	       /* for build; borrowed, may be NULL */
	uint64_t memory_bytes; /* 0: SANDBOX_MEMORY_BYTES */
	uint64_t file_bytes;   /* 0: SANDBOX_FILE_BYTES */
};

/* Returns the exit status of the process, for _exit(). */
int child_main(int sock, const struct child_options *o);
