/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bpf_time.h"

#include <errno.h>

#include <bpf/bpf.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"

#define FIRST_MS  3000
#define WINDOW_MS 1000
#define PAUSE_MS  59000

struct bpf_time {
	const struct profiler *profiler; /* borrowed */
	struct loop_source *timer;
	int fd; /* while it is open, the kernel takes the time; -1 */
	uint64_t begin_ns, run_ns, runs;
	struct bpf_time_stats stats;
};

static void window_begin(struct bpf_time *t)
{
	t->fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (t->fd < 0 || profiler_run_time(t->profiler, &t->run_ns, &t->runs) < 0) {
		log_debug_errno(t->fd < 0 ? -errno : -EIO,
				"cannot measure the time of BPF programs (CAP_SYS_ADMIN)");
		return;
	}
	t->begin_ns = clock_ns(CLOCK_MONOTONIC);
	loop_set_timer(t->timer, WINDOW_MS, 0);
}

static void window_end(struct bpf_time *t)
{
	uint64_t run_ns, runs, now;

	if (profiler_run_time(t->profiler, &run_ns, &runs) >= 0) {
		now = clock_ns(CLOCK_MONOTONIC);
		t->stats.windows++;
		t->stats.cpu_ratio = (double)(run_ns - t->run_ns) / (double)(now - t->begin_ns);
		if (runs > t->runs)
			t->stats.sample_ns =
				(double)(run_ns - t->run_ns) / (double)(runs - t->runs);
	}
	close(t->fd);
	t->fd = -1;
	loop_set_timer(t->timer, PAUSE_MS, 0);
}

static void on_timer(void *data)
{
	struct bpf_time *t = data;

	if (t->fd < 0)
		window_begin(t);
	else
		window_end(t);
}

int bpf_time_new(struct loop *l, const struct profiler *p, struct bpf_time **ret)
{
	struct bpf_time *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->profiler = p;
	t->fd = -1;
	t->timer = loop_add_timer(l, on_timer, t);
	if (!t->timer) {
		free(t);
		return -ENOMEM;
	}
	loop_set_timer(t->timer, FIRST_MS, 0);
	*ret = t;
	return 0;
}

struct bpf_time *bpf_time_free(struct bpf_time *t)
{
	if (!t)
		return NULL;
	loop_remove(t->timer);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
	return NULL;
}

void bpf_time_get_stats(const struct bpf_time *t, struct bpf_time_stats *ret)
{
	*ret = t ? t->stats : (struct bpf_time_stats){0};
}
