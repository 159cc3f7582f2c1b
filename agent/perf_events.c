/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/perf_events.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include <bpf/libbpf.h>

#include "agent/base/hash.h"
#include "agent/base/log.h"

#define MAX_CPUS    8192
#define JITTER_S    5 /* a change restarts the CPU's period: half a period is lost each time */
#define JITTER_PART 0.04
#define CPUS_ONLINE "/sys/devices/system/cpu/online"

struct cpu_event {
	int fd; /* owned by link when it is set */
	struct bpf_link *link;
	double pending; /* the opposite of the last deviation, so that pairs cancel out */
	bool online;
};

struct perf_events {
	struct perf_events_options o;
	struct perf_event_attr attr;
	struct cpu_event *cpus; /* by CPU number */
	size_t n_cpus, n_active;
	struct loop_source *timer;
	uint64_t random;
};

static int event_open(struct perf_event_attr *attr, int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The rate that makes up for the half periods lost to jitter. */
static double base_rate(const struct perf_events *p)
{
	double hz = p->o.frequency_hz;

	return hz / (1 - 0.5 / (hz * JITTER_S));
}

static uint64_t rate_value(const struct perf_events *p, double hz)
{
	return p->attr.freq ? (uint64_t)(hz + 0.5) : (uint64_t)(1e9 / hz + 0.5);
}

static int choose_event(struct perf_events *p)
{
	struct perf_event_attr *a = &p->attr;
	int fd;

	a->size = sizeof(*a);
	a->exclude_idle = 1;
	a->exclude_hv = 1;
	if (p->o.want_cycles) {
		a->type = PERF_TYPE_HARDWARE;
		a->config = PERF_COUNT_HW_CPU_CYCLES;
		a->freq = 1;
		a->sample_freq = rate_value(p, p->o.frequency_hz);
		fd = event_open(a, 0);
		if (fd >= 0) {
			close(fd);
			return 0;
		}
		if (!p->o.want_clock)
			return fd;
	}
	a->type = PERF_TYPE_SOFTWARE;
	a->config = PERF_COUNT_SW_CPU_CLOCK;
	a->freq = 0;
	a->sample_period = rate_value(p, base_rate(p));
	return 0;
}

static int cpu_attach(struct perf_events *p, unsigned int cpu)
{
	struct cpu_event *c = &p->cpus[cpu];
	int fd = event_open(&p->attr, (int)cpu);

	if (fd < 0)
		return fd;
	c->link = bpf_program__attach_perf_event(p->o.program, fd);
	if (!c->link) {
		int r = -errno;

		close(fd);
		return r;
	}
	c->fd = fd;
	p->n_active++;
	return 0;
}

static void cpu_detach(struct perf_events *p, struct cpu_event *c)
{
	if (!c->link)
		return;
	bpf_link__destroy(c->link);
	c->link = NULL;
	c->fd = -1;
	p->n_active--;
}

int perf_cpu_list(const char *text, void (*fn)(unsigned int cpu, void *data), void *data)
{
	while (*text && *text != '\n') {
		unsigned int range[2] = {0, 0};
		int n = 0;

		for (; n < 2; n++) {
			if (*text < '0' || *text > '9')
				return -EBADMSG;
			for (; *text >= '0' && *text <= '9'; text++) {
				range[n] = range[n] * 10 + (unsigned int)(*text - '0');
				if (range[n] >= MAX_CPUS)
					return -EBADMSG;
			}
			if (*text != '-')
				break;
			text++;
		}
		if (n == 0)
			range[1] = range[0];
		if (n == 2 || range[1] < range[0])
			return -EBADMSG;
		for (unsigned int cpu = range[0]; cpu <= range[1]; cpu++)
			fn(cpu, data);
		if (*text == ',' && (*++text < '0' || *text > '9'))
			return -EBADMSG;
	}
	return 0;
}

static void mark_online(unsigned int cpu, void *data)
{
	struct perf_events *p = data;

	if (cpu < p->n_cpus)
		p->cpus[cpu].online = true;
}

static int follow_cpus(struct perf_events *p)
{
	_cleanup_fclose_ FILE *f = fopen(CPUS_ONLINE, "re");
	char text[4096];
	int r, first_error = 0;

	if (!f || !fgets(text, sizeof(text), f))
		return -ENOENT;
	for (size_t i = 0; i < p->n_cpus; i++)
		p->cpus[i].online = false;
	r = perf_cpu_list(text, mark_online, p);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < p->n_cpus; i++) {
		struct cpu_event *c = &p->cpus[i];

		if (c->online && !c->link) {
			r = cpu_attach(p, i);
			/* A CPU may go between the list and the call. */
			if (r < 0 && r != -ENODEV && !first_error)
				first_error = r;
		} else if (!c->online) {
			cpu_detach(p, c);
		}
	}
	return p->n_active ? 0 : first_error;
}

static double next_deviation(struct perf_events *p, struct cpu_event *c)
{
	double d = -c->pending;

	if (c->pending) {
		c->pending = 0;
		return d;
	}
	p->random = hash_mix(p->random + 0x9e3779b97f4a7c15u);
	d = ((double)(p->random >> 11) / (double)(1ull << 53) * 2 - 1) * JITTER_PART;
	c->pending = d;
	return d;
}

static void on_timer(void *data)
{
	struct perf_events *p = data;
	int r = follow_cpus(p);

	if (r < 0)
		log_warn_errno(r, "cannot follow the CPUs of " CPUS_ONLINE);
	for (size_t i = 0; i < p->n_cpus; i++) {
		struct cpu_event *c = &p->cpus[i];
		uint64_t value;

		if (!c->link)
			continue;
		value = rate_value(p, base_rate(p) * (1 + next_deviation(p, c)));
		(void)ioctl(c->fd, PERF_EVENT_IOC_PERIOD, &value);
	}
}

int perf_events_new(struct loop *loop, const struct perf_events_options *o,
		    struct perf_events **ret)
{
	struct perf_events *p = calloc(1, sizeof(*p));
	int r, n = libbpf_num_possible_cpus();

	if (!p || n < 1)
		goto fail_memory;
	p->o = *o;
	p->n_cpus = (size_t)n;
	p->cpus = calloc(p->n_cpus, sizeof(*p->cpus));
	if (!p->cpus)
		goto fail_memory;
	(void)getrandom(&p->random, sizeof(p->random), GRND_NONBLOCK);
	r = choose_event(p);
	if (r >= 0)
		r = follow_cpus(p);
	if (r < 0) {
		perf_events_free(p);
		return r;
	}
	p->timer = loop_add_timer(loop, on_timer, p);
	if (p->timer)
		loop_set_timer(p->timer, JITTER_S * 1000, JITTER_S * 1000);
	*ret = p;
	return 0;
fail_memory:
	perf_events_free(p);
	return -ENOMEM;
}

struct perf_events *perf_events_free(struct perf_events *p)
{
	if (!p)
		return NULL;
	loop_remove(p->timer);
	for (size_t i = 0; p->cpus && i < p->n_cpus; i++)
		cpu_detach(p, &p->cpus[i]);
	free(p->cpus);
	free(p);
	return NULL;
}

void perf_events_set_frequency(struct perf_events *p, uint32_t frequency_hz)
{
	p->o.frequency_hz = frequency_hz;
	/* CPUs that come later start with it; the two fields are one. */
	p->attr.sample_period = rate_value(p, p->attr.freq ? frequency_hz : base_rate(p));
	for (size_t i = 0; i < p->n_cpus; i++) {
		struct cpu_event *c = &p->cpus[i];
		uint64_t value = rate_value(p, base_rate(p));

		c->pending = 0;
		if (c->link)
			(void)ioctl(c->fd, PERF_EVENT_IOC_PERIOD, &value);
	}
}

const char *perf_events_name(const struct perf_events *p)
{
	return p->attr.type == PERF_TYPE_HARDWARE ? "cycles" : "cpu-clock";
}

size_t perf_events_count(const struct perf_events *p)
{
	return p->n_active;
}
