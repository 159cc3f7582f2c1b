/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the walkers in bpf/ need of their includer (bpf/walk_base.h), for a runtime's walk over a
 * recorded stack in user space: the stack is the copy, everything else is read of the process.
 */
#pragma once

#include "unwinders/native.h"
#include "unwinders/target_memory.h"

struct walk_env {
	const struct native_walk *w;
	struct target_memory *m; /* NULL: the process is gone, walk_read() must not be called */
};

#define WALK_ENV struct walk_env

static inline int walk_read8(struct walk_env *e, __u64 addr, __u64 *v)
{
	return native_read(e->w, addr, v, 8);
}

static inline int walk_read16(struct walk_env *e, __u64 addr, __u64 v[2])
{
	return walk_read8(e, addr, &v[0]) || walk_read8(e, addr + 8, &v[1]);
}

static inline int walk_read(struct walk_env *e, __u64 addr, void *to, __u32 bytes)
{
	return target_read(e->m, addr, to, bytes) < 0;
}
