/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the files of HotSpot's kernel half: the walk of one CPU. */
#pragma once

#include "bpf/unwind.bpf.h"

#define WALK_ENV struct cpu_state

#include "bpf/window.bpf.h"

static __always_inline int walk_read(struct cpu_state *c, u64 addr, void *to, u32 bytes)
{
	return bpf_probe_read_user(to, bytes, (void *)addr) != 0;
}

#include "bpf/hotspot_blob.h"

struct hotspot_state {
	u64 serial;		/* the sample that walk.p is of */
	struct process_key key; /* the process, while `epoch` is that of all */
	u32 epoch, valid;
	u32 first;   /* in the sample's frames: the topmost one of Java */
	u32 learned; /* record is of a method that this step has met */
	struct hotspot_walk walk;
	struct hotspot_record record;
};

struct hotspot_states_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct hotspot_state);
};
extern struct hotspot_states_map hotspot_states SEC(".maps");

static __always_inline struct hotspot_state *state_get(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&hotspot_states, &zero);
}

/* Tells user space what the method is called that the state's record is of. 0: it knows. */
int hotspot_tell(u32 cpu);
