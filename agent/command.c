/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void command_child(char *const *argv, int go, int failed)
{
	sigset_t none;
	char byte;
	int error;

	/* The parent handles signals by a descriptor; a program expects them plain. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(go, &byte, 1) != 1)
		_exit(127);
	execvp(argv[0], argv);
	error = errno;
	(void)!write(failed, &error, sizeof(error));
	_exit(127);
}

int command_fork(char *const *argv, struct command *ret)
{
	int go[2], failed[2], r;
	pid_t pid;

	/* A socket: writing to it never raises SIGPIPE. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
		return -errno;
	if (pipe2(failed, O_CLOEXEC) < 0) {
		r = -errno;
		close(go[0]);
		close(go[1]);
		return r;
	}
	pid = fork();
	r = pid < 0 ? -errno : 0;
	if (pid == 0) {
		close(go[1]);
		close(failed[0]);
		command_child(argv, go[0], failed[1]);
	}
	close(go[0]);
	close(failed[1]);
	if (r < 0) {
		close(go[1]);
		close(failed[0]);
		return r;
	}
	*ret = (struct command){
		.pid = pid,
		.go = go[1],
		.failed = failed[0],
		.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
	};
	return 0;
}

int command_go(struct command *c)
{
	int error = 0;

	/* It can only fail when the child was killed; then there is nothing to be read below. */
	(void)send(c->go, "", 1, MSG_NOSIGNAL);
	close(TAKE_FD(c->go));
	/* End of file when exec succeeded: the descriptor is closed by it. */
	if (read(c->failed, &error, sizeof(error)) == sizeof(error))
		return -error;
	return 0;
}

int command_wait(struct command *c)
{
	int status = 0;

	if (c->pid > 0 && waitpid(c->pid, &status, 0) == c->pid)
		c->pid = 0;
	return status;
}

void command_done(struct command *c)
{
	if (c->go >= 0) {
		close(c->go);
		(void)command_wait(c);
	}
	if (c->failed >= 0)
		close(c->failed);
	if (c->pidfd >= 0)
		close(c->pidfd);
	*c = (struct command){.go = -1, .failed = -1, .pidfd = -1};
}
