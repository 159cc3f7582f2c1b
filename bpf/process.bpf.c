/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Follows the children of profiled processes: loaded only when processes are named and their
 * children are wanted (`record -- CMD`, `-p PID --children`). Targets that have exited are taken
 * out of the map by user space.
 */
#include "bpf/unwind.bpf.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(follow_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = BPF_CORE_READ(parent, tgid), to = BPF_CORE_READ(child, tgid);
	u64 whenever = 0;

	if (from == to)
		return 0; /* a thread */
	from = visible_id(BPF_CORE_READ(parent, group_leader), from);
	to = visible_id(child, to);
	if (bpf_map_lookup_elem(&target_tgids, &from)) {
		bpf_map_update_elem(&target_tgids, &to, &whenever, BPF_ANY);
		__sync_fetch_and_add(&filter_epoch, 1);
	}
	return 0;
}
