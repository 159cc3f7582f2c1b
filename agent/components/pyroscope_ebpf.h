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
	bool interpreter_frames, obi_process_context_enabled, load_probe, verbose_mode, lazy_mode,
		no_kernel_version_check, pid_label, tid_label, kernel_frames, targets_only,
		reporter_unsymbolized_stubs;
	struct schema_strings probe_links, u_probe_links;
	int64_t symb_cache_size;
	struct ebpf_debug_info debug_info;
	int64_t ignored_int;
	bool ignored_bool;
};

#define EBPF_LATENCY_BUCKETS 11
#define EBPF_SERVICES_MAX    2048 /* whose profiles are counted one by one */
#define EBPF_RETIRED	     2

struct ebpf_service {
	char *name;
	uint64_t profiles, bytes, samples;
};

struct ebpf_stats {
	uint64_t sessions, sessions_failed;	   /* tries to start, and those that failed */
	uint64_t profiles_dropped, samples_unused; /* unused: of processes without a target */
	uint64_t forwarded;			   /* profiles times receivers */
	uint64_t latency[EBPF_LATENCY_BUCKETS + 1];
	double latency_sum_s;
	struct ebpf_service *services;
	size_t n_services;
	struct hash by_service; /* hash of the name -> index */
};

struct ebpf_component {
	struct component base;
	struct targets targets;
	/* Those that are gone, of this interval and the one before: what was sampled of them is
	 * still to come. ebpf_next_interval() forgets the older ones. */
	struct targets retired[EBPF_RETIRED];
	struct ebpf_stats stats;
	void *hook_data; /* the profiler's */
};

/*
 * start: begin to profile; what fails is tried again later, a negative errno is for what no time
 * heals. flush: arguments are new, and targets will be, so that what was sampled until now would
 * get other labels: it is sent as with `old`. update: targets are new, pointers to them invalid.
 * stop: hand over what is collected (ebpf_append) and end. metrics and debug_info add what only the
 * profiler knows; any but start may be NULL.
 */
struct ebpf_hooks {
	int (*start)(struct ebpf_component *c, void *data, char *why, size_t size);
	void (*flush)(struct ebpf_component *c, const struct ebpf_args *old, void *data);
	void (*update)(struct ebpf_component *c, void *data);
	void (*stop)(struct ebpf_component *c, void *data);
	void (*metrics)(const struct ebpf_component *c, struct metrics *m, void *data);
	void (*debug_info)(const struct ebpf_component *c, struct value_list *l, void *data);
	void *data;
};

extern const struct component_type pyroscope_ebpf_type;

const struct ebpf_args *ebpf_args(const struct ebpf_component *c);
/* Are these arguments (not targets, not forward_to) the same? */
bool ebpf_args_equal(const struct ebpf_args *a, const struct ebpf_args *b);
/* symb_cache_path when it is not Alloy's default, else NULL. */
const char *ebpf_cache_dir(const struct ebpf_args *a);
/*
 * The target that samples of this process belong to: by pid, by container (NULL or "": none), then
 * the same among the retired ones. start_ns as in targets_find(). NULL: none. Valid until the next
 * update and ebpf_next_interval().
 */
struct target *ebpf_target(const struct ebpf_component *c, uint32_t pid, uint64_t start_ns,
			   const char *container_id);
/*
 * The series labels of a target (__name__, service_name, its own labels), or with t NULL those of
 * a service of this host that no target names. 0 or -ENOMEM.
 */
int ebpf_labels(const struct target *t, const char *service, const char *container_id,
		struct label_set *ret);
/* One gzip pprof with so many samples to all receivers of forward_to. t (may be NULL) gets it
 * counted. */
void ebpf_append(struct ebpf_component *c, struct target *t, const struct label_set *labels,
		 const uint8_t *pprof, size_t bytes, uint64_t samples, uint64_t time_ns);
/* The samples of an interval have been sent. */
void ebpf_next_interval(struct ebpf_component *c);
