/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/child.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/base/clock.h"

static_assert(sizeof(struct child_hello) == 16, "no hidden padding");
static_assert(sizeof(struct child_request) == 16, "no hidden padding");
static_assert(sizeof(struct child_reply) == 24, "no hidden padding");

enum { FD_OUT, FD_IN, FD_MAX = FD_IN + CHILD_FILES_MAX };

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* 1: a request; 0: the agent closed the socket; else a negative errno. */
static int receive(int sock, struct child_request *ret, int ret_fds[FD_MAX], size_t *ret_n)
{
	union {
		char bytes[CMSG_SPACE(FD_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {ret, sizeof(*ret)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const struct cmsghdr *c;
	size_t n_fds;
	ssize_t n;

	do {
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	c = CMSG_FIRSTHDR(&m);
	if (n != sizeof(*ret) || m.msg_flags & MSG_CTRUNC || !c || c->cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (n_fds <= FD_IN || n_fds > FD_MAX)
		return -EBADMSG;
	memcpy(ret_fds, CMSG_DATA(c), n_fds * sizeof(int));
	*ret_n = n_fds;
	return 1;
}

static void limit_cpu(uint32_t ms)
{
	const struct itimerval t = {.it_value = {ms / 1000, ms % 1000 * 1000}};

	(void)setitimer(ITIMER_PROF, &t, NULL);
}

static int answer(int sock, const struct child_request *q, const int *fds, size_t n,
		  const struct child_options *o)
{
	const uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
	struct child_reply reply = {.id = q->id};

	limit_cpu(q->cpu_ms);
	reply.r = o->build(o->data, &fds[FD_IN], n - FD_IN, q->kind, fds[FD_OUT], &reply.flags);
	limit_cpu(0);
	close_all(fds, n);
	/* The next file may be hours away. */
	(void)malloc_trim(0);
	reply.us = (clock_ns(CLOCK_MONOTONIC) - start_ns) / 1000;
	return write(sock, &reply, sizeof(reply)) == sizeof(reply) ? 0 : -errno;
}

static int serve(int sock, const struct child_options *o)
{
	for (;;) {
		struct child_request q;
		int fds[FD_MAX];
		size_t n = 0;
		int r = receive(sock, &q, fds, &n);

		if (r > 0)
			r = answer(sock, &q, fds, n, o);
		else
			return r;
		if (r < 0)
			return r;
	}
}

/* What the agent does with signals must not reach here through fork and exec. */
static void default_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPROF, SIG_DFL);
	(void)signal(SIGXFSZ, SIG_IGN); /* a table over the limit is -EFBIG, not a death */
	(void)signal(SIGPIPE, SIG_IGN);
}

int child_main(int sock, const struct child_options *o)
{
	const struct sandbox_options cage = {
		.keep_fd = sock,
		.memory_bytes = o->memory_bytes ? o->memory_bytes : SANDBOX_MEMORY_BYTES,
		.file_bytes = o->file_bytes ? o->file_bytes : SANDBOX_FILE_BYTES,
	};
	struct child_hello hello = {.magic = CHILD_MAGIC};

	default_signals();
	/* With a second arena glibc asks for the number of CPUs, which the filter forbids; large
	 * blocks go back to the kernel when they are freed. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	hello.r = sandbox_enter(&cage, &hello.missing);
	if (write(sock, &hello, sizeof(hello)) != sizeof(hello) || hello.r < 0)
		return EXIT_FAILURE;
	return serve(sock, o) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
