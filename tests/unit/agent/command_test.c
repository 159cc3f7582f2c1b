/* SPDX-License-Identifier: Apache-2.0 */
/* The program that is profiled: it runs when it is told to, and only then. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/command.h"

#define WAIT_MS 20000

static void expect_end(struct command *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void a_program_starts_when_it_is_told_to_and_ends_with_its_status(void **state)
{
	char *argv[] = {"sh", "-c", "exit 7", NULL};
	struct command c;
	int status;

	assert_int_equal(command_fork(argv, &c), 0);
	assert_int_equal(waitpid(c.pid, &status, WNOHANG), 0);
	assert_int_equal(command_go(&c), 0);
	expect_end(&c);
	status = command_wait(&c);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	command_done(&c);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
	static const struct {
		const char *path;
		int r;
	} cases[] = {{"/nonexistent/program", -ENOENT},
		     {"nonexistent-program", -ENOENT},
		     {"/etc/passwd", -EACCES},
		     {"/", -EACCES}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[] = {(char *)cases[i].path, NULL};
		struct command c;

		assert_int_equal(command_fork(argv, &c), 0);
		assert_int_equal(command_go(&c), cases[i].r);
		(void)command_wait(&c);
		command_done(&c);
	}
}

static void a_program_that_was_never_started_does_not_run(void **state)
{
	char dir[] = "/tmp/command-test-XXXXXX", path[64];
	char *argv[] = {"touch", path, NULL};
	struct command c;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/ran", dir);
	assert_int_equal(command_fork(argv, &c), 0);
	pid = c.pid;
	/* As when profiling was refused. */
	command_done(&c);
	assert_int_equal(waitpid(pid, NULL, 0), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
}

static void a_program_that_was_killed_before_its_start_is_no_trouble(void **state)
{
	char *argv[] = {"true", NULL};
	struct command c;

	assert_int_equal(command_fork(argv, &c), 0);
	assert_int_equal(kill(c.pid, SIGKILL), 0);
	expect_end(&c);
	assert_int_equal(command_go(&c), 0);
	assert_true(WIFSIGNALED(command_wait(&c)));
	command_done(&c);
}

static void signals_reach_the_program_although_they_are_blocked_here(void **state)
{
	char *argv[] = {"sleep", "60", NULL};
	sigset_t set, old;
	struct command c;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, &old), 0);
	assert_int_equal(command_fork(argv, &c), 0);
	assert_int_equal(command_go(&c), 0);
	assert_int_equal(kill(c.pid, SIGTERM), 0);
	expect_end(&c);
	status = command_wait(&c);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	command_done(&c);
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
}

static void the_program_inherits_the_standard_files_only(void **state)
{
	char *argv[] = {"sh", "-c",
			"for n in 3 4 5 6 7 8 9 10 11 12 13 14; do"
			" [ -e /proc/$$/fd/$n ] && exit 1; done; exit 0",
			NULL};
	struct command c;

	/* What the test runner left open without O_CLOEXEC is no matter here. */
	for (int fd = 3; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0)
			(void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	}
	assert_int_equal(command_fork(argv, &c), 0);
	assert_int_equal(command_go(&c), 0);
	assert_int_equal(command_wait(&c), 0);
	command_done(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_starts_when_it_is_told_to_and_ends_with_its_status),
		cmocka_unit_test(a_program_that_is_not_there_is_an_error),
		cmocka_unit_test(a_program_that_was_never_started_does_not_run),
		cmocka_unit_test(a_program_that_was_killed_before_its_start_is_no_trouble),
		cmocka_unit_test(signals_reach_the_program_although_they_are_blocked_here),
		cmocka_unit_test(the_program_inherits_the_standard_files_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
