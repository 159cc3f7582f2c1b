/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the walk is measured against: the kernel's own frame pointer walk of the same stack. */
#include "bpf/kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[127]);
} stack SEC(".maps");

__u64 frames = 0;

SEC("perf_event")
int frame_pointers(struct bpf_perf_event_data *ctx)
{
	u32 zero = 0;
	u64 *buf = bpf_map_lookup_elem(&stack, &zero);
	long n;

	if (!buf)
		return 0;
	n = bpf_get_stack(ctx, buf, 127 * 8, BPF_F_USER_STACK);
	if (n > 0)
		frames = n / 8;
	return 0;
}

/* The cost of an empty program, and of its own accounting. */
SEC("perf_event")
int empty(struct bpf_perf_event_data *ctx)
{
	return 0;
}
