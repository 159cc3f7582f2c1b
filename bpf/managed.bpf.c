/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the walk and the runtimes meet: whose step is the next, which runtime made the code of a
 * process that has no file, and what is taken along of interpreters when a sample must be finished
 * in user space. It knows no runtime; the list is bpf/runtimes.inc.
 */
#include "bpf/unwind.bpf.h"

/* What user space changes while samples are taken. */
__u32 keep_loops = 0;
/* Raised after a process, or a file of a runtime, was told of or forgotten. */
__u32 process_epoch = 0;

/* What user space found in processes with code without a file. */
struct processes_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct process_key);
	__type(value, struct process_value);
} processes SEC(".maps");

__noinline int process_find(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u32 epoch = process_epoch;
	struct process_memo *m;
	struct process_value *found;

	if (!c)
		return 0;
	m = &c->process;
	if (!m->valid || m->epoch != epoch || m->key.tgid != c->id.tgid || m->key.mm != c->id.mm) {
		m->valid = 0;
		m->epoch = epoch;
		m->key.tgid = c->id.tgid;
		m->key.mm = c->id.mm;
		found = bpf_map_lookup_elem(&processes, &m->key);
		if (!found)
			return 0;
		m->value = *found;
		m->valid = 1;
	}
	c->process_runtime = m->value.runtime + 1;
	c->code_file = m->value.file;
	c->code_start = m->value.start;
	c->code_size = m->value.size;
	return 1;
}

/* Code without a file in a process that user space has not looked at yet, and may not in time: the
 * step of a runtime that knows its code by what lies on the stack. 0: it is nobody's so far. */
__noinline int code_claimed(u32 cpu)
{
#define RUNTIME(name, NAME)     \
	if (name##_claims(cpu)) \
		return 1;
#include "bpf/runtimes.inc"
#undef RUNTIME
	return 0;
}

static __always_inline int walk_step(struct cpu_state *c, u32 cpu)
{
	switch (c->mode) {
#define RUNTIME(name, NAME)  \
	case RUNTIME_##NAME: \
		return name##_step(cpu);
#include "bpf/runtimes.inc"
#undef RUNTIME
	}
	return native_step(cpu);
}

__noinline int walk_some(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);

	if (!c)
		return 1;
	for (int i = 0; i < WALK_STEPS; i++) {
		if (stack_is_full(c) || walk_step(c, cpu))
			return 1;
	}
	return 0;
}

#define CAPTURE(name, NAME)                                 \
	if (!c->n_loops && name##_capture(cpu)) {           \
		c->mode = RUNTIME_##NAME;                   \
		for (int i = 0; i < LATE_FRAMES_MAX; i++) { \
			if (name##_step(cpu))               \
				break;                      \
		}                                           \
	}

__noinline int loops_capture(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u32 gap;

	if (!c)
		return 0;
	/* What is missing of them is said by their own words. */
	gap = c->gap;
	c->n_loops = 0;
	c->capturing = 1;
	c->thread_pointer = arch_thread_pointer();
#define RUNTIME CAPTURE
#include "bpf/runtimes.inc"
#undef RUNTIME
	c->capturing = 0;
	c->mode = RUNTIME_NONE;
	c->gap = gap;
	c->result = OUTCOME_LATE;
	return 0;
}
