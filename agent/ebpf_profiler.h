/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What profiles for the component pyroscope.ebpf: a session whose processes and containers are the
 * component's targets, and every collect_interval a pprof for each target that used CPU.
 */
#pragma once

#include "agent/components/pyroscope_ebpf.h"
#include "agent/debug_search.h"

struct loop;

struct ebpf_profiler_options {
	struct loop *loop;     /* borrowed */
	const char *cache_dir; /* NULL: the default */
	struct debug_dirs debug_dirs;
	/* Of a component that a reload has taken out: whichever starts in the same reload, such as
	 * the same one under another name, goes on with it. It ends in the loop's next round. */
	struct ebpf_profiler *spare;
};

/* The hooks for component_env.ebpf; `o` is borrowed as long as they are used. */
struct ebpf_hooks ebpf_profiler_hooks(struct ebpf_profiler_options *o);
/* After the last use of the hooks. */
void ebpf_profiler_end(struct ebpf_profiler_options *o);
