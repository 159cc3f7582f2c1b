/* SPDX-License-Identifier: Apache-2.0 */
/* What pyroscope.ebpf shows of itself: its counters as metrics, its targets as debug information.
 */
#pragma once

#include "agent/components/pyroscope_ebpf.h"

/* pyroscope_ebpf_*, pyroscope_fanout_latency and pyroscope_forwarded_entries_total as Alloy names
 * them, but that pprof_samples_total counts samples (Alloy 66ebea856dff adds bytes to it). */
void ebpf_metrics(const struct component *base, struct metrics *m);
/*
 * { targets = [{labels, pid or container_id, samples, profiles, last_profile_ms, processes}...],
 *   targets_total, targets_unusable, targets_matched, samples_without_target }, and what the
 * profiler adds. At most EBPF_DEBUG_TARGETS targets are listed, those with samples first.
 */
struct value *ebpf_debug_info(const struct component *base);
#define EBPF_DEBUG_TARGETS 500

/* A profile of so many samples and bytes was handed to n receivers, which took so long. */
void ebpf_stats_count(struct ebpf_stats *s, const char *service, uint64_t samples, size_t bytes,
		      size_t receivers, uint64_t took_ns);
void ebpf_stats_done(struct ebpf_stats *s);
