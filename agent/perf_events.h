/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct perf_events: one sampling event per online CPU, all running the same BPF program.
 * Hardware cycles where the machine has them, else the cpu-clock timer. Now and then the rate is
 * moved a little, differently on each CPU, so that sampling never runs in lock-step with timers
 * of the workload; the mean stays what was asked for.
 */
#pragma once

#include "agent/base/loop.h"

struct bpf_program;
struct perf_events;

struct perf_events_options {
	struct bpf_program *program; /* borrowed */
	uint32_t frequency_hz;
	bool want_cycles, want_clock; /* both: cycles if there are any */
};

int perf_events_new(struct loop *loop, const struct perf_events_options *o,
		    struct perf_events **ret);
struct perf_events *perf_events_free(struct perf_events *p);
/* From now on. The CPUs' periods begin anew. */
void perf_events_set_frequency(struct perf_events *p, uint32_t frequency_hz);
/* "cycles" or "cpu-clock". */
const char *perf_events_name(const struct perf_events *p);
/* Online CPUs that have an event now. */
size_t perf_events_count(const struct perf_events *p);

/* Parses a CPU list such as "0-3,8"; calls fn for each. Returns -EBADMSG on garbage. */
int perf_cpu_list(const char *text, void (*fn)(unsigned int cpu, void *data), void *data);
