/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct bpf_time: what the sampling program costs, by the kernel's own clock. The kernel takes the
 * time of BPF programs only while it is asked to, and then of all programs of the host, two reads
 * of a clock a run; so it is asked for a second in each minute. Needs CAP_SYS_ADMIN
 * (kernel/bpf/syscall.c, bpf_enable_stats, Linux 5.8); without, nothing is known.
 */
#pragma once

#include "agent/profiler.h"

struct bpf_time;

struct bpf_time_stats {
	uint64_t windows; /* seconds that were measured; 0: nothing is known */
	double cpu_ratio; /* of one CPU, in the last one */
	double sample_ns; /* of one sample, in the last one that had any */
};

/* The profiler is borrowed. 0 or -ENOMEM. */
int bpf_time_new(struct loop *l, const struct profiler *p, struct bpf_time **ret);
struct bpf_time *bpf_time_free(struct bpf_time *t);
void bpf_time_get_stats(const struct bpf_time *t, struct bpf_time_stats *ret);
