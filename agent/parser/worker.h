/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct worker: one child process on the event loop: started from /proc/self/exe, spoken to over
 * a SOCK_SEQPACKET socket, its end learned from a pidfd (no SIGCHLD handler, no waitpid(-1)). It
 * knows nothing of what is said.
 */
#pragma once

#include <sys/types.h>

#include "agent/base/macro.h"

struct loop;

struct worker {
	struct loop *loop; /* borrowed */
	pid_t pid;
	int pidfd, sock;
	struct loop_source *on_pidfd, *on_sock;
	const struct worker_ops *ops;
	void *data;	     /* borrowed */
	struct worker *next; /* for the owner's list */
};

#define WORKER_MESSAGE_BYTES 64

struct worker_ops {
	/* One datagram; n is its real size, which may be more than was kept (64 bytes). */
	void (*message)(struct worker *w, const void *msg, size_t n, void *data);
	/* The process is gone and reaped (status of waitpid(), or -1 when somebody else reaped
	 * it); the callback may worker_free(w). Messages sent before come first. */
	void (*gone)(struct worker *w, int status, void *data);
};

/* argv: NULL-terminated, borrowed for the call; argv[0] is only a name. ops and data must outlive
 * the worker. 0 or a negative errno; an exec that fails shows as a `gone` with status 127 << 8. */
int worker_new(struct loop *loop, const char *const *argv, const struct worker_ops *ops, void *data,
	       struct worker **ret);
/* Kills, waits at most a second for the end (a process stuck in the kernel is left to init). */
struct worker *worker_free(struct worker *w);
/* One datagram with descriptors. 0, -EAGAIN when the socket is full, or the error. */
int worker_send(struct worker *w, const void *msg, size_t n, const int *fds, size_t n_fds);
/* SIGKILL; `gone` follows. */
void worker_kill(struct worker *w);
/* VmHWM of /proc/PID/status in KiB; 0 when it can not be read. (ru_maxrss would start at what the
 * agent had when it forked.) */
uint64_t worker_peak_kib(const struct worker *w);
