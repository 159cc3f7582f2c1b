/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser process, for real: this program starts itself as the sandboxed child, whose builder
 * does what `kind` says, honest or hostile. What is looked at is what the agent gets back and what
 * /proc says about the child.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/loop.h"
#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/parser/parser.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "unwinders/rows.h"

#define WAIT_MS	   20000
#define TABLE_TEXT "what the child read"

enum kind {
	KIND_TABLE, /* the first bytes of the input as TABLE_STRINGS */
	KIND_NOTHING,
	KIND_SHORT,	   /* half a table */
	KIND_STILL_MAPPED, /* a table that stays mapped for writing */
	KIND_TOO_BIG,	   /* more than RLIMIT_FSIZE lets it write */
	KIND_REFUSE,	   /* -EBADMSG */
	KIND_WAIT,	   /* writes a byte to its input, then spins */
	KIND_EAT,	   /* allocates without end */
	KIND_CRASH,
	KIND_LEAVE,
	KIND_CHATTER, /* an answer nobody asked for */
	KIND_OPEN,
	KIND_SOCKET,
	KIND_EXECVE,
	KIND_FORK,
	KIND_PTRACE_LIKE, /* prctl(): undo the protections */
	KIND_EXEC_MEMORY,
	KIND_KILL_PARENT,
	KIND_REAL, /* what the agent's own child does */
};

/* ---- the child's side ---- */

static int build_text(int in_fd, int out_fd)
{
	struct table_writer w;
	char text[64] = "";
	ssize_t n = pread(in_fd, text, sizeof(text), 0);
	int r;

	if (n < 0)
		return -errno;
	table_writer_init(&w, 1 << 20);
	buf_add(&w.sections[TABLE_STRINGS], text, (size_t)n);
	r = table_write(&w, out_fd);
	table_writer_done(&w);
	return r;
}

static int build_still_mapped(int in_fd, int out_fd)
{
	int r = build_text(in_fd, out_fd);

	if (r == 0 && mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, out_fd, 0) == MAP_FAILED)
		return -errno;
	return r;
}

static int build_too_big(int out_fd)
{
	static const char block[1 << 16];

	for (;;) {
		if (write(out_fd, block, sizeof(block)) < 0)
			return -errno;
	}
}

static int build_eat(void)
{
	for (;;) {
		char *p = malloc(16 << 20);

		if (!p)
			return -ENOMEM;
		*(volatile char *)p = 1;
	}
}

static int build_wait(int in_fd)
{
	volatile bool forever = true;

	(void)write(in_fd, "", 1);
	while (forever)
		;
	return 0;
}

static int build(void *data, const int *in_fds, size_t n, uint32_t kind, int out_fd,
		 uint32_t *ret_flags)
{
	static const char chatter[24] = "you did not ask for it";
	char *const argv[] = {"true", NULL};
	const int in_fd = in_fds[0];

	*ret_flags = 7;
	switch ((enum kind)kind) {
	case KIND_TABLE:
		return build_text(in_fd, out_fd);
	case KIND_NOTHING:
		return 0;
	case KIND_SHORT:
		return build_text(in_fd, out_fd) < 0 || ftruncate(out_fd, 100) < 0 ? -errno : 0;
	case KIND_STILL_MAPPED:
		return build_still_mapped(in_fd, out_fd);
	case KIND_TOO_BIG:
		return build_too_big(out_fd);
	case KIND_REFUSE:
		return -EBADMSG;
	case KIND_WAIT:
		return build_wait(in_fd);
	case KIND_EAT:
		return build_eat();
	case KIND_CRASH:
		__builtin_trap();
	case KIND_LEAVE:
		/* Not _exit(), which does more under AddressSanitizer. */
		return (int)syscall(SYS_exit_group, 0);
	case KIND_CHATTER:
		return write(CHILD_SOCKET, chatter, sizeof(chatter)) < 0 ? -errno : 0;
	case KIND_OPEN:
		return open("/", O_RDONLY);
	case KIND_SOCKET:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	case KIND_EXECVE:
		return execv("/bin/true", argv);
	case KIND_FORK:
		return fork();
	case KIND_PTRACE_LIKE:
		return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	case KIND_EXEC_MEMORY:
		return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0) == MAP_FAILED;
	case KIND_KILL_PARENT:
		return kill(-1, SIGKILL);
	case KIND_REAL:
		return build_table(data, in_fds, n, BUILD_FILE, out_fd, ret_flags);
	}
	return -EINVAL;
}

static int child(void)
{
	const struct child_options o = {
		.build = build, .memory_bytes = 512 << 20, .file_bytes = 4 << 20};

	return child_main(CHILD_SOCKET, &o);
}

/* ---- the agent's side ---- */

static const char *const child_argv[] = {"parser_test", "--parser-child", NULL};

struct answer {
	int calls, r;
	uint32_t flags;
	char text[64]; /* TABLE_STRINGS */
};

struct fixture {
	struct loop *loop;
	struct parser *parser;
	int n_fds;
};

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void begin(struct fixture *f, const struct parser_options *o)
{
	*f = (struct fixture){.n_fds = count_fds()};
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(parser_new(f->loop, child_argv, o, &f->parser), 0);
}

static void end(struct fixture *f)
{
	parser_free(f->parser);
	loop_free(f->loop);
	assert_int_equal(count_fds(), f->n_fds);
	/* No child is left behind, alive or dead. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void on_done(void *data, struct parser_result *result)
{
	struct answer *a = data;
	size_t n;

	a->calls++;
	a->r = result->r;
	a->flags = result->flags;
	if (result->r == 0) {
		const void *text = table_section(result->table, TABLE_STRINGS, &n);

		assert_non_null(text);
		memcpy(a->text, text, MIN(n, sizeof(a->text) - 1));
	}
}

static int input(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void ask(struct fixture *f, enum kind kind, struct answer *a)
{
	*a = (struct answer){0};
	assert_int_equal(parser_request(f->parser, input(TABLE_TEXT), kind, on_done, a), 0);
}

static void wait_for(struct fixture *f, const struct answer *a)
{
	uint64_t until_ms = clock_ms() + WAIT_MS;

	while (!a->calls && clock_ms() < until_ms)
		assert_int_equal(loop_once(f->loop, 100), 0);
	assert_int_equal(a->calls, 1);
}

static int result_of(struct fixture *f, enum kind kind)
{
	struct answer a;

	ask(f, kind, &a);
	wait_for(f, &a);
	return a.r;
}

static uint64_t failures(struct fixture *f, enum parser_failure why)
{
	struct parser_stats s;

	parser_get_stats(f->parser, &s);
	return s.failures[why];
}

static pid_t child_pid(struct fixture *f)
{
	struct parser_stats s;

	parser_get_stats(f->parser, &s);
	return s.pid;
}

static void assert_next_file_works(struct fixture *f)
{
	struct answer a;

	ask(f, KIND_TABLE, &a);
	wait_for(f, &a);
	assert_int_equal(a.r, 0);
	assert_string_equal(a.text, TABLE_TEXT);
}

static void a_file_becomes_a_table(void **state)
{
	struct fixture f;
	struct answer a;

	begin(&f, NULL);
	assert_int_equal(child_pid(&f), 0);
	ask(&f, KIND_TABLE, &a);
	assert_int_equal(a.calls, 0);
	wait_for(&f, &a);
	assert_int_equal(a.r, 0);
	assert_int_equal(a.flags, 7);
	assert_string_equal(a.text, TABLE_TEXT);
	assert_int_equal(result_of(&f, KIND_REFUSE), -EBADMSG);
	end(&f);
}

static void one_child_serves_a_thousand_files_and_leaks_nothing(void **state)
{
	struct parser_stats s;
	struct answer a[1000];
	struct fixture f;
	int n_fds = 0;

	begin(&f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++) {
		ask(&f, KIND_TABLE, &a[i]);
		wait_for(&f, &a[i]);
		assert_int_equal(a[i].r, 0);
		if (i == 0)
			n_fds = count_fds();
	}
	assert_int_equal(count_fds(), n_fds);
	parser_get_stats(f.parser, &s);
	assert_int_equal(s.starts, 1);
	assert_int_equal(s.deaths, 0);
	assert_int_equal(s.tables, 1000);
	end(&f);
}

static void the_queue_is_bounded_and_can_be_cancelled(void **state)
{
	struct answer kept, dropped = {0};
	struct fixture f;
	int r = 0;
	size_t n = 0;

	begin(&f, NULL);
	ask(&f, KIND_TABLE, &kept);
	for (; r == 0; n++)
		r = parser_request(f.parser, dup(STDERR_FILENO), KIND_TABLE, on_done, &dropped);
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(n, PARSER_QUEUE_MAX);
	parser_cancel(f.parser, &dropped);
	wait_for(&f, &kept);
	assert_next_file_works(&f);
	assert_int_equal(dropped.calls, 0);
	end(&f);
}

/* ---- real files ---- */

struct described {
	int calls, r;
	uint64_t page; /* that qsort() is in */
	bool has_symbol, has_rows;
};

/* libc by what it exports: qsort is found by address, and its page can be unwound. */
static void describe_libc(struct described *d, struct table *t)
{
	const struct table_info *info = table_get_info(t);
	struct symtab_hit hit;
	uint64_t vaddr;
	size_t n;

	assert_non_null(info);
	assert_true(info->flags & TABLE_HAS_ROWS);
	for (uint32_t i = 0; i < info->n_segments && !d->has_symbol; i++) {
		for (uint64_t at = 0; at < info->segments[i].bytes && !d->has_symbol; at += 16) {
			vaddr = info->segments[i].vaddr + at;
			d->has_symbol = symtab_lookup(t, vaddr, &hit) == 0 &&
					!strncmp(hit.name, "qsort", 5);
			d->page = (info->segments[i].offset + at) >> ROWS_PAGE_SHIFT;
		}
	}
	d->has_rows = rows_page_get(t, d->page, &n) != NULL;
}

static void on_described(void *data, struct parser_result *result)
{
	struct described *d = data;

	d->calls++;
	d->r = result->r;
	if (result->r == 0)
		describe_libc(d, result->table);
}

static int open_libc(void)
{
	static const char *const paths[] = {"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			return fd;
	}
	return -1;
}

static void wait_described(struct fixture *f, int fd, struct described *d)
{
	uint64_t until_ms = clock_ms() + WAIT_MS;

	*d = (struct described){0};
	assert_int_equal(parser_request(f->parser, fd, KIND_REAL, on_described, d), 0);
	while (!d->calls && clock_ms() < until_ms)
		assert_int_equal(loop_once(f->loop, 100), 0);
	assert_int_equal(d->calls, 1);
}

static void the_sandboxed_builder_reads_libc(void **state)
{
	struct described d;
	struct parser_stats s;
	struct fixture f;
	int fd = open_libc();

	if (fd < 0)
		skip();
	begin(&f, NULL);
	f.n_fds--; /* fd is taken */
	wait_described(&f, fd, &d);
	assert_int_equal(d.r, 0);
	assert_true(d.has_symbol);
	assert_true(d.has_rows);
	wait_described(
		&f, input("no ELF file at all, but long enough to have had a header of 64 bytes"),
		&d);
	assert_int_equal(d.r, -EBADMSG);
	wait_described(&f, open("/dev/zero", O_RDONLY | O_CLOEXEC), &d);
	assert_int_equal(d.r, -EBADMSG);
	parser_get_stats(f.parser, &s);
	assert_int_equal(s.deaths, 0);
	end(&f);
}

/* ---- deaths ---- */

static void on_started(int fd, uint32_t events, void *data)
{
	char c;

	*(int *)data += read(fd, &c, 1) == 1;
}

/* Returns when the child is in the middle of a request that it will never end. */
static void ask_and_wait_until_busy(struct fixture *f, struct answer *a)
{
	uint64_t until_ms = clock_ms() + WAIT_MS;
	struct loop_source *source;
	int started = 0, p[2];

	*a = (struct answer){0};
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	source = loop_add_fd(f->loop, p[0], EPOLLIN, on_started, &started);
	assert_non_null(source);
	assert_int_equal(parser_request(f->parser, p[1], KIND_WAIT, on_done, a), 0);
	while (!started && clock_ms() < until_ms)
		assert_int_equal(loop_once(f->loop, 100), 0);
	assert_int_equal(started, 1);
	loop_remove(source);
	assert_int_equal(loop_once(f->loop, 0), 0);
	close(p[0]);
}

static void a_child_killed_mid_file_costs_that_file_only(void **state)
{
	struct fixture f;
	struct answer killed, queued;

	begin(&f, NULL);
	ask_and_wait_until_busy(&f, &killed);
	ask(&f, KIND_TABLE, &queued);
	assert_int_equal(kill(child_pid(&f), SIGKILL), 0);
	wait_for(&f, &killed);
	assert_int_equal(killed.r, -EIO);
	assert_int_equal(failures(&f, PARSER_FAIL_KILLED), 1);
	wait_for(&f, &queued);
	assert_int_equal(queued.r, 0);
	end(&f);
}

static void a_child_killed_while_idle_costs_no_file(void **state)
{
	struct fixture f;
	struct answer a;
	pid_t pid;

	begin(&f, NULL);
	for (int i = 0; i < 10; i++) {
		assert_next_file_works(&f);
		pid = child_pid(&f);
		assert_int_equal(kill(pid, SIGKILL), 0);
		/* Half the time the request is sent before the death is known. */
		if (i % 2)
			assert_int_equal(waitid(P_PID, pid, NULL, WEXITED | WNOWAIT), 0);
		ask(&f, KIND_TABLE, &a);
		wait_for(&f, &a);
		assert_true(a.r == 0 || (a.r == -EIO && !(i % 2)));
	}
	end(&f);
}

static void a_file_that_spins_ends_at_its_deadline(void **state)
{
	const struct parser_options wall = {.deadline_ms = 200}, cpu = {.cpu_ms = 100};
	struct fixture f;
	struct answer a;

	begin(&f, &wall);
	ask_and_wait_until_busy(&f, &a);
	wait_for(&f, &a);
	assert_int_equal(a.r, -ETIMEDOUT);
	assert_next_file_works(&f);
	end(&f);
	begin(&f, &cpu);
	ask_and_wait_until_busy(&f, &a);
	wait_for(&f, &a);
	assert_int_equal(a.r, -ETIMEDOUT);
	assert_int_equal(failures(&f, PARSER_FAIL_DEADLINE), 1);
	assert_next_file_works(&f);
	end(&f);
}

static void memory_and_file_size_are_limited(void **state)
{
	struct fixture f;

	begin(&f, NULL);
	assert_int_equal(result_of(&f, KIND_TOO_BIG), -EFBIG);
#ifndef __SANITIZE_ADDRESS__ /* no RLIMIT_AS there */
	assert_int_equal(result_of(&f, KIND_EAT), -ENOMEM);
#endif
	end(&f);
}

static void a_forbidden_system_call_ends_the_child(void **state)
{
	static const enum kind forbidden[] = {
		KIND_OPEN,	  KIND_SOCKET,	    KIND_EXECVE,      KIND_FORK,
		KIND_PTRACE_LIKE, KIND_EXEC_MEMORY, KIND_KILL_PARENT,
	};
	struct fixture f;

	begin(&f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		assert_int_equal(result_of(&f, forbidden[i]), -EACCES);
		assert_int_equal(failures(&f, PARSER_FAIL_SECCOMP), i + 1);
		assert_next_file_works(&f);
	}
	end(&f);
}

static void what_is_not_a_table_is_refused(void **state)
{
	static const enum kind bad[] = {KIND_NOTHING, KIND_SHORT, KIND_STILL_MAPPED, KIND_CHATTER};
	const struct parser_options small = {.table_bytes = 64};
	struct fixture f;

	begin(&f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(result_of(&f, bad[i]), -EBADMSG);
		assert_next_file_works(&f);
	}
	assert_int_equal(failures(&f, PARSER_FAIL_TABLE), 3);
	assert_int_equal(failures(&f, PARSER_FAIL_PROTOCOL), 1);
	end(&f);
	begin(&f, &small);
	assert_int_equal(result_of(&f, KIND_TABLE), -EBADMSG);
	end(&f);
}

static void deaths_in_a_row_make_it_wait_but_not_give_up(void **state)
{
	struct fixture f;
	uint64_t start_ms;

	begin(&f, NULL);
	assert_int_equal(result_of(&f, KIND_CRASH), -EFAULT);
	for (int i = 0; i < 4; i++)
		assert_int_equal(result_of(&f, KIND_LEAVE), -EIO);
	start_ms = clock_ms();
	assert_next_file_works(&f);
	assert_true(clock_ms() - start_ms >= 900);
	end(&f);
}

static void a_child_that_can_not_start_fails_the_files(void **state)
{
	static const char *const argv[] = {"parser_test", "--no-such-option", NULL};
	struct fixture f;
	uint32_t missing;

	begin(&f, NULL);
	parser_free(f.parser);
	assert_int_equal(parser_new(f.loop, argv, NULL, &f.parser), 0);
	assert_int_equal(result_of(&f, KIND_TABLE), -ECHILD);
	assert_int_equal(failures(&f, PARSER_FAIL_START), 1);
	end(&f);
	assert_int_equal(parser_check(argv, &missing), -ECHILD);
}

static void an_idle_child_is_let_go(void **state)
{
	const struct parser_options o = {.idle_ms = 50};
	struct parser_stats s;
	struct fixture f;
	uint64_t until_ms = clock_ms() + WAIT_MS;

	begin(&f, &o);
	assert_next_file_works(&f);
	while (child_pid(&f) && clock_ms() < until_ms)
		assert_int_equal(loop_once(f.loop, 100), 0);
	assert_int_equal(child_pid(&f), 0);
	assert_next_file_works(&f);
	parser_get_stats(f.parser, &s);
	assert_int_equal(s.starts, 2);
	assert_int_equal(s.deaths, 0);
	end(&f);
}

/* ---- the cage, from outside ---- */

static void read_proc(pid_t pid, const char *name, char *text, size_t n)
{
	char path[64];
	ssize_t got;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	got = read(fd, text, n - 1);
	assert_true(got >= 0);
	text[got] = '\0';
	close(fd);
}

static int entries(pid_t pid, const char *name)
{
	char path[64];
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static void the_child_has_no_rights_and_an_empty_world(void **state)
{
	static const char *const always[] = {"NoNewPrivs:\t1\n",
					     "Seccomp:\t2\n",
					     "CapInh:\t0000000000000000\n",
					     "CapPrm:\t0000000000000000\n",
					     "CapEff:\t0000000000000000\n",
					     "CapAmb:\t0000000000000000\n"};
	struct parser_stats s;
	struct fixture f;
	char text[8192];

	begin(&f, NULL);
	assert_next_file_works(&f);
	parser_get_stats(f.parser, &s);
	read_proc(s.pid, "status", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		assert_non_null(strstr(text, always[i]));
	if (!(s.missing & 1u << SANDBOX_USER)) {
		assert_non_null(strstr(text, "Uid:\t65534\t65534\t65534\t65534\n"));
		assert_non_null(strstr(text, "Gid:\t65534\t65534\t65534\t65534\n"));
		assert_non_null(strstr(text, "Groups:\t \n"));
	}
	if (!(s.missing & 1u << SANDBOX_BOUNDING))
		assert_non_null(strstr(text, "CapBnd:\t0000000000000000\n"));
	if (!(s.missing & 1u << SANDBOX_PRIORITY)) {
		read_proc(s.pid, "oom_score_adj", text, sizeof(text));
		assert_string_equal(text, "1000\n");
	}
	if (geteuid() == 0) {
		assert_int_equal(entries(s.pid, "fd"), 4);
		if (!(s.missing & 1u << SANDBOX_ROOT))
			assert_int_equal(entries(s.pid, "root/"), 0);
	}
	end(&f);
}

static void check_tells_what_is_missing(void **state)
{
	uint32_t missing = ~0u;

	assert_int_equal(parser_check(child_argv, &missing), 0);
	assert_int_equal(missing >> SANDBOX_LAYER_MAX, 0);
	for (enum sandbox_layer i = 0; i < SANDBOX_LAYER_MAX; i++) {
		assert_true(strlen(sandbox_layer_name(i)) > 0);
		if (missing & 1u << i)
			print_message("missing here: %s\n", sandbox_layer_name(i));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_becomes_a_table),
		cmocka_unit_test(one_child_serves_a_thousand_files_and_leaks_nothing),
		cmocka_unit_test(the_queue_is_bounded_and_can_be_cancelled),
		cmocka_unit_test(the_sandboxed_builder_reads_libc),
		cmocka_unit_test(a_child_killed_mid_file_costs_that_file_only),
		cmocka_unit_test(a_child_killed_while_idle_costs_no_file),
		cmocka_unit_test(a_file_that_spins_ends_at_its_deadline),
		cmocka_unit_test(memory_and_file_size_are_limited),
		cmocka_unit_test(a_forbidden_system_call_ends_the_child),
		cmocka_unit_test(what_is_not_a_table_is_refused),
		cmocka_unit_test(deaths_in_a_row_make_it_wait_but_not_give_up),
		cmocka_unit_test(a_child_that_can_not_start_fails_the_files),
		cmocka_unit_test(an_idle_child_is_let_go),
		cmocka_unit_test(the_child_has_no_rights_and_an_empty_world),
		cmocka_unit_test(check_tells_what_is_missing),
	};

	if (argc == 2 && !strcmp(argv[1], "--parser-child"))
		_exit(child());
	if (argc != 1)
		_exit(2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
