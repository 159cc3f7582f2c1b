/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/pyroscope_ebpf.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/components/ebpf_stats.h"

#define MAX_SAMPLE_RATE 10000
#define SYMB_CACHE_PATH "/tmp/symb-cache"
/* What Alloy's series carry, so that they go on; its version label is left out, as in builds of
 * Alloy without a version: it would not be true. */
#define SCOPE_LABEL "otel.scope.name"
#define SCOPE_NAME  "com.grafana.alloy/pyroscope.ebpf"
#define UNKNOWN	    "ebpf/unspecified"

#define DEBUG_INFO(member) offsetof(struct ebpf_debug_info, member)
static const struct option debug_info_options[] = {
	{"on_target_symbolization", OPTION_BOOL, "true", OPTION_LATER,
	 DEBUG_INFO(on_target_symbolization), .help = "name functions on this host"},
	{"upload", OPTION_BOOL, "false", OPTION_LATER, DEBUG_INFO(upload),
	 .help = "send debug information to the server"},
	{"cache_size", OPTION_INT, "262144", OPTION_LATER, DEBUG_INFO(cache_size),
	 .help = "files that are remembered as sent"},
	{"strip_text_section", OPTION_BOOL, "false", OPTION_LATER, DEBUG_INFO(strip_text_section),
	 .help = "send it without the code"},
	{"queue_size", OPTION_INT, "256", OPTION_LATER, DEBUG_INFO(queue_size),
	 .help = "uploads that may wait"},
	{"worker_num", OPTION_INT, "16", OPTION_LATER, DEBUG_INFO(worker_num),
	 .help = "uploads at a time"},
};

static const struct schema debug_info_schema = {
	.size = sizeof(struct ebpf_debug_info),
	.options = debug_info_options,
	.n = ARRAY_SIZE(debug_info_options),
};

#define ARG(member) offsetof(struct ebpf_args, member)
#define RUNTIME(member, text)                                                      \
	{                                                                          \
#member, OPTION_BOOL, "true", .offset = ARG(member), .help = text, \
	}
#define NOT_YET "not built yet: its frames show as code without names"
#define NO_OP_INT(name)                                                                          \
	{                                                                                        \
		name, OPTION_INT, NULL, OPTION_DEPRECATED, ARG(ignored_int), .help = "no effect" \
	}
#define NO_OP_BOOL(name)                                                                           \
	{                                                                                          \
		name, OPTION_BOOL, NULL, OPTION_DEPRECATED, ARG(ignored_bool), .help = "no effect" \
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
	 .help = "false: profile every process; one that no target matches is named by its "
		 "container, its systemd unit or its executable (Alloy: ebpf/unspecified)"},
	{"kernel_frames", OPTION_BOOL, "true", .offset = ARG(kernel_frames),
	 .help = "false: leave kernel frames out"},
	{"demangle", OPTION_STRING, "none", .offset = ARG(demangle),
	 .help = "none, simplified, templates or full"},
	{"comm", OPTION_STRING, "none", .offset = ARG(comm),
	 .help = "thread names: none, label, stackframe or both"},
	{"pid_label", OPTION_BOOL, "false", .offset = ARG(pid_label),
	 .help = "true: samples carry their process id"},
	{"tid_label", OPTION_BOOL, "false", .offset = ARG(tid_label),
	 .help = "true: samples carry their thread id; Alloy has no such argument"},
	{"verbose_mode", OPTION_BOOL, "false", .offset = ARG(verbose_mode),
	 .help = "true: log what each interval brought"},
	{"lazy_mode", OPTION_BOOL, "false", .offset = ARG(lazy_mode),
	 .help = "true: load nothing into the kernel until there are targets"},
	{"no_kernel_version_check", OPTION_BOOL, "false", .offset = ARG(no_kernel_version_check),
	 .help = "no version is ever compared: what a kernel can do is tried"},
	RUNTIME(python_enabled, "false: show the frames of CPython itself, not those it runs"),
	RUNTIME(perl_enabled, NOT_YET),
	RUNTIME(php_enabled, NOT_YET),
	RUNTIME(hotspot_enabled, "false: no frames of Java methods"),
	RUNTIME(ruby_enabled, NOT_YET),
	RUNTIME(v8_enabled, NOT_YET),
	RUNTIME(dotnet_enabled, NOT_YET),
	RUNTIME(go_enabled, "no effect: Go is native code, walked and named like any other"),
	{"interpreter_frames", OPTION_BOOL, "false", .offset = ARG(interpreter_frames),
	 .help = "true: keep the frames of an interpreter beside those it runs; Alloy has no such "
		 "argument"},
	{"off_cpu_threshold", OPTION_FLOAT, "0", OPTION_LATER, ARG(off_cpu_threshold),
	 .help = "the part of switches off the CPU that is sampled, 0 to 1"},
	{"bpf_fs_root", OPTION_STRING, "/sys/fs/bpf/", OPTION_LATER, ARG(bpf_fs_root),
	 .help = "where BPF maps are pinned"},
	{"obi_process_context_enabled", OPTION_BOOL, "true",
	 .offset = ARG(obi_process_context_enabled), .help = "not built yet"},
	{"load_probe", OPTION_BOOL, "false", OPTION_LATER, ARG(load_probe),
	 .help = "load the program for probes"},
	{"probe_links", OPTION_STRINGS, NULL, OPTION_LATER, ARG(probe_links),
	 .help = "functions where samples are taken: uprobe:PATH:SYMBOL, kprobe:SYMBOL and their "
		 "kin"},
	{"u_probe_links", OPTION_STRINGS, NULL, OPTION_LATER, ARG(u_probe_links),
	 .help = "the same as uprobe, deprecated"},
	{"symb_cache_path", OPTION_STRING, SYMB_CACHE_PATH, .offset = ARG(symb_cache_path),
	 .help = "where tables of files are kept; the default means /var/cache/tephra"},
	{"symb_cache_size", OPTION_INT, "2048", .offset = ARG(symb_cache_size),
	 .help = "no effect: the cache is bounded in bytes (512 MiB), not in entries"},
	{"reporter_unsymbolized_stubs", OPTION_BOOL, "false",
	 .offset = ARG(reporter_unsymbolized_stubs),
	 .help = "no effect: a frame without a symbol is always named file+0xoffset"},
	{"debug_info", OPTION_BLOCK, .offset = ARG(debug_info), .block = &debug_info_schema,
	 .help = "debug information of programs"},
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

bool ebpf_args_equal(const struct ebpf_args *a, const struct ebpf_args *b)
{
	struct ebpf_args x = *a;

	x.targets = b->targets;
	x.forward_to = b->forward_to;
	return schema_equal(&ebpf_schema, &x, b);
}

const char *ebpf_cache_dir(const struct ebpf_args *a)
{
	return strcmp(a->symb_cache_path, SYMB_CACHE_PATH) != 0 ? a->symb_cache_path : NULL;
}

struct target *ebpf_target(const struct ebpf_component *c, uint32_t pid, uint64_t start_ns,
			   const char *container_id)
{
	struct target *t = targets_find(&c->targets, pid, start_ns, container_id);

	for (size_t i = 0; i < EBPF_RETIRED && !t; i++)
		t = targets_find(&c->retired[i], pid, start_ns, container_id);
	return t;
}

void ebpf_next_interval(struct ebpf_component *c)
{
	targets_done(&c->retired[EBPF_RETIRED - 1]);
	memmove(c->retired + 1, c->retired, (EBPF_RETIRED - 1) * sizeof(*c->retired));
	c->retired[0] = (struct targets){0};
}

int ebpf_labels(const struct target *t, const char *service, const char *container_id,
		struct label_set *ret)
{
	_cleanup_labels_ struct label_set set = {0};
	int r = t ? targets_series(t, "ebpf", &set) : 0;

	if (r < 0)
		return r;
	if (!t) {
		label_set_put(&set, "__name__", "process_cpu");
		label_set_put(&set, "service_name", *service ? service : UNKNOWN);
		if (*container_id)
			label_set_put(&set, "__container_id__", container_id);
	}
	if (!label_set_get(&set, SCOPE_LABEL))
		label_set_put(&set, SCOPE_LABEL, SCOPE_NAME);
	if (set.failed)
		return -ENOMEM;
	*ret = set;
	set = (struct label_set){0};
	return 0;
}

void ebpf_append(struct ebpf_component *c, struct target *t, const struct label_set *labels,
		 const uint8_t *pprof, size_t bytes, uint64_t samples, uint64_t time_ns)
{
	const struct ebpf_args *a = ebpf_args(c);
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	const char *service = label_set_get(labels, "service_name");

	for (size_t i = 0; i < a->forward_to.n; i++)
		a->forward_to.v[i]->append(a->forward_to.v[i], labels->v, labels->n, pprof, bytes,
					   time_ns);
	ebpf_stats_count(&c->stats, service ? service : "", samples, bytes, a->forward_to.n,
			 clock_ns(CLOCK_MONOTONIC) - start);
	if (!t)
		return;
	t->stats.samples += samples;
	t->stats.profiles++;
	t->stats.last_ms = clock_ns(CLOCK_REALTIME) / 1000000;
}

static int ebpf_build(struct component *base, char *why, size_t size)
{
	struct ebpf_component *c = (struct ebpf_component *)base;
	int r = targets_new(ebpf_args(c)->targets, &c->targets);

	if (r < 0)
		return r;
	targets_bind(&c->targets, true);
	if (c->targets.unusable)
		log_warn("%s: ignoring %zu targets without a process or container id", base->id,
			 c->targets.unusable);
	return 0;
}

static int ebpf_update(struct component *base, const void *old, char *why, size_t size)
{
	struct ebpf_component *c = (struct ebpf_component *)base;
	const struct ebpf_hooks *h = base->env->ebpf;
	_cleanup_(targets_done) struct targets fresh = {0};
	int r = targets_new(ebpf_args(c)->targets, &fresh);

	if (r < 0)
		return r;
	if (h && h->flush &&
	    (!ebpf_args_equal(ebpf_args(c), old) || targets_renamed(&c->targets, &fresh, "ebpf")))
		h->flush(c, old, h->data);
	targets_replace(&c->targets, &fresh, &c->retired[0]);
	targets_bind(&c->targets, true);
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
	for (size_t i = 0; i < EBPF_RETIRED; i++)
		targets_done(&c->retired[i]);
	ebpf_stats_done(&c->stats);
}

const struct component_type pyroscope_ebpf_type = {
	.name = "pyroscope.ebpf",
	.help = "profiles processes with BPF programs, without changing or restarting them",
	.schema = &ebpf_schema,
	.size = sizeof(struct ebpf_component),
	.build = ebpf_build,
	.update = ebpf_update,
	.start = ebpf_start,
	.stop = ebpf_stop,
	.done = ebpf_done,
	.metrics = ebpf_metrics,
	.debug_info = ebpf_debug_info,
};
