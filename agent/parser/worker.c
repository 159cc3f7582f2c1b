/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/base/loop.h"
#include "agent/parser/child.h"

#define FDS_MAX	     (1 + CHILD_FILES_MAX)
#define REAP_WAIT_MS 1000
#define EXEC_FAILED  127

/* Between fork and exec: async-signal-safe calls only. */
static _Noreturn void exec_child(int sock, const char *const *argv)
{
	const char *const no_environment[] = {NULL};
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Before exec, so that Ctrl-C at the terminal is the agent's alone from the start. */
	(void)setsid();
	if (sock == CHILD_SOCKET ? fcntl(sock, F_SETFD, 0) < 0 : dup2(sock, CHILD_SOCKET) < 0)
		_exit(EXEC_FAILED);
	(void)syscall(SYS_close_range, CHILD_SOCKET + 1, ~0u, 0);
	execve("/proc/self/exe", (char *const *)argv, (char *const *)no_environment);
	_exit(EXEC_FAILED);
}

static void drain(struct worker *w)
{
	while (w->sock >= 0 && w->on_sock) {
		union {
			char bytes[WORKER_MESSAGE_BYTES];
			uint64_t align;
		} msg;
		/* recv() has no room for control messages: descriptors from the child are thrown
		 * away by the kernel. */
		ssize_t n = recv(w->sock, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			/* Nobody talks to a child without a socket. */
			w->on_sock = loop_remove(w->on_sock);
			worker_kill(w);
			return;
		}
		w->ops->message(w, &msg, (size_t)n, w->data);
	}
}

static void on_sock(int fd, uint32_t events, void *data)
{
	drain(data);
}

static void on_pidfd(int fd, uint32_t events, void *data)
{
	struct worker *w = data;
	int status = -1;
	pid_t pid;

	drain(w);
	pid = waitpid(w->pid, &status, WNOHANG);
	if (pid == 0)
		return;
	w->on_pidfd = loop_remove(w->on_pidfd);
	w->on_sock = loop_remove(w->on_sock);
	w->pid = 0;
	w->ops->gone(w, pid < 0 ? -1 : status, w->data);
}

static int worker_start(struct worker *w, const char *const *argv)
{
	_cleanup_close_ int theirs = -1;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	w->sock = pair[0];
	theirs = pair[1];
	w->pid = fork();
	if (w->pid < 0) {
		w->pid = 0;
		return -errno;
	}
	if (w->pid == 0)
		exec_child(theirs, argv);
	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	if (w->pidfd < 0)
		return -errno;
	w->on_pidfd = loop_add_fd(w->loop, w->pidfd, EPOLLIN, on_pidfd, w);
	w->on_sock = loop_add_fd(w->loop, w->sock, EPOLLIN, on_sock, w);
	return w->on_pidfd && w->on_sock ? 0 : -ENOMEM;
}

int worker_new(struct loop *loop, const char *const *argv, const struct worker_ops *ops, void *data,
	       struct worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct worker){.loop = loop, .pidfd = -1, .sock = -1, .ops = ops, .data = data};
	r = worker_start(w, argv);
	if (r < 0)
		worker_free(w);
	else
		*ret = w;
	return r;
}

struct worker *worker_free(struct worker *w)
{
	if (!w)
		return NULL;
	loop_remove(w->on_pidfd);
	loop_remove(w->on_sock);
	if (w->pid > 0) {
		struct pollfd p = {.fd = w->pidfd, .events = POLLIN};

		worker_kill(w);
		(void)poll(&p, 1, REAP_WAIT_MS);
		(void)waitpid(w->pid, NULL, WNOHANG);
	}
	if (w->pidfd >= 0)
		close(w->pidfd);
	if (w->sock >= 0)
		close(w->sock);
	free(w);
	return NULL;
}

int worker_send(struct worker *w, const void *msg, size_t n, const int *fds, size_t n_fds)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)msg, n};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(MIN(n_fds, (size_t)FDS_MAX) * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (n_fds > FDS_MAX)
		return -EINVAL;
	if (w->sock < 0)
		return -EPIPE;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	return sendmsg(w->sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void worker_kill(struct worker *w)
{
	/* By pidfd: whoever else may have reaped it, the number is not used again for this. */
	if (w->pid > 0 && w->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	else if (w->pid > 0)
		(void)kill(w->pid, SIGKILL);
}

static uint64_t digits(const char *p)
{
	uint64_t v = 0;

	while (*p == ' ' || *p == '\t')
		p++;
	while (*p >= '0' && *p <= '9' && v < UINT32_MAX)
		v = v * 10 + (uint64_t)(*p++ - '0');
	return v;
}

uint64_t worker_peak_kib(const struct worker *w)
{
	_cleanup_close_ int fd = -1;
	char text[4096];
	const char *p;
	ssize_t n;

	if (w->pid <= 0)
		return 0;
	(void)snprintf(text, sizeof(text), "/proc/%d/status", (int)w->pid);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strstr(text, "\nVmHWM:");
	return p ? digits(p + strlen("\nVmHWM:")) : 0;
}
