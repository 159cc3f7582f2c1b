/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_ebpf.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"

#define MAX_SAMPLE_RATE 10000

#define DEBUG_INFO(member) offsetof(struct ebpf_debug_info, member)
static const struct option debug_info_options[] = {
	{"on_target_symbolization", OPTION_BOOL, "true", OPTION_LATER,
	 DEBUG_INFO(on_target_symbolization)},
	{"upload", OPTION_BOOL, "false", OPTION_LATER, DEBUG_INFO(upload)},
	{"cache_size", OPTION_INT, "262144", OPTION_LATER, DEBUG_INFO(cache_size)},
	{"strip_text_section", OPTION_BOOL, "false", OPTION_LATER, DEBUG_INFO(strip_text_section)},
	{"queue_size", OPTION_INT, "256", OPTION_LATER, DEBUG_INFO(queue_size)},
	{"worker_num", OPTION_INT, "16", OPTION_LATER, DEBUG_INFO(worker_num)},
};

static const struct schema debug_info_schema = {
	.size = sizeof(struct ebpf_debug_info),
	.options = debug_info_options,
	.n = ARRAY_SIZE(debug_info_options),
};

#define ARG(member) offsetof(struct ebpf_args, member)
#define RUNTIME(member)                                                 \
	{                                                               \
#member, OPTION_BOOL, "true", OPTION_LATER, ARG(member) \
	}
#define NO_OP_INT(name)                                                     \
	{                                                                   \
		name, OPTION_INT, NULL, OPTION_DEPRECATED, ARG(ignored_int) \
	}
#define NO_OP_BOOL(name)                                                      \
	{                                                                     \
		name, OPTION_BOOL, NULL, OPTION_DEPRECATED, ARG(ignored_bool) \
	}

/* Names and defaults: grafana/alloy internal/component/pyroscope/ebpf, 66ebea856dff. */
static const struct option ebpf_options[] = {
	{"forward_to", OPTION_RECEIVERS, NULL, OPTION_REQUIRED, ARG(forward_to), NULL,
	 "the receivers of the profiles, such as [pyroscope.write.NAME.receiver]"},
	{"targets", OPTION_TARGETS, .offset = ARG(targets),
	 .help = "what to profile: each with __process_pid__ or a container id"},
	{"collect_interval", OPTION_DURATION, "15s", .offset = ARG(collect_interval),
	 .help = "how often profiles are sent"},
	{"sample_rate", OPTION_INT, "19", .offset = ARG(sample_rate),
	 .help = "samples per second and CPU"},
	{"targets_only", OPTION_BOOL, "true", .offset = ARG(targets_only),
	 .help = "false: profile every process, also those no target matches"},
	{"kernel_frames", OPTION_BOOL, "true", .offset = ARG(kernel_frames),
	 .help = "false: leave kernel frames out"},
	{"demangle", OPTION_STRING, "none", .offset = ARG(demangle),
	 .help = "none, simplified, templates or full"},
	{"comm", OPTION_STRING, "none", .offset = ARG(comm),
	 .help = "thread names: none, label, stackframe or both"},
	{"pid_label", OPTION_BOOL, "false", .offset = ARG(pid_label),
	 .help = "true: samples carry their process id"},
	{"verbose_mode", OPTION_BOOL, "false", .offset = ARG(verbose_mode)},
	{"lazy_mode", OPTION_BOOL, "false", .offset = ARG(lazy_mode),
	 .help = "true: load nothing into the kernel until there are targets"},
	{"no_kernel_version_check", OPTION_BOOL, "false", .offset = ARG(no_kernel_version_check)},
	RUNTIME(python_enabled),
	RUNTIME(perl_enabled),
	RUNTIME(php_enabled),
	RUNTIME(hotspot_enabled),
	RUNTIME(ruby_enabled),
	RUNTIME(v8_enabled),
	RUNTIME(dotnet_enabled),
	RUNTIME(go_enabled),
	{"off_cpu_threshold", OPTION_FLOAT, "0", OPTION_LATER, ARG(off_cpu_threshold)},
	{"bpf_fs_root", OPTION_STRING, "/sys/fs/bpf/", OPTION_LATER, ARG(bpf_fs_root)},
	{"obi_process_context_enabled", OPTION_BOOL, "true", OPTION_LATER,
	 ARG(obi_process_context_enabled)},
	{"load_probe", OPTION_BOOL, "false", OPTION_LATER, ARG(load_probe)},
	{"probe_links", OPTION_STRINGS, NULL, OPTION_LATER, ARG(probe_links)},
	{"u_probe_links", OPTION_STRINGS, NULL, OPTION_LATER, ARG(u_probe_links)},
	{"symb_cache_path", OPTION_STRING, "/tmp/symb-cache", OPTION_LATER, ARG(symb_cache_path)},
	{"symb_cache_size", OPTION_INT, "2048", OPTION_LATER, ARG(symb_cache_size)},
	{"reporter_unsymbolized_stubs", OPTION_BOOL, "false", OPTION_LATER,
	 ARG(reporter_unsymbolized_stubs)},
	{"debug_info", OPTION_BLOCK, .offset = ARG(debug_info), .block = &debug_info_schema},
	NO_OP_INT("pid_cache_size"),
	NO_OP_INT("build_id_cache_size"),
	NO_OP_INT("same_file_cache_size"),
	NO_OP_INT("cache_rounds"),
	NO_OP_INT("symbols_map_size"),
	NO_OP_INT("pid_map_size"),
	NO_OP_INT("container_id_cache_size"),
	NO_OP_BOOL("go_table_fallback"),
	NO_OP_BOOL("collect_user_profile"),
	NO_OP_BOOL("collect_kernel_profile"),
};

static int ebpf_validate(const void *args, char *why, size_t size)
{
	static const char *const comms[] = {"", "none", "label", "stackframe", "both"};
	const struct ebpf_args *a = args;
	size_t i = 0;

	while (i < ARRAY_SIZE(comms) && strcmp(comms[i], a->comm) != 0)
		i++;
	if (i == ARRAY_SIZE(comms))
		(void)snprintf(why, size,
			       "comm should be one of none, label, stackframe, both, got \"%.40s\"",
			       a->comm);
	else if (a->sample_rate < 1 || a->sample_rate > MAX_SAMPLE_RATE)
		(void)snprintf(why, size, "sample_rate must be between 1 and %d", MAX_SAMPLE_RATE);
	else if (a->collect_interval < INT64_C(100000000))
		(void)snprintf(why, size, "collect_interval must be at least 100ms");
	else
		return 0;
	return -EINVAL;
}

static const struct schema ebpf_schema = {
	.size = sizeof(struct ebpf_args),
	.options = ebpf_options,
	.n = ARRAY_SIZE(ebpf_options),
	.validate = ebpf_validate,
};

const struct ebpf_args *ebpf_args(const struct ebpf_component *c)
{
	return c->base.args;
}

/* The target of whatever matches none: service_name ebpf/unspecified. */
static int set_everything(struct ebpf_component *c)
{
	const struct ebpf_args *a = ebpf_args(c);
	_cleanup_value_ struct value *list = NULL;
	struct value_list one = {0}, all = {0};

	if (a->targets_only) {
		targets_done(&c->everything);
		return 0;
	}
	value_list_add(&one, "service_name", value_cstr("ebpf/unspecified"));
	/* A pid that no process has makes it a target that can be kept. */
	value_list_add(&one, "__process_pid__", value_cstr("4294967295"));
	value_list_add(&all, NULL, value_object(&one));
	list = value_array(&all);
	return list ? targets_set(&c->everything, list) : -ENOMEM;
}

const struct target *ebpf_target(const struct ebpf_component *c, uint32_t pid,
				 const char *container_id)
{
	const struct target *t = targets_find(&c->targets, pid, container_id);

	return !t && c->everything.n ? &c->everything.v[0] : t;
}

int ebpf_labels(const struct target *t, struct label_set *ret)
{
	return targets_series(t, "ebpf", ret);
}

void ebpf_append(const struct ebpf_component *c, const struct label_set *labels,
		 const uint8_t *pprof, size_t bytes, uint64_t time_ns)
{
	const struct ebpf_args *a = ebpf_args(c);

	for (size_t i = 0; i < a->forward_to.n; i++)
		a->forward_to.v[i]->append(a->forward_to.v[i], labels->v, labels->n, pprof, bytes,
					   time_ns);
}

static int ebpf_build(struct component *base, char *why, size_t size)
{
	struct ebpf_component *c = (struct ebpf_component *)base;
	int r = targets_set(&c->targets, ebpf_args(c)->targets);

	if (r >= 0)
		r = set_everything(c);
	if (c->targets.unusable)
		log_warn("%s: ignoring %zu targets without a process or container id", base->id,
			 c->targets.unusable);
	return r;
}

/* Targets and receivers apply at once; the rest needs a new profiler. */
static bool needs_restart(const struct ebpf_args *a, const struct ebpf_args *b)
{
	struct ebpf_args x = *a;

	x.targets = b->targets;
	x.forward_to = b->forward_to;
	return !schema_equal(&ebpf_schema, &x, b);
}

static int ebpf_update(struct component *base, const void *old, char *why, size_t size)
{
	struct ebpf_component *c = (struct ebpf_component *)base;
	const struct ebpf_hooks *h = base->env->ebpf;
	int r = targets_set(&c->targets, ebpf_args(c)->targets);

	if (r >= 0)
		r = set_everything(c);
	if (r < 0)
		return r;
	if (needs_restart(ebpf_args(c), old))
		log_warn("%s: only targets and forward_to change while it runs, restart for the "
			 "rest",
			 base->id);
	if (h && h->update)
		h->update(c, h->data);
	return 0;
}

static int ebpf_start(struct component *base, char *why, size_t size)
{
	struct ebpf_component *c = (struct ebpf_component *)base;
	const struct ebpf_hooks *h = base->env->ebpf;

	return h && h->start ? h->start(c, h->data, why, size) : 0;
}

static void ebpf_stop(struct component *base)
{
	struct ebpf_component *c = (struct ebpf_component *)base;
	const struct ebpf_hooks *h = base->env->ebpf;

	if (h && h->stop)
		h->stop(c, h->data);
}

static void ebpf_done(struct component *base)
{
	struct ebpf_component *c = (struct ebpf_component *)base;

	targets_done(&c->targets);
	targets_done(&c->everything);
}

const struct component_type pyroscope_ebpf_type = {
	.name = "pyroscope.ebpf",
	.schema = &ebpf_schema,
	.size = sizeof(struct ebpf_component),
	.build = ebpf_build,
	.update = ebpf_update,
	.start = ebpf_start,
	.stop = ebpf_stop,
	.done = ebpf_done,
};
