/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The component pyroscope.ebpf: decoded arguments, the index of targets, and where the profiles
 * go. The profiler itself belongs to the verb that runs the graph: it attaches through
 * struct ebpf_hooks in the component environment.
 */
#pragma once

#include "agent/components/targets.h"
#include "agent/config/component.h"

struct ebpf_debug_info {
	bool set;
	bool on_target_symbolization, upload, strip_text_section;
	int64_t cache_size, queue_size, worker_num;
};

struct ebpf_args {
	struct schema_receivers forward_to;
	struct value *targets;	  /* NULL: none given */
	int64_t collect_interval; /* nanoseconds */
	int64_t sample_rate;
	bool python_enabled, perl_enabled, php_enabled, hotspot_enabled, ruby_enabled, v8_enabled,
		dotnet_enabled, go_enabled;
	char *demangle, *bpf_fs_root, *comm, *symb_cache_path;
	double off_cpu_threshold;
	bool obi_process_context_enabled, load_probe, verbose_mode, lazy_mode,
		no_kernel_version_check, pid_label, kernel_frames, targets_only,
		reporter_unsymbolized_stubs;
	struct schema_strings probe_links, u_probe_links;
	int64_t symb_cache_size;
	struct ebpf_debug_info debug_info;
	int64_t ignored_int;
	bool ignored_bool;
};

struct ebpf_component {
	struct component base;
	struct targets targets;
	struct targets everything; /* one target for who matches none; empty with targets_only */
	void *hook_data;	   /* the profiler's */
};

/*
 * start: begin to profile; a negative errno with the reason in why fails the start.
 * update: targets or forward_to are new; pointers to old targets are invalid.
 * stop: hand over what is collected (ebpf_append) and end.
 */
struct ebpf_hooks {
	int (*start)(struct ebpf_component *c, void *data, char *why, size_t size);
	void (*update)(struct ebpf_component *c, void *data);
	void (*stop)(struct ebpf_component *c, void *data);
	void *data;
};

extern const struct component_type pyroscope_ebpf_type;

const struct ebpf_args *ebpf_args(const struct ebpf_component *c);
/*
 * The target that profiles of this process belong to: by pid, by container (NULL or "": none), or
 * with targets_only = false the one for everything else. NULL: do not profile it. Valid until the
 * next update.
 */
const struct target *ebpf_target(const struct ebpf_component *c, uint32_t pid,
				 const char *container_id);
/* The series labels of a target (__name__, service_name, its own labels). 0 or -ENOMEM. */
int ebpf_labels(const struct target *t, struct label_set *ret);
/* One gzip pprof to all receivers of forward_to. */
void ebpf_append(const struct ebpf_component *c, const struct label_set *labels,
		 const uint8_t *pprof, size_t bytes, uint64_t time_ns);
