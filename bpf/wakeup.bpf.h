/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When user space is woken for names that it must read; for nothing else than sample.bpf.c. */
#pragma once

#include "bpf/unwind.bpf.h"

#define WAKE_SHARE	   250
#define WAKE_MAX_NS	   250000000u
#define WAKE_CHANGED_SHARE 128 /* the same of the time that names have been what they are */
#define WAKE_CODE_SHARE	   8   /* ... of code, most of which is not concerned */

extern __u64 woken_ns;

/*
 * For names that must be read while the process lives. Waking user space costs more than reading
 * those of a stack, so stacks gather, the longer the older the process is: when it ends, what has
 * no names is no more than 0.4 % of its life, and of that only what was not met before. Nor
 * is what was called otherwise by the time that it is read (classes were unloaded) more than a
 * hundredth of what was sampled between two such changes; of code that may be gone with them, an
 * eighth.
 */
static __always_inline u64 names_wakeup(const struct cpu_state *c)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 now = bpf_ktime_get_ns();
	u64 wait = (now - BPF_CORE_READ(task, group_leader, start_time)) / WAKE_SHARE;

	if (wait > WAKE_MAX_NS)
		wait = WAKE_MAX_NS;
	if (c->names_from && wait > (now - c->names_from) / WAKE_CHANGED_SHARE)
		wait = (now - c->names_from) / WAKE_CHANGED_SHARE;
	if (c->code_from && wait > (now - c->code_from) / WAKE_CODE_SHARE)
		wait = (now - c->code_from) / WAKE_CODE_SHARE;
	if (now - woken_ns < wait)
		return ring_wakeup();
	woken_ns = now;
	return BPF_RB_FORCE_WAKEUP;
}
