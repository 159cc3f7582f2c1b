/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/profiler.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/cgroupfs.h"
#include "agent/perf_events.h"
#include "agent/rows_pool.h"
#include "profiler.skel.h"
#include "unwinders/native.h"

struct profiler {
	struct loop *loop; /* borrowed */
	struct profiler_options o;
	struct profiler_handler handler;
	struct profiler_bpf *skel;
	struct ring_buffer *ring;
	struct loop_source *ring_source;
	struct perf_events *events;
	struct rows_pool *pool;
	size_t count_slots; /* of one CPU in each half of the counts */
	unsigned int n_cpus;
	const char *event_name;
};

static const char *const stat_names[STAT_MAX] = {
	[STAT_SAMPLES] = "samples",
	[STAT_IGNORED] = "samples_ignored",
	[STAT_COMPLETE] = "stacks_complete",
	[STAT_LATE] = "stacks_late",
	[STAT_FRAMES] = "user_frames",
	[STAT_RULE_HASHED] = "rules_hashed",
	[STAT_RULE_SEARCHED] = "rules_searched",
	[STAT_VMA_WALKS] = "mapping_lookups",
	[STAT_NEW_FILES] = "files_new",
	[STAT_NEW_STACKS] = "stacks_new",
	[STAT_LOST_RING] = "lost_ring",
	[STAT_LOST_COUNT] = "lost_count",
	[STAT_KERNEL_ONLY] = "samples_kernel_threads",
	[STAT_COMPAT] = "samples_32bit",
};

const char *profiler_stat_name(enum stat_id s)
{
	return stat_names[s];
}

static size_t round_up_pow2(size_t n)
{
	size_t v = 1;

	while (v < n)
		v *= 2;
	return v;
}

/* Those whose names say so have an element for each CPU: not BPF's own kind of such maps, whose
 * elements lie wherever, are at most 32 KiB and are looked up by a call before Linux 6.10. */
static void size_maps_of_cpus(struct profiler *p)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, p->skel->obj)
	{
		const char *name = bpf_map__name(map), *end = strrchr(name, '_');

		if (strcmp(end ? end + 1 : name, "cpus") == 0)
			bpf_map__set_max_entries(map, p->n_cpus);
	}
}

/* Maps are sized by what can happen in one interval, within fixed bounds. */
static void size_maps(struct profiler *p)
{
	struct profiler_bpf *s = p->skel;
	/* Twice as many places as one CPU can take samples, so that probing stays short. */
	size_t samples = (size_t)p->o.frequency_hz * p->o.interval_s;
	size_t slots = MIN(MAX(round_up_pow2(2 * samples), 1024u), 16384u);
	size_t chunks = MAX((p->o.rows_bytes ? p->o.rows_bytes : 8u << 20) / ROWS_CHUNK_BYTES, 1u);
	size_t ring = round_up_pow2((size_t)p->n_cpus << 18);

	size_t rules = MIN(MAX(round_up_pow2((size_t)p->n_cpus * 4096), 32768u), 1u << 18);

	bpf_map__set_max_entries(s->maps.rule_cache, (unsigned int)rules);
	s->rodata->rule_cache_mask = (uint32_t)rules - 1;
	s->rodata->n_cpus = p->n_cpus;
	size_maps_of_cpus(p);
	bpf_map__set_max_entries(s->maps.counts, (unsigned int)(2 * p->n_cpus * slots));
	s->rodata->count_slots = (uint32_t)slots;
	p->count_slots = slots;
	bpf_map__set_max_entries(s->maps.rows_pool, (unsigned int)chunks);
	bpf_map__set_max_entries(s->maps.events, (unsigned int)MIN(MAX(ring, 1u << 20), 16u << 20));
}

/* Index in css_set.subsys of the hierarchy that tells containers apart, from BTF; -1: none. */
static int container_subsys(void)
{
	const char *controller = cgroupfs_controller();
	struct btf *btf = controller ? btf__load_vmlinux_btf() : NULL;
	const struct btf_type *t;
	int result = -1, id;
	char name[64];

	if (!btf)
		return -1;
	(void)snprintf(name, sizeof(name), "%s_cgrp_id", controller);
	id = btf__find_by_name_kind(btf, "cgroup_subsys_id", BTF_KIND_ENUM);
	t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	for (int k = 0; t && k < btf_vlen(t); k++) {
		if (!strcmp(btf__name_by_offset(btf, btf_enum(t)[k].name_off), name))
			result = btf_enum(t)[k].val;
	}
	btf__free(btf);
	return result;
}

static int libbpf_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	/* Not through log_debug(): the verifier's log is long. */
	if (log_get_level() < LOG_LEVEL_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, ap);
}

/* Inode number of our pid namespace, 0 for the host's (PROC_PID_INIT_INO, linux/proc_ns.h). */
static uint32_t own_pid_ns(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == 0xeffffffc)
		return 0;
	return (uint32_t)st.st_ino;
}

static void set_live(struct profiler *p)
{
	p->skel->bss->filter_mode = p->o.filter;
	p->skel->bss->kernel_stacks = p->o.kernel_stacks;
	p->skel->bss->task_split = p->o.split;
	p->skel->bss->keep_loops = p->o.keep_loops;
	p->skel->bss->filter_epoch++;
}

/* What the programs can not know of the machine when they are compiled. */
static void set_machine(struct profiler_bpf *s)
{
#ifdef __aarch64__
	s->rodata->pac_mask = native_pac_mask();
	s->rodata->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
#else
	(void)s;
#endif
}

static int load(struct profiler *p)
{
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct profiler_bpf *s;
	int r;

	libbpf_set_print(libbpf_log);
	/* 4: the verifier's statistics and its last error, not each instruction. */
	opts.kernel_log_level = log_get_level() >= LOG_LEVEL_DEBUG ? 4 : 0;
	s = p->skel = profiler_bpf__open_opts(&opts);
	if (!s)
		return -errno;
	s->rodata->pid_ns = own_pid_ns();
	s->rodata->max_user_frames = p->o.max_user_frames ? p->o.max_user_frames : STACK_MAX_USER;
	s->rodata->cgroup_subsys = container_subsys();
	set_machine(s);
	set_live(p);
	bpf_program__set_autoload(s->progs.follow_fork, p->o.follow_children);
	size_maps(p);
	r = profiler_bpf__load(s);
	if (r < 0)
		return r;
	if (p->o.follow_children) {
		s->links.follow_fork = bpf_program__attach(s->progs.follow_fork);
		if (!s->links.follow_fork)
			return -errno;
	}
	return 0;
}

static int open_pool(struct profiler *p)
{
	const struct rows_pool_options o = {
		.pages_fd = bpf_map__fd(p->skel->maps.pages),
		.pool_fd = bpf_map__fd(p->skel->maps.rows_pool),
		.n_chunks = bpf_map__max_entries(p->skel->maps.rows_pool),
		.max_pages = bpf_map__max_entries(p->skel->maps.pages),
	};

	return rows_pool_new(&o, &p->pool);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct profiler *p = ctx;
	const struct event_header *h = data;
	const struct profiler_handler *to = &p->handler;

	switch ((enum event_kind)h->kind) {
	case EVENT_STACK:
		to->on_stack(to->data, data,
			     (const uint64_t *)((uint8_t *)data + sizeof(struct event_stack)));
		break;
	case EVENT_LATE:
		to->on_late(to->data, data);
		break;
	case EVENT_FILE:
		to->on_file(to->data, data);
		break;
	case EVENT_TASK:
		to->on_task(to->data, data);
		break;
	case EVENT_RUNTIME:
		to->on_runtime(to->data, data);
		break;
	case EVENT_PAGE:
		to->on_page(to->data, ((const struct event_page *)data)->frame);
		break;
	}
	return 0;
}

static void on_ring(int fd, uint32_t events, void *data)
{
	profiler_poll(data);
}

static int open_ring(struct profiler *p)
{
	p->ring = ring_buffer__new(bpf_map__fd(p->skel->maps.events), on_record, p, NULL);
	if (!p->ring)
		return -errno;
	p->ring_source = loop_add_fd(p->loop, ring_buffer__epoll_fd(p->ring), EPOLLIN, on_ring, p);
	return p->ring_source ? 0 : -errno;
}

int profiler_new(struct loop *loop, const struct profiler_options *options,
		 const struct profiler_handler *handler, struct profiler **ret)
{
	_cleanup_(profiler_freep) struct profiler *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->o = *options;
	p->handler = *handler;
	p->n_cpus = (unsigned int)MAX(libbpf_num_possible_cpus(), 1);
	r = load(p);
	if (r >= 0)
		r = open_pool(p);
	if (r >= 0)
		r = open_ring(p);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

struct profiler *profiler_free(struct profiler *p)
{
	if (!p)
		return NULL;
	perf_events_free(p->events);
	loop_remove(p->ring_source);
	ring_buffer__free(p->ring);
	rows_pool_free(p->pool);
	profiler_bpf__destroy(p->skel);
	free(p);
	return NULL;
}

int profiler_start(struct profiler *p)
{
	struct perf_events_options o = {
		.program = p->skel->progs.sample,
		.frequency_hz = p->o.frequency_hz,
		.want_cycles = p->o.event != PROFILER_EVENT_CPU_CLOCK,
		.want_clock = p->o.event != PROFILER_EVENT_CYCLES,
	};
	int r = perf_events_new(p->loop, &o, &p->events);

	if (r < 0)
		return r;
	p->event_name = perf_events_name(p->events);
	return 0;
}

void profiler_stop(struct profiler *p)
{
	p->events = perf_events_free(p->events);
}

void profiler_poll(struct profiler *p)
{
	(void)ring_buffer__consume(p->ring);
	p->skel->bss->woken_ns = clock_ns(CLOCK_MONOTONIC);
	if (p->handler.on_end)
		p->handler.on_end(p->handler.data);
}

/* Waits until every program that may still write to the old map has ended. */
static void wait_for_programs(void)
{
	const struct timespec grace = {.tv_nsec = 20 * 1000 * 1000};

	/* synchronize_rcu(); refused on nohz_full machines (kernel/sched/membarrier.c). */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		nanosleep(&grace, NULL);
}

/* The pages of an mmapable map count as the agent's memory while they are mapped: only then. */
static void *map_part(const struct bpf_map *map, size_t bytes, size_t offset, int prot)
{
	void *p = mmap(NULL, bytes, prot, MAP_SHARED, bpf_map__fd(map), (off_t)offset);

	return p == MAP_FAILED ? NULL : p;
}

int profiler_drain(struct profiler *p, profiler_count_fn fn, void *data)
{
	size_t half = (size_t)p->n_cpus * p->count_slots * sizeof(struct count_entry);
	uint32_t full = p->skel->bss->active_counts & 1;
	struct count_entry *entries;

	p->skel->bss->active_counts = !full;
	wait_for_programs();
	/* What the tables count was announced by now: whoever gets a count has its stack. */
	profiler_poll(p);
	entries = map_part(p->skel->maps.counts, half, full * half, PROT_READ | PROT_WRITE);
	if (!entries)
		return -errno;
	for (size_t i = 0; i < half / sizeof(*entries); i++) {
		if (!entries[i].count)
			continue;
		fn(data, &entries[i]);
		entries[i] = (struct count_entry){0};
	}
	munmap(entries, half);
	return 0;
}

/* Sums n counters at an offset of the state of each CPU. */
static void sum_cpus(const struct profiler *p, size_t offset, uint64_t *ret, size_t n)
{
	size_t stride = (bpf_map__value_size(p->skel->maps.cpus) + 7) & ~(size_t)7;
	size_t bytes = stride * p->n_cpus;
	const uint8_t *cpus = map_part(p->skel->maps.cpus, bytes, 0, PROT_READ);

	memset(ret, 0, sizeof(uint64_t) * n);
	for (unsigned int cpu = 0; cpus && cpu < p->n_cpus; cpu++) {
		const uint64_t *stats = (const uint64_t *)(cpus + cpu * stride + offset);

		for (size_t i = 0; i < n; i++)
			ret[i] += __atomic_load_n(&stats[i], __ATOMIC_RELAXED);
	}
	if (cpus)
		munmap((void *)cpus, bytes);
}

void profiler_stats(const struct profiler *p, uint64_t ret[STAT_MAX])
{
	sum_cpus(p, 0, ret, STAT_MAX);
}

void profiler_runtime_stats(const struct profiler *p,
			    uint64_t ret[RUNTIMES_ROOM][RUNTIME_STATS_MAX])
{
	/* struct cpu_state: behind the counters of all. */
	sum_cpus(p, sizeof(uint64_t) * STAT_MAX, ret[0], (size_t)RUNTIMES_ROOM * RUNTIME_STATS_MAX);
}

const char *profiler_event_name(const struct profiler *p)
{
	return p->event_name ? p->event_name : "cpu-clock";
}

uint64_t profiler_period_ns(const struct profiler *p)
{
	return 1000000000u / p->o.frequency_hz;
}

void profiler_set_filter(struct profiler *p, uint32_t filter)
{
	p->o.filter = filter;
	set_live(p);
}

void profiler_change(struct profiler *p, const struct profiler_options *o)
{
	p->o.split = o->split;
	p->o.kernel_stacks = o->kernel_stacks;
	p->o.keep_loops = o->keep_loops;
	set_live(p);
	if (p->o.frequency_hz == o->frequency_hz)
		return;
	p->o.frequency_hz = o->frequency_hz;
	if (p->events)
		perf_events_set_frequency(p->events, o->frequency_hz);
}

uint64_t profiler_patience_ms(const struct profiler *p)
{
	/* Half full: probing stays short. */
	return MAX((uint64_t)p->count_slots * 500 / p->o.frequency_hz, 50u);
}

static int put(struct bpf_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) < 0 ? -errno : 0;
}

/* The programs remember of whom the control groups are wanted. */
static int put_target(struct profiler *p, struct bpf_map *map, const void *key, const void *value)
{
	int r = put(map, key, value);

	p->skel->bss->filter_epoch++;
	return r;
}

static void drop_target(struct profiler *p, struct bpf_map *map, const void *key)
{
	(void)bpf_map_delete_elem(bpf_map__fd(map), key);
	p->skel->bss->filter_epoch++;
}

int profiler_add_target(struct profiler *p, uint32_t tgid, uint64_t start_ticks)
{
	return put_target(p, p->skel->maps.target_tgids, &tgid, &start_ticks);
}

void profiler_remove_target(struct profiler *p, uint32_t tgid)
{
	drop_target(p, p->skel->maps.target_tgids, &tgid);
}

int profiler_add_cgroup(struct profiler *p, uint64_t cgroup_id)
{
	const uint32_t one = 1;

	return put_target(p, p->skel->maps.target_cgroups, &cgroup_id, &one);
}

void profiler_remove_cgroup(struct profiler *p, uint64_t cgroup_id)
{
	drop_target(p, p->skel->maps.target_cgroups, &cgroup_id);
}

/* Gone, or a zombie that its parent has not waited for. */
static bool process_has_ended(uint32_t tgid)
{
	char path[64], text[512];
	_cleanup_fclose_ FILE *f = NULL;
	const char *end;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", tgid);
	f = fopen(path, "re");
	if (!f)
		return true;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	/* The state follows the name, which is in parentheses and may hold any character. */
	end = strrchr(text, ')');
	return !end || end[1] == '\0' || end[2] == 'Z' || end[2] == 'X';
}

size_t profiler_sweep_targets(struct profiler *p)
{
	int fd = bpf_map__fd(p->skel->maps.target_tgids);
	uint32_t key = 0, next;
	size_t n = 0;
	int r = bpf_map_get_next_key(fd, NULL, &next);

	while (r == 0) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next);
		if (process_has_ended(key))
			(void)bpf_map_delete_elem(fd, &key);
		else
			n++;
	}
	return n;
}

int profiler_set_file(struct profiler *p, const struct file_key *key, uint32_t id,
		      enum range_state state, uint32_t runtime)
{
	struct file_value v = {.id = id, .state = (uint16_t)state, .runtime = (uint16_t)runtime};

	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.files), key, &v, BPF_EXIST) < 0
		       ? -errno
		       : 0;
}

void profiler_forget_files(struct profiler *p, const struct file_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)bpf_map_delete_elem(bpf_map__fd(p->skel->maps.files), &keys[i]);
	profiler_forget_ranges(p);
}

void profiler_forget_ranges(struct profiler *p)
{
	p->skel->bss->memo_epoch++;
}

/* -ENOENT, or a descriptor. */
static int runtime_map(const struct profiler *p, const char *runtime, const char *map)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s_%s", runtime, map);
	return bpf_object__find_map_fd_by_name(p->skel->obj, name);
}

int profiler_put(struct profiler *p, const char *runtime, const char *map, const void *key,
		 const void *value)
{
	int fd = runtime_map(p, runtime, map), r;

	if (fd < 0)
		return -ENOENT;
	r = bpf_map_update_elem(fd, key, value, BPF_ANY) < 0 ? -errno : 0;
	p->skel->bss->process_epoch++;
	return r;
}

void profiler_remove(struct profiler *p, const char *runtime, const char *map, const void *key)
{
	int fd = runtime_map(p, runtime, map);

	if (fd >= 0)
		(void)bpf_map_delete_elem(fd, key);
	p->skel->bss->process_epoch++;
}

int profiler_set_process(struct profiler *p, struct process_key key, const struct process_value *v)
{
	int r = put(p->skel->maps.processes, &key, v);

	p->skel->bss->process_epoch++;
	return r;
}

void profiler_forget_process(struct profiler *p, struct process_key key)
{
	(void)bpf_map_delete_elem(bpf_map__fd(p->skel->maps.processes), &key);
	p->skel->bss->process_epoch++;
}

void profiler_forget_stacks(struct profiler *p, const uint64_t *hashes, size_t n)
{
	int fd = bpf_map__fd(p->skel->maps.stacks);

	while (n) {
		uint32_t done = (uint32_t)n;
		uint64_t absent;

		if (bpf_map_delete_batch(fd, hashes, &done, NULL) == 0)
			return;
		/* It ends at one that the kernel let go of itself; or it did not begin. */
		if (errno != ENOENT || done >= n)
			done = 0;
		absent = hashes[done++];
		(void)bpf_map_delete_elem(fd, &absent);
		hashes += done;
		n -= done;
	}
}

void profiler_forget_task(struct profiler *p, struct task_id id)
{
	(void)bpf_map_delete_elem(bpf_map__fd(p->skel->maps.tasks), &id);
	p->skel->bss->tasks_epoch++;
}

int profiler_load_page(struct profiler *p, uint32_t file, uint32_t page,
		       const struct rows_page *rows)
{
	return rows_pool_load(p->pool, file, page, rows);
}

void profiler_forget_pages(struct profiler *p, uint32_t file)
{
	rows_pool_forget(p->pool, file);
}

/* "memlock:" of /proc/self/fdinfo/FD (kernel/bpf/syscall.c, bpf_map_show_fdinfo). */
static uint64_t map_memlock(int fd)
{
	char path[64], line[256];
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long bytes = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "memlock:", 8))
			for (const char *s = line + 8; *s; s++)
				bytes = *s >= '0' && *s <= '9' ? bytes * 10 + (unsigned)(*s - '0')
							       : bytes;
	}
	return bytes;
}

uint64_t profiler_map_bytes(const struct profiler *p)
{
	uint64_t sum = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, p->skel->obj) sum += map_memlock(bpf_map__fd(map));
	return sum;
}

void profiler_rows_stats(const struct profiler *p, struct rows_pool_stats *ret)
{
	rows_pool_get_stats(p->pool, ret);
}

size_t profiler_rows_budget(const struct profiler *p)
{
	return (size_t)bpf_map__max_entries(p->skel->maps.rows_pool) * ROWS_CHUNK_BYTES;
}

int profiler_run_time(const struct profiler *p, uint64_t *ret_ns, uint64_t *ret_runs)
{
	struct bpf_prog_info info = {0};
	uint32_t n = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(p->skel->progs.sample), &info, &n) < 0)
		return -errno;
	*ret_ns = info.run_time_ns;
	*ret_runs = info.run_cnt;
	return 0;
}

int profiler_program_fd(const struct profiler *p)
{
	return bpf_program__fd(p->skel->progs.sample);
}
