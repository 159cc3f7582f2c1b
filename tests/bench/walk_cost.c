/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPF time per sample, as the kernel itself accounts it (run_time_ns / run_cnt), of the walk and of
 * bpf_get_stack() on the same stack of the same process, in turns. Usage:
 * walk_cost TARGET_FP TARGET_NOFP; prints a table.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/base/log.h"
#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/session.h"
#include "agent/verbs.h"
#include "baseline.skel.h"

struct meter {
	const char *name;
	int prog_fd;
	double ns[64];
	size_t n;
};

struct bench {
	struct loop *loop;
	struct session *session;
	struct baseline_bpf *baseline;
	struct meter meters[3];
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

/* One round of one program on the target; the loop runs so that pages get loaded. */
static void measure(struct bench *b, struct meter *m, pid_t pid, unsigned int hz, int ms)
{
	uint64_t ns[2], runs[2];
	int fd = event_for(pid, hz);

	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, m->prog_fd) < 0) {
		perror("perf event");
		exit(1);
	}
	read_times(m->prog_fd, &ns[0], &runs[0]);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	for (int left = ms; left > 0; left -= 50)
		(void)usleep(50000), (void)loop_once(b->loop, 0);
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	read_times(m->prog_fd, &ns[1], &runs[1]);
	close(fd);
	profiler_poll(session_profiler(b->session));
	if (runs[1] > runs[0] && m->n < ARRAY_SIZE(m->ns))
		m->ns[m->n++] = (double)(ns[1] - ns[0]) / (double)(runs[1] - runs[0]);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(struct meter *m)
{
	qsort(m->ns, m->n, sizeof(m->ns[0]), compare);
	return m->n ? m->ns[m->n / 2] : 0;
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

struct result {
	double walk, fp, empty;
	uint64_t frames;
};

static struct result run_case(struct bench *b, const char *target, int depth, bool cold, int rounds)
{
	pid_t pid = start_target(target, depth, cold ? "cold" : "hot");
	unsigned int hz = cold ? 99 : 4999;
	int ms = cold ? 2000 : 500;
	uint64_t before[STAT_MAX], after[STAT_MAX];
	struct result r;

	for (size_t i = 0; i < 3; i++)
		b->meters[i].n = 0;
	/* Not counted: the file is read and its page loaded. */
	measure(b, &b->meters[0], pid, 999, 400);
	measure(b, &b->meters[1], pid, 999, 100);
	b->meters[0].n = b->meters[1].n = 0;
	profiler_stats(session_profiler(b->session), before);
	for (int i = 0; i < rounds; i++) {
		for (size_t k = 0; k < 3; k++)
			measure(b, &b->meters[k], pid, hz, k == 2 ? ms / 2 : ms);
	}
	profiler_stats(session_profiler(b->session), after);
	r = (struct result){median(&b->meters[0]), median(&b->meters[1]), median(&b->meters[2]),
			    (after[STAT_FRAMES] - before[STAT_FRAMES]) /
				    MAX(after[STAT_SAMPLES] - before[STAT_SAMPLES], 1u)};
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
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
	b->meters[0] = (struct meter){.name = "walk",
				      .prog_fd = profiler_program_fd(session_profiler(b->session))};
	b->meters[1] = (struct meter){
		.name = "fp", .prog_fd = bpf_program__fd(b->baseline->progs.frame_pointers)};
	b->meters[2] = (struct meter){.name = "empty",
				      .prog_fd = bpf_program__fd(b->baseline->progs.empty)};
	return 0;
}

int main(int argc, char **argv)
{
	static const int depths[] = {31, 101};
	int rounds = argc > 3 ? atoi(argv[3]) : 5;
	struct bench b = {0};
	const struct child_options child = {.build = build_table};
	int r;

	if (argc > 1 && !strcmp(argv[1], PARSER_CHILD_VERB))
		return child_main(CHILD_SOCKET, &child);
	r = argc > 2 ? open_bench(&b) : -EINVAL;
	if (r < 0)
		return log_error_errno(r, "walk_cost TARGET_FP TARGET_NOFP [ROUNDS]") < 0;
	printf("%-6s %-6s %8s %10s %10s %8s %12s\n", "caches", "frames", "walked", "walk ns",
	       "fp ns", "ratio", "walk, no fp");
	for (int cold = 0; cold < 2; cold++) {
		double per[2][3];

		for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
			struct result fp = run_case(&b, argv[1], depths[i], cold, rounds);
			struct result no = run_case(&b, argv[2], depths[i], cold, rounds);

			printf("%-6s %-6d %8llu %10.0f %10.0f %8.2f %12.0f\n",
			       cold ? "cold" : "warm", depths[i], (unsigned long long)fp.frames,
			       fp.walk, fp.fp, fp.walk / fp.fp, no.walk);
			per[i][0] = fp.walk;
			per[i][1] = fp.fp;
			per[i][2] = no.walk;
			fflush(stdout);
		}
		printf("%-6s per frame: walk %.0f ns, fp %.0f ns, walk without fp %.0f ns\n",
		       cold ? "cold" : "warm", (per[1][0] - per[0][0]) / 70,
		       (per[1][1] - per[0][1]) / 70, (per[1][2] - per[0][2]) / 70);
	}
	session_free(b.session);
	baseline_bpf__destroy(b.baseline);
	loop_free(b.loop);
	return 0;
}
