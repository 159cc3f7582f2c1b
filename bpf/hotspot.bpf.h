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

/*
 * What places in the code heap were found to hold: of an address space, by so many bytes of code.
 * Of smaller pieces a long method would have many; of larger ones more would have two blobs.
 */
#define MEMO_SHIFT 8
#define MEMO_SETS  512 /* of two each; a power of two */

struct hotspot_memo {
	u64 mm;
	u32 block; /* segments: the first word of what the code heap keeps in front of it */
	u32 seen;  /* the sample in which it was still there */
	struct hotspot_blob blob;
};
_Static_assert(sizeof(struct hotspot_memo) == 64, "one cache line");

/*
 * By address space and Method. A frame that runs bytecode of the ConstMethod that was the Method's
 * proves that it still is, when no class was unloaded since. Where the JVM does not count them, or
 * has redefined the class, another one may overlap it by now: then the frame's cookie is the old
 * one's, which user space refuses, and the frame has no name.
 */
#define METHOD_SETS 256 /* of two each; a power of two */

struct hotspot_method_memo {
	u64 mm, method;
	u64 method_const, codes;
	u32 bytes;    /* of bytecode; 0: it has none */
	u32 unloaded; /* classes, when it was read */
	u32 stays;    /* its class is never unloaded */
	u32 seen;     /* the sample in which it was looked at last */
};

/* Of a CPU. */
struct hotspot_state {
	u64 serial;		/* the sample that walk.p is of */
	struct process_key key; /* the process, while `epoch` is that of all */
	u32 epoch, valid;
	u32 first;   /* in the sample's frames: the topmost one of Java */
	u32 learned; /* record is of a method that this step has met */
	u32 stamp;   /* of the thread, `tick`, and the classes that are gone */
	u32 tick;    /* a short time: when these were counted last... */
	u32 counted; /* ... and in which sample */
	u32 pad;
	struct hotspot_walk walk;
	struct hotspot_record record;
	struct hotspot_memo memos[MEMO_SETS][2] CACHE_LINES;
	struct hotspot_method_memo methods[METHOD_SETS][2];
};

struct hotspot_cpus_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of possible CPUs */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct hotspot_state);
};
extern struct hotspot_cpus_map hotspot_cpus SEC(".maps");

static __always_inline struct hotspot_state *state_of(u32 cpu)
{
	return bpf_map_lookup_elem(&hotspot_cpus, &cpu);
}

/* Tells user space what the method is called that the state's record is of. 0: it knows. */
int hotspot_tell(u32 cpu);
