/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPF time per sample, as the kernel itself accounts it (run_time_ns / run_cnt), of the walk and of
 * bpf_get_stack() on the same stack of the same process. Every round measures each program on each
 * target, all of which exist from the start and are stopped but for the measured one, so that what
 * else the machine does falls on all alike; medians over the rounds. With warm caches the target
 * loops in registers and is sampled at 4999 Hz; with cold ones it thrashes 64 MiB itself between
 * two samples at 99 Hz. Usage: walk_cost TARGET_FP TARGET_NOFP [ROUNDS [warm]]; prints a table. The
 * targets may as well be scripts of an interpreter or a virtual machine: the busiest thread counts.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/session.h"
#include "agent/verbs.h"
#include "baseline.skel.h"

#define ROUNDS_MAX 64

enum program { WALK, FRAME_POINTERS, EMPTY, PROGRAM_MAX };

struct series {
	double v[ROUNDS_MAX];
	size_t n;
};

/* One process that is measured, and what was. */
struct target {
	const char *path;
	int depth;
	pid_t pid, tid; /* tid: of the thread that works */
	struct series ns[PROGRAM_MAX];
	struct series ratio; /* of the same round: WALK to FRAME_POINTERS */
	uint64_t samples, frames, complete, fp_frames;
};

struct bench {
	struct loop *loop;
	struct session *session;
	struct baseline_bpf *baseline;
	int fds[PROGRAM_MAX];
	bool cold;
	struct target targets[4];
};

static int event_for(pid_t pid, unsigned int hz)
{
	struct perf_event_attr a = {
		.size = sizeof(a),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000000u / hz,
		.disabled = 1,
	};

	return (int)syscall(SYS_perf_event_open, &a, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void read_times(int fd, uint64_t *ns, uint64_t *runs)
{
	struct bpf_prog_info info = {0};
	uint32_t n = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &n) < 0)
		exit(1);
	*ns = info.run_time_ns;
	*runs = info.run_cnt;
}

/* One program on one running target for a while; the loop runs so that pages get loaded. */
static double measure(struct bench *b, enum program program, pid_t pid, unsigned int hz, int ms)
{
	int prog = b->fds[program], fd = event_for(pid, hz);
	uint64_t ns[2], runs[2], until;

	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) < 0) {
		perror("perf event");
		exit(1);
	}
	read_times(prog, &ns[0], &runs[0]);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	until = clock_ms() + (uint64_t)ms;
	for (uint64_t now = clock_ms(); now < until; now = clock_ms())
		(void)loop_once(b->loop, (int)(until - now));
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	read_times(prog, &ns[1], &runs[1]);
	close(fd);
	profiler_poll(session_profiler(b->session));
	return runs[1] > runs[0] ? (double)(ns[1] - ns[0]) / (double)(runs[1] - runs[0]) : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The given part of the sorted values; 0.5: the median. */
static double quantile(const struct series *s, double part)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, s->v, sizeof(sorted));
	qsort(sorted, s->n, sizeof(sorted[0]), compare);
	return s->n ? sorted[(size_t)(part * (double)(s->n - 1) + 0.5)] : 0;
}

static double median(const struct series *s)
{
	return quantile(s, 0.5);
}

static void series_add(struct series *s, double v)
{
	if (v > 0 && s->n < ROUNDS_MAX)
		s->v[s->n++] = v;
}

static pid_t start_target(const char *path, int depth, const char *mode)
{
	int out[2];
	char number[16], byte;
	pid_t pid;

	if (pipe(out) < 0)
		exit(1);
	(void)snprintf(number, sizeof(number), "%d", depth);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		close(out[0]);
		execl(path, path, number, mode, NULL);
		_exit(127);
	}
	close(out[1]);
	if (read(out[0], &byte, 1) != 1) {
		fprintf(stderr, "%s did not start\n", path);
		exit(1);
	}
	close(out[0]);
	return pid;
}

/* Scheduled time of a thread so far, in ns. */
static uint64_t thread_ns(pid_t pid, const char *tid)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64];
	uint64_t ns = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, tid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%" SCNu64, &ns) != 1)
		return 0;
	return ns;
}

static pid_t busiest_thread(pid_t pid)
{
	DIR *dir;
	char path[64];
	uint64_t most = 0;
	pid_t found = pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	for (struct dirent *d = dir ? readdir(dir) : NULL; d; d = readdir(dir)) {
		uint64_t ns = d->d_name[0] == '.' ? 0 : thread_ns(pid, d->d_name);

		if (ns > most) {
			most = ns;
			found = atoi(d->d_name);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

static void round_of(struct bench *b, struct target *t, int round)
{
	unsigned int hz = b->cold ? 99 : 4999;
	int ms = b->cold ? 600 : 100;
	uint64_t before[STAT_MAX], after[STAT_MAX];
	double ns[PROGRAM_MAX];

	kill(t->pid, SIGCONT);
	/* Not counted: the caches become the target's, and its rows get loaded. */
	(void)measure(b, WALK, t->tid, 999, round ? 20 : 400);
	profiler_stats(session_profiler(b->session), before);
	for (int i = 0; i < PROGRAM_MAX; i++) {
		enum program p = (enum program)((i + round) % PROGRAM_MAX);

		ns[p] = measure(b, p, t->tid, hz, p == EMPTY ? ms / 4 : ms);
		series_add(&t->ns[p], ns[p]);
	}
	profiler_stats(session_profiler(b->session), after);
	kill(t->pid, SIGSTOP);
	if (ns[WALK] > 0 && ns[FRAME_POINTERS] > 0)
		series_add(&t->ratio, ns[WALK] / ns[FRAME_POINTERS]);
	t->samples += after[STAT_SAMPLES] - before[STAT_SAMPLES];
	t->frames += after[STAT_FRAMES] - before[STAT_FRAMES];
	t->complete += after[STAT_COMPLETE] - before[STAT_COMPLETE];
	t->fp_frames = b->baseline->bss->frames;
}

static void print_target(const struct bench *b, const struct target *t, const char *build)
{
	uint64_t n = MAX(t->samples, 1u);

	printf("%-6s %-6s %6d %6.1f %4llu %8.1f %8.0f %8.0f %8.0f %8.0f %8.0f %6.2f %6.2f %6.2f\n",
	       b->cold ? "cold" : "warm", build, t->depth, (double)t->frames / (double)n,
	       (unsigned long long)t->fp_frames, 100.0 * (double)t->complete / (double)n,
	       median(&t->ns[WALK]), quantile(&t->ns[WALK], 0.25), quantile(&t->ns[WALK], 0.75),
	       median(&t->ns[FRAME_POINTERS]), median(&t->ns[EMPTY]), median(&t->ratio),
	       quantile(&t->ratio, 0.25), quantile(&t->ratio, 0.75));
}

static double per_frame(const struct target *a, const struct target *b, enum program p)
{
	return (median(&b->ns[p]) - median(&a->ns[p])) / (b->depth - a->depth);
}

static void run_caches(struct bench *b, bool cold, char **paths, int rounds)
{
	static const int depths[] = {31, 101};
	struct target *t = b->targets;

	b->cold = cold;
	for (size_t i = 0; i < ARRAY_SIZE(b->targets); i++) {
		t[i] = (struct target){.path = paths[i / 2], .depth = depths[i % 2]};
		t[i].pid = start_target(t[i].path, t[i].depth, cold ? "cold" : "hot");
		t[i].tid = busiest_thread(t[i].pid);
		kill(t[i].pid, SIGSTOP);
	}
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(b->targets); i++)
			round_of(b, &t[i], round);
	}
	for (size_t i = 0; i < ARRAY_SIZE(b->targets); i++) {
		print_target(b, &t[i], i / 2 ? "no-fp" : "fp");
		kill(t[i].pid, SIGKILL);
		waitpid(t[i].pid, NULL, 0);
	}
	printf("%s per frame: walk %.1f ns, by frame pointers %.1f ns, walk without them %.1f ns\n",
	       cold ? "cold" : "warm", per_frame(&t[0], &t[1], WALK),
	       per_frame(&t[0], &t[1], FRAME_POINTERS), per_frame(&t[2], &t[3], WALK));
	fflush(stdout);
}

static int open_bench(struct bench *b)
{
	const struct session_options o = {
		.profiler = {.frequency_hz = 99, .interval_s = 60, .kernel_stacks = true},
		.cache_dir = "",
	};
	int r = loop_new(&b->loop);

	if (r >= 0)
		r = session_new(b->loop, &o, &b->session);
	if (r < 0)
		return r;
	b->baseline = baseline_bpf__open_and_load();
	if (!b->baseline || bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		return -errno;
	b->fds[WALK] = profiler_program_fd(session_profiler(b->session));
	b->fds[FRAME_POINTERS] = bpf_program__fd(b->baseline->progs.frame_pointers);
	b->fds[EMPTY] = bpf_program__fd(b->baseline->progs.empty);
	return 0;
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? MIN(MAX(atoi(argv[3]), 1), ROUNDS_MAX) : 9;
	struct bench b = {0};
	const struct child_options child = {.build = build_table};
	int r;

	if (argc > 1 && !strcmp(argv[1], PARSER_CHILD_VERB))
		return child_main(CHILD_SOCKET, &child);
	r = argc > 2 ? open_bench(&b) : -EINVAL;
	if (r < 0)
		return log_error_errno(r, "walk_cost TARGET_FP TARGET_NOFP [ROUNDS]") < 0;
	printf("%-6s %-6s %6s %6s %4s %8s %8s %8s %8s %8s %8s %6s %6s %6s\n", "caches", "build",
	       "frames", "walked", "fp", "whole %", "walk ns", "25 %", "75 %", "fp ns", "empty",
	       "ratio", "25 %", "75 %");
	for (int cold = 0; cold < (argc > 4 && !strcmp(argv[4], "warm") ? 1 : 2); cold++)
		run_caches(&b, cold, argv + 1, rounds);
	session_free(b.session);
	baseline_bpf__destroy(b.baseline);
	loop_free(b.loop);
	return 0;
}
