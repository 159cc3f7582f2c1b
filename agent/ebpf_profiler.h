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
};

/* The hooks for component_env.ebpf; `o` is borrowed as long as they are used. */
struct ebpf_hooks ebpf_profiler_hooks(struct ebpf_profiler_options *o);
