/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sampler: one perf event per CPU runs `sample`. It decides whether the process is profiled,
 * takes the kernel stack, walks the user stack and counts the result. A stack that was counted
 * before costs one increment; user space hears of new stacks and processes only.
 */
#include "bpf/unwind.bpf.h"
#include "bpf/wakeup.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 pid_ns = 0;
const volatile __u32 max_user_frames = STACK_MAX_USER;
const volatile __u32 rule_cache_mask = 0;
const volatile __u32 n_cpus = 1;
/* Index in css_set.subsys of the version 1 hierarchy that tells containers apart; -1: none. */
const volatile int cgroup_subsys = -1;
#ifdef ARCH_ARM64
/* Of a kernel with 4 KiB pages and 48 bits of address, the usual ones. */
const volatile __u64 pac_mask = 0x007fULL << 48;
const volatile __u32 page_shift = 12;
#endif

struct cpus_map cpus SEC(".maps");
struct events_map events SEC(".maps");

struct targets_map target_tgids SEC(".maps");

struct target_cgroups_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} target_cgroups SEC(".maps");

/* Stacks that user space has, by hash. */
struct stacks_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} stacks SEC(".maps");

/* Processes that user space has heard of. */
struct tasks_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct task_id);
	__type(value, u32);
} tasks SEC(".maps");

/* Two halves: user space reads one while the other is filled. In each, count_slots entries of
 * every CPU. */
struct counts_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* 2 * n_cpus * count_slots */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct count_entry);
} counts SEC(".maps");

const volatile __u32 count_slots = 1; /* a power of two */

/* What user space changes while samples are taken; one cache line. */
__u32 active_counts = 0;
__u32 filter_mode = FILTER_NONE;
__u32 kernel_stacks = 0; /* take them */
__u32 task_split = 0;	 /* enum task_split */
__u32 filter_epoch = 0;	 /* raised whenever the filter or what it holds may be another */
__u32 tasks_epoch = 0;	 /* raised when user space has forgotten a process */

__u64 woken_ns = 0; /* when names_wakeup() last did, or user space looked by itself */

/* ---- Who ---- */

/* In the unified hierarchy, unless everything sits in its root (version 1 is in use). */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task, u64 *ret_bit)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup *cgrp = BPF_CORE_READ(set, dfl_cgrp);

	*ret_bit = 0;
	if (cgroup_subsys >= 0 && !BPF_CORE_READ(cgrp, self.parent)) {
		struct cgroup_subsys_state *css = NULL;

		bpf_core_read(&css, sizeof(css), &set->subsys[cgroup_subsys & 15]);
		if (css) {
			cgrp = BPF_CORE_READ(css, cgroup);
			*ret_bit = CGROUP_ID_V1;
		}
	}
	return cgrp;
}

static __always_inline int is_below_target(struct cgroup *cgrp, u64 bit)
{
	for (int depth = 0; depth < 16 && cgrp; depth++) {
		struct cgroup_subsys_state *parent;
		u64 id = BPF_CORE_READ(cgrp, kn, id) | bit;

		if (bpf_map_lookup_elem(&target_cgroups, &id))
			return 1;
		parent = BPF_CORE_READ(cgrp, self.parent);
		cgrp = parent ? BPF_CORE_READ(parent, cgroup) : NULL;
	}
	return 0;
}

/* In either hierarchy: user space may follow one of them alone (agent/cgroupfs.h). */
static __always_inline int cgroup_is_target(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = NULL;

	if (cgroup_subsys >= 0)
		bpf_core_read(&css, sizeof(css), &set->subsys[cgroup_subsys & 15]);
	if (css && is_below_target(BPF_CORE_READ(css, cgroup), CGROUP_ID_V1))
		return 1;
	return is_below_target(BPF_CORE_READ(set, dfl_cgrp), 0);
}

static __always_inline u64 process_start(struct task_struct *task)
{
	return TASK_READ2(task, group_leader, start_boottime);
}

static __always_inline int tgid_is_target(struct task_struct *task, u32 tgid)
{
	u64 *start = bpf_map_lookup_elem(&target_tgids, &tgid);

	return start && (!*start || process_start(task) / START_TICK_NS == *start);
}

/* What no CPU has met lately. */
static __noinline int filter_ask(struct cpu_state *c, u32 tgid, u64 groups, u32 epoch)
{
	struct task_struct *task = current_task();
	struct verdict *v = &c->verdicts[tgid & (VERDICTS - 1)];
	u32 mode = filter_mode;

	v->wanted = VERDICT_UNWANTED;
	if ((mode & FILTER_TGID) && tgid_is_target(task, tgid)) {
		v->wanted = VERDICT_ID;
		v->start = process_start(task);
	} else if ((mode & FILTER_CGROUP) && cgroup_is_target(task)) {
		v->wanted = VERDICT_GROUP;
	}
	v->tgid = tgid;
	v->groups = groups;
	v->epoch = epoch;
	return v->wanted;
}

/* Mostly it is a process that this CPU met before: that is one cache line instead of a look-up in
 * cold memory for each level of its control groups, or for its id. */
static __always_inline int is_target(struct cpu_state *c, struct task_struct *task, u32 tgid)
{
	struct verdict *v = &c->verdicts[tgid & (VERDICTS - 1)];
	u32 epoch = filter_epoch;
	u64 groups;

	if (filter_mode == FILTER_NONE)
		return 1;
	groups = (u64)TASK_READ(task, cgroups);
	if (v->tgid == tgid && v->groups == groups && v->epoch == epoch &&
	    (v->wanted != VERDICT_ID || v->start == process_start(task)))
		return v->wanted;
	return filter_ask(c, tgid, groups, epoch);
}

static __always_inline void task_identify(struct cpu_state *c, struct task_struct *task, u32 tgid,
					  u32 tid)
{
	u32 split = task_split;
	u64 name[TASK_COMM_BYTES / 8];

	c->mm = (u64)TASK_READ(task, mm);
	barrier(); /* the verifier does not let pointers be shifted */
	c->id.tgid = tgid;
	c->id.mm = c->mm >> 6;
	c->id.tid = split & SPLIT_TID ? visible_id(task, tid) : 0;
	c->id.name = 0;
	if (split & SPLIT_NAME) {
		bpf_get_current_comm(name, sizeof(name));
		c->id.name = stack_hash(stack_hash(STACK_HASH_SEED, name[0]), name[1]) | 1;
	}
}

/* Names of the cgroup and of those above it, without the root's, which has none. */
static __always_inline u32 cgroup_path(struct cpu_state *c, struct cgroup *cgrp)
{
	u32 used = 0;

	for (int depth = 0; depth < 16 && cgrp; depth++) {
		struct cgroup_subsys_state *parent = BPF_CORE_READ(cgrp, self.parent);
		const char *name = BPF_CORE_READ(cgrp, kn, name);
		long n;

		if (!parent || used > CGROUP_PATH_BYTES - 256)
			break;
		n = bpf_probe_read_kernel_str(c->task.path + used, 256, name);
		if (n <= 0)
			break;
		used += n & 511;
		cgrp = BPF_CORE_READ(parent, cgroup);
	}
	return used;
}

/* ---- Registers ---- */

/* The user's registers, wherever the sample interrupted. */
static __always_inline int user_regs(struct bpf_perf_event_data *ctx, ARCH_REGS *ret)
{
	if (arch_in_user(ctx)) {
		arch_sampled_regs(ctx, ret);
		return 0;
	}
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		struct task_struct *task = (void *)bpf_get_current_task_btf();

		if (arch_read_regs((void *)bpf_task_pt_regs((void *)task), ret))
			return -1;
	} else {
		/* Before 5.15: they lie at the top of the kernel stack. */
		struct task_struct *task = (void *)bpf_get_current_task();

		if (arch_read_regs(BPF_CORE_READ(task, stack) + arch_regs_offset(), ret))
			return -1;
	}
	return arch_is_user(ret) ? 0 : -1;
}

static __always_inline void mm_identify(struct cpu_state *c, struct task_struct *task)
{
	c->mm_layout = 0;
	if (mm_change_count(task, &c->mm_seq))
		c->mm_layout = task->mm->start_stack ^ task->mm->start_brk << 16;
}

#define RANGES_KEPT 8 /* more take longer to look through than the memo */

/* Ranges of the walk before are true while they are of the same address space, as it was. */
static __always_inline void ranges_begin(struct cpu_state *c)
{
	if (!c->mm_layout || c->ranges_of.mm != c->mm || c->ranges_of.layout != c->mm_layout ||
	    c->ranges_of.seq != c->mm_seq || c->ranges_of.epoch != memo_epoch ||
	    c->n_ranges > RANGES_KEPT) {
		c->n_ranges = 0;
		c->current_range = 0;
		c->ranges[0].size = 0;
	}
	c->ranges_of.mm = c->mm;
	c->ranges_of.layout = c->mm_layout;
	c->ranges_of.seq = c->mm_seq;
	c->ranges_of.epoch = memo_epoch;
}

static __always_inline void walk_start(struct cpu_state *c, struct task_struct *task,
				       const ARCH_REGS *u)
{
	struct walk_regs *r = &c->r;

	arch_walk_start(r, u);
	for (int i = 0; i < SLOT_MAX; i++)
		r->saved[i] = SAVED_NOWHERE;
	r->saved[SLOT_NONE] = SAVED_LOST;
	r->is_leaf = 1;
	mm_identify(c, task);
	ranges_begin(c);
	c->next_rule = 0;
	c->window_valid = 0;
	c->window_refused = 0;
	c->result = OUTCOME_WALKING;
	c->mode = RUNTIME_NONE;
	c->process_runtime = 0;
	c->code_size = 0;
	c->not_managed = 0;
	c->blocked = 0;
	c->loop.leaving = 0;
}

/* ---- Counting ---- */

static __always_inline void push_reason(struct cpu_state *c, u32 reason)
{
	u64 frame = FRAME(FRAME_REASON, reason);

	push_word(c, frame);
}

static __always_inline void take_kernel_stack(struct bpf_perf_event_data *ctx, struct cpu_state *c)
{
	long bytes;

	c->n_kernel = 0;
	c->in_kernel = !arch_in_user(ctx);
	if (!kernel_stacks || !c->in_kernel)
		return;
	bytes = bpf_get_stack(ctx, c->frames, 8 * (STACK_MAX_KERNEL - 1), 0);
	if (bytes <= 0)
		return;
	c->n_kernel = ((u64)bytes >> 3) & (STACK_MAX_KERNEL - 1);
	for (u32 i = 0; i < STACK_MAX_KERNEL; i++) {
		if (i >= c->n_kernel)
			break;
		c->hash = stack_hash(c->hash, c->frames[i]);
	}
}

static __noinline void announce_task(struct cpu_state *c)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct cgroup *cgrp;
	u32 one = 1, bytes;
	u64 bit;

	c->known = c->id;
	c->known_epoch = tasks_epoch;
	if (bpf_map_lookup_elem(&tasks, &c->id))
		return;
	cgrp = task_cgroup(task, &bit);
	c->task.h.kind = EVENT_TASK;
	c->task.id = c->id;
	c->task.flags = BPF_CORE_READ(task, flags) & PF_KTHREAD ? TASK_KERNEL : 0;
	c->task.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	c->task.cgroup = BPF_CORE_READ(cgrp, kn, id) | bit;
	c->task.parent = BPF_CORE_READ(task, real_parent, tgid);
	if (c->id.name)
		BPF_CORE_READ_STR_INTO(&c->task.comm, task, comm);
	else
		BPF_CORE_READ_STR_INTO(&c->task.comm, task, group_leader, comm);
	c->task.path_bytes = cgroup_path(c, cgrp) & (CGROUP_PATH_BYTES - 1);
	bytes = sizeof(struct event_task) - CGROUP_PATH_BYTES + c->task.path_bytes;
	c->task.h.bytes = bytes;
	if (event_send(c, &c->task, bytes, BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&tasks, &c->id, &one, BPF_ANY);
	else
		c->known.tgid = 0;
}

static __always_inline int task_is_known(const struct cpu_state *c)
{
	return c->known_epoch == tasks_epoch && c->known.tgid == c->id.tgid &&
	       c->known.mm == c->id.mm && c->known.tid == c->id.tid && c->known.name == c->id.name;
}

/* 0 when user space will not hear of it now. */
static __noinline int announce_stack(struct cpu_state *c)
{
	u32 n = c->n_kernel + c->n_user, bytes, one = 1;

	if (bpf_map_lookup_elem(&stacks, &c->hash))
		return 1;
	if (n > FRAMES_ROOM)
		return 0;
	bytes = sizeof(c->stack) + 8 * n;
	c->stack.h.kind = EVENT_STACK;
	c->stack.h.bytes = bytes;
	c->stack.hash = c->hash;
	c->stack.id = c->id;
	c->stack.n_kernel = c->n_kernel;
	c->stack.n_user = c->n_user;
	c->stack.flags = c->result == OUTCOME_COMPLETE && !c->gap ? STACK_COMPLETE : 0;
	/* Not urgent: the counts are read later than this. The ring wakes user space when a
	 * quarter of it is full. */
	if (!event_send(c, &c->stack, bytes, c->wake ? names_wakeup(c) : ring_wakeup()))
		return 0;
	bpf_map_update_elem(&stacks, &c->hash, &one, BPF_ANY);
	c->stats[STAT_NEW_STACKS]++;
	return 1;
}

static __noinline void count(struct cpu_state *c)
{
	u32 base = ((active_counts & 1) * n_cpus + c->cpu) * count_slots;
	u32 slot = c->hash ^ c->id.tgid ^ c->id.tid << 7 ^ c->id.name;

	for (u32 i = 0; i < COUNT_PROBES; i++) {
		u32 at = base + ((slot + i) & (count_slots - 1));
		struct count_entry *e = bpf_map_lookup_elem(&counts, &at);

		if (!e)
			break;
		if (e->count == 0) {
			e->stack = c->hash;
			e->id = c->id;
			e->count = 1;
			if (!task_is_known(c))
				announce_task(c);
			/* Else counted without its stack; the next sample of it tries again. */
			if (!announce_stack(c))
				e->stack = 0;
			return;
		}
		if (e->stack == c->hash && e->id.tgid == c->id.tgid && e->id.mm == c->id.mm &&
		    e->id.tid == c->id.tid && e->id.name == c->id.name) {
			e->count++;
			return;
		}
	}
	c->stats[STAT_LOST_COUNT]++;
}

/* Ends the walk: complete, cut for a reason, or handed to user space. */
static __always_inline void finish(struct cpu_state *c, u32 cpu)
{
	c->stats[STAT_FRAMES] += c->n_frames;
	if (c->result == OUTCOME_LATE) {
		announce_task(c);
		if (late_send(cpu) == 0) {
			c->stats[STAT_LATE]++;
			return;
		}
		c->result = OUTCOME_CUT;
		c->reason = REASON_LATE_DROPPED;
	}
	if (c->result == OUTCOME_WALKING) {
		c->result = OUTCOME_CUT;
		c->reason = REASON_TOO_DEEP;
	}
	/* There is no user stack to miss. */
	if (c->reason == REASON_EXEC && c->result == OUTCOME_CUT) {
		push_reason(c, c->reason);
		c->result = OUTCOME_COMPLETE;
		c->stats[STAT_COMPLETE]++;
	} else if (c->result == OUTCOME_COMPLETE)
		c->stats[STAT_COMPLETE] += !c->gap;
	else
		push_reason(c, c->reason);
	count(c);
}

SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tgid = pid_tgid >> 32, cpu = bpf_get_smp_processor_id();
	struct cpu_state *c;

	if (!pid_tgid)
		return 0; /* idle */
	c = cpu_state_of(cpu);
	if (!c)
		return 0;
	if (pid_ns)
		tgid = visible_id(BPF_CORE_READ(task, group_leader), tgid);
	if (!is_target(c, task, tgid)) {
		c->stats[STAT_IGNORED]++;
		return 0;
	}
	c->stats[STAT_SAMPLES]++;
	task_identify(c, task, tgid, (u32)pid_tgid);
	c->cpu = cpu;
	c->hash = STACK_HASH_SEED;
	c->n_user = 0;
	c->n_frames = 0;
	c->gap = 0;
	c->wake = 0;
	c->names_from = 0;
	c->code_from = 0;
	c->serial++;
	take_kernel_stack(ctx, c);
	if (!c->mm || (TASK_READ(task, flags) & PF_KTHREAD)) {
		c->stats[STAT_KERNEL_ONLY]++;
		c->id.mm = 0;
		c->result = OUTCOME_COMPLETE;
		count(c);
		return 0;
	}
	if (user_regs(ctx, &c->user)) {
		c->result = OUTCOME_CUT;
		c->reason = REASON_NO_USER_STACK;
	} else if (arch_is_compat(&c->user)) {
		c->stats[STAT_COMPAT]++;
		c->result = OUTCOME_CUT;
		c->reason = REASON_COMPAT;
	} else {
		walk_start(c, task, &c->user);
		for (u32 i = 0; i < WALK_STEPS_MAX / WALK_STEPS; i++) {
			if (walk_some(cpu))
				break;
		}
	}
	finish(c, cpu);
	return 0;
}
