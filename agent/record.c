/* SPDX-License-Identifier: Apache-2.0 */
/* `tephra record`: one profile of a command, of processes, of containers or of the host. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/check.h"
#include "agent/command.h"
#include "agent/cgroupfs.h"
#include "agent/containers.h"
#include "agent/export/report.h"
#include "agent/record_options.h"
#include "agent/session.h"
#include "agent/verbs.h"

#define TICK_MS		  500
#define ABSORB_MAX_TICKS  10
#define ABSORB_SAMPLES	  4096	/* of a CPU: its table of counts holds four times as many */
#define FETCH_PATIENCE_MS 60000 /* ... or debug files fetched */
#define ACQUAINT_MIN_MS	  100	/* see get_to_know() */
#define ACQUAINT_MAX_MS	  2000
#define ACQUAINT_STEP_MS  20
#define LATE_PATIENCE_MS  10000 /* at the end, for files that are still being read */

struct record {
	struct record_options o;
	struct loop *loop;
	struct session *session;
	struct command command;
	struct loop_source *end_timer, *tick_timer;
	uint64_t start_ms;
	bool terminal; /* stderr is one: show the status line */
	bool line;     /* there is a status line on it now */
	bool ending;
	bool refused; /* by the kernel, not by a file or a command */
	int interrupts;
	unsigned int ticks;
};

/* ---- The status line ---- */

static void clear_line(void *data)
{
	struct record *r = data;

	if (r->line)
		fputs("\r\033[K", stderr);
	r->line = false;
}

static void show_status(struct record *r, const char *what)
{
	struct session_status s;
	double seconds = (double)(clock_ms() - r->start_ms) / 1000;
	char total[32] = "";

	if (!r->terminal)
		return;
	session_get_status(r->session, &s);
	if (r->o.duration_ms)
		(void)snprintf(total, sizeof(total), " of %gs", (double)r->o.duration_ms / 1000);
	fprintf(stderr,
		"\r\033[K%s %.1fs%s  %llu samples  %llu lost  stacks complete %.1f%%  frames named "
		"%.1f%%",
		what, seconds, total, (unsigned long long)s.samples, (unsigned long long)s.lost,
		100 * s.complete, 100 * s.named);
	fflush(stderr);
	r->line = true;
}

/* ---- The loop ---- */

/* Counts are taken over so often that no CPU can fill its table. */
static unsigned int absorb_ticks(const struct record *r)
{
	unsigned int ticks = ABSORB_SAMPLES * 1000u / (r->o.frequency_hz * TICK_MS);

	return MIN(MAX(ticks, 1u), ABSORB_MAX_TICKS);
}

static void finish(struct record *r)
{
	if (!r->ending)
		session_stop(r->session);
	r->ending = true;
	loop_quit(r->loop, 0);
}

static void on_end(void *data)
{
	finish(data);
}

static void on_tick(void *data)
{
	struct record *r = data;

	/* However long it takes, the kernel's tables hold a few seconds at most. */
	if (++r->ticks % absorb_ticks(r) == 0 && session_absorb(r->session) < 0)
		log_debug("cannot read the counts, trying again later");
	session_poll(r->session);
	show_status(r, "recording");
	/* Named processes that are all gone leave nothing to wait for. */
	if (r->o.n_pids && !r->o.n_containers &&
	    profiler_sweep_targets(session_profiler(r->session)) == 0)
		finish(r);
}

static void on_interrupt(int signo, void *data)
{
	struct record *r = data;

	if (r->interrupts++ == 0) {
		finish(r);
		return;
	}
	clear_line(r);
	_exit(128 + signo);
}

static void on_command_end(int fd, uint32_t events, void *data)
{
	finish(data);
}

/* ---- Targets ---- */

/* "Tgid:" of /proc/PID/status (proc(5)): of a thread, its process; 0 when it can not be read. */
static uint32_t process_of(uint32_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[256];
	uint32_t tgid = 0;

	(void)snprintf(path, sizeof(path), "/proc/%u/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Tgid:\t", 6))
			continue;
		for (const char *s = line + 6; *s >= '0' && *s <= '9'; s++)
			tgid = tgid * 10 + (uint32_t)(*s - '0');
		break;
	}
	return tgid;
}

static int add_processes(struct record *r)
{
	for (size_t i = 0; i < r->o.n_pids; i++) {
		uint32_t pid = r->o.pids[i], tgid;
		int err;

		if (kill((pid_t)pid, 0) < 0 && errno == ESRCH) {
			log_error("there is no process %u", pid);
			return -ESRCH;
		}
		tgid = process_of(pid);
		if (tgid && tgid != pid) {
			log_error("%u is a thread of process %u: give the process", pid, tgid);
			return -ESRCH;
		}
		err = profiler_add_target(session_profiler(r->session), pid, 0);
		if (err < 0)
			return err;
	}
	return 0;
}

/* A prefix must mean one container; it may have a cgroup in several hierarchies. */
static int add_container(struct record *r, const char *prefix)
{
	_cleanup_free_ struct container *found = NULL;
	int joined = cgroupfs_join_host(), n = containers_find(prefix, &found);

	if (n < 0)
		return log_error_errno(n, "cannot search the cgroups");
	if (n == 0) {
		log_error("there is no running container whose id begins with '%s'%s", prefix,
			  joined < 0 ? " below this container's own control group" : "");
		return -ENOENT;
	}
	for (int i = 0; i < n; i++) {
		int err;

		if (strcmp(found[i].id, found[0].id) != 0) {
			log_error("'%s' means several containers: %.12s, %.12s", prefix,
				  found[0].id, found[i].id);
			return -EEXIST;
		}
		err = profiler_add_cgroup(session_profiler(r->session), found[i].cgroup);
		if (err < 0)
			return err;
	}
	return 0;
}

static int add_targets(struct record *r)
{
	int err = add_processes(r);

	for (size_t i = 0; i < r->o.n_containers && err >= 0; i++)
		err = add_container(r, r->o.containers[i]);
	if (err >= 0 && r->o.command)
		err = profiler_add_target(session_profiler(r->session), (uint32_t)r->command.pid,
					  0);
	return err;
}

/* ---- The result ---- */

static void wait_for_late(struct record *r)
{
	uint64_t until =
		clock_ms() + (r->o.debug_dirs.n_servers ? FETCH_PATIENCE_MS : LATE_PATIENCE_MS);

	while (session_prepare(r->session) && clock_ms() < until && r->interrupts < 2) {
		show_status(r, "reading files");
		if (loop_once(r->loop, 100) < 0)
			return;
	}
}

static unsigned int terminal_width(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 100;
}

static int write_outputs(struct record *r, const struct profile *p)
{
	const struct format_options o = {.title = r->o.command ? r->o.command[0] : "tephra record"};
	int result = 0;

	for (size_t i = 0; i < r->o.n_outputs; i++) {
		const struct record_output *out = &r->o.outputs[i];
		bool is_stdout = !strcmp(out->path, "-");
		int err = is_stdout ? format_write(p, out->format, &o, stdout)
				    : format_write_file(p, out->format, &o, out->path);

		if (err < 0)
			result = log_error_errno(err, "cannot write '%s'", out->path);
		else if (!is_stdout)
			fprintf(stderr, "wrote %s\n", out->path);
	}
	return result;
}

static int print_table(const struct profile *p)
{
	const struct report_options o = {
		.width = terminal_width(),
		.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
	};

	return report_print(stdout, p, &o);
}

static int write_result(struct record *r)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct session_status s;
	int err;

	if (session_absorb(r->session) < 0)
		log_debug("cannot read the counts, trying again later");
	wait_for_late(r);
	clear_line(r);
	err = session_collect(r->session, true, &p);
	if (err < 0)
		return log_error_errno(err, "cannot collect the samples");
	session_get_status(r->session, &s);
	log_debug("%llu samples taken, %llu lost", (unsigned long long)s.samples,
		  (unsigned long long)s.lost);
	if (!p->n_samples)
		log_warn("no samples were taken: nothing that was asked for used the CPU");
	if (!r->o.n_outputs || r->o.table)
		err = print_table(p);
	if (err >= 0)
		err = write_outputs(r, p);
	return err;
}

/* ---- Putting it together ---- */

static int open_session(struct record *r)
{
	struct session_options o = {
		.profiler =
			{
				.frequency_hz = r->o.frequency_hz,
				.interval_s = absorb_ticks(r) * TICK_MS / 1000 + 1,
				.kernel_stacks = r->o.kernel,
				.keep_loops = r->o.keep_loops,
				.event = r->o.event,
				.follow_children = r->o.children || r->o.command,
				.filter = (r->o.n_pids || r->o.command ? FILTER_TGID : 0u) |
					  (r->o.n_containers ? FILTER_CGROUP : 0u),
			},
		.demangle = r->o.demangle,
		.no_runtimes = r->o.no_runtimes,
		.cache_dir = r->o.cache_dir,
		.debug_dirs = r->o.debug_dirs,
	};

	return session_new(r->loop, &o, &r->session);
}

static int prepare_loop(struct record *r)
{
	if (!loop_add_signal(r->loop, SIGINT, on_interrupt, r) ||
	    !loop_add_signal(r->loop, SIGTERM, on_interrupt, r))
		return -ENOMEM;
	r->end_timer = loop_add_timer(r->loop, on_end, r);
	r->tick_timer = loop_add_timer(r->loop, on_tick, r);
	if (!r->end_timer || !r->tick_timer)
		return -ENOMEM;
	if (r->o.command && !loop_add_fd(r->loop, r->command.pidfd, EPOLLIN, on_command_end, r))
		return -ENOMEM;
	return 0;
}

static int refuse(struct record *r, int err)
{
	r->refused = err == -EPERM || err == -EACCES || err == -EOPNOTSUPP;
	check_explain(err);
	return err;
}

/* Does anybody wait for a CPU? */
static bool cpus_are_wanted(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/loadavg", "re");
	long running = 0;

	return f && fscanf(f, "%*f %*f %*f %ld/", &running) == 1 &&
	       running > sysconf(_SC_NPROCESSORS_ONLN);
}

/*
 * Has what is wanted been sampled as often as it would be in ACQUAINT_MIN_MS, if it ran then? On a
 * machine that is busy with others it may have had to wait all the time; it is idle on one that is
 * not.
 */
static bool has_been_seen(const struct record *r)
{
	struct session_status s;

	session_get_status(r->session, &s);
	return s.samples * 1000 >= (uint64_t)r->o.frequency_hz * ACQUAINT_MIN_MS ||
	       !cpus_are_wanted();
}

/*
 * Processes that run already are sampled for a moment before it counts: so their files are known,
 * and what runs in them, and the first sample of the recording is as whole as the last.
 */
static int get_to_know(struct record *r)
{
	uint64_t now = clock_ms(), from = now + ACQUAINT_MIN_MS, until = now + ACQUAINT_MAX_MS;
	size_t pending = 1;

	r->start_ms = now;
	while (!r->ending && now < until && (pending || now < from || !has_been_seen(r))) {
		if (loop_once(r->loop, ACQUAINT_STEP_MS) < 0)
			break;
		pending = session_prepare(r->session);
		show_status(r, "reading files");
		now = clock_ms();
	}
	if (r->ending)
		return 0;
	/* Nothing is sampled in between: each sample is thrown away, or it counts. */
	session_stop(r->session);
	if (session_discard(r->session) < 0)
		log_debug("cannot read the counts, trying again later");
	return session_start(r->session);
}

static int start(struct record *r)
{
	int err = session_start(r->session);

	if (err >= 0 && !r->o.command && (r->o.n_pids || r->o.n_containers))
		err = get_to_know(r);
	if (err < 0)
		return refuse(r, err);
	r->start_ms = clock_ms();
	if (r->o.duration_ms)
		loop_set_timer(r->end_timer, r->o.duration_ms, 0);
	loop_set_timer(r->tick_timer, TICK_MS, TICK_MS);
	if (r->o.command) {
		err = command_go(&r->command);
		if (err < 0)
			return log_error_errno(err, "cannot run '%s'", r->o.command[0]);
	}
	return 0;
}

static int record(struct record *r)
{
	int err = loop_new(&r->loop);

	if (err >= 0 && r->o.command)
		err = command_fork(r->o.command, &r->command);
	if (err < 0)
		return log_error_errno(err, "cannot start");
	err = open_session(r);
	if (err < 0)
		return refuse(r, err);
	err = prepare_loop(r);
	if (err >= 0)
		err = add_targets(r);
	if (err >= 0)
		err = start(r);
	if (err < 0)
		return err;
	err = loop_run(r->loop);
	if (err < 0)
		return err;
	return write_result(r);
}

int record_main(int argc, char **argv)
{
	struct record r = {.command = {.go = -1, .failed = -1, .pidfd = -1}};
	int err = record_options_parse(argc, argv, &r.o);

	if (err < 0)
		return EXIT_USAGE;
	if (r.o.help) {
		record_print_help(stdout);
		return EXIT_DONE;
	}
	r.terminal = isatty(STDERR_FILENO);
	log_set_hook(clear_line, &r);
	err = record(&r);
	clear_line(&r);
	log_set_hook(NULL, NULL);
	session_free(r.session);
	command_done(&r.command);
	loop_free(r.loop);
	if (err >= 0)
		return EXIT_DONE;
	return r.refused ? EXIT_REFUSED : EXIT_FAILED;
}
