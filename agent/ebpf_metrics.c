/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ebpf_metrics.h"

#include "agent/export/receiver.h"
#include "agent/reasons.h"
#include "unwinders/runtime.h"

/* Fields of struct session_stats that are shown as they are; all are 64 bits wide. */
struct shown {
	struct metric_family family;
	size_t offset;
};

#define FIELD(member) offsetof(struct session_stats, member)
#define COUNTER(name, member, help)                          \
	{                                                    \
		{name, help, METRIC_COUNTER}, FIELD(member), \
	}
#define GAUGE(name, member, help)                          \
	{                                                  \
		{name, help, METRIC_GAUGE}, FIELD(member), \
	}

static const struct shown shown[] = {
	COUNTER("tephra_samples_total", kernel[STAT_SAMPLES], "Samples of what is profiled."),
	COUNTER("tephra_samples_ignored_total", kernel[STAT_IGNORED],
		"Samples of processes that are not profiled."),
	COUNTER("tephra_samples_kernel_threads_total", kernel[STAT_KERNEL_ONLY],
		"Samples of kernel threads, which have no user stack."),
	COUNTER("tephra_samples_32bit_total", kernel[STAT_COMPAT],
		"Samples of 32-bit code, whose user stacks are not walked."),
	COUNTER("tephra_stacks_complete_in_kernel_total", kernel[STAT_COMPLETE],
		"User stacks that were walked to their end in the kernel."),
	COUNTER("tephra_stacks_late_total", kernel[STAT_LATE],
		"User stacks handed to user space to be finished there."),
	COUNTER("tephra_stacks_late_finished_total", late.finished,
		"... of these, walked on in user space."),
	COUNTER("tephra_stacks_late_complete_total", late.complete, "... of these, to their end."),
	GAUGE("tephra_stacks_late_waiting", late_waiting,
	      "Samples that wait for the unwind rows of a file."),
	COUNTER("tephra_user_frames_total", kernel[STAT_FRAMES], "User frames walked."),
	COUNTER("tephra_rules_indexed_total", kernel[STAT_RULE_HASHED],
		"Unwind rules found through the index of the rule cache."),
	COUNTER("tephra_rules_searched_total", kernel[STAT_RULE_SEARCHED],
		"Unwind rules searched in a page of rows."),
	COUNTER("tephra_mapping_lookups_total", kernel[STAT_VMA_WALKS],
		"Addresses looked up in the kernel's tree of mappings."),
	COUNTER("tephra_files_new_total", kernel[STAT_NEW_FILES], "Files met for the first time."),
	COUNTER("tephra_stacks_new_total", kernel[STAT_NEW_STACKS],
		"Stacks met for the first time."),
	COUNTER("tephra_ring_lost_total", kernel[STAT_LOST_RING],
		"Records that the ring buffer had no room for; they are sent again."),
	COUNTER("tephra_frames_total", naming.frames, "Frames in profiles, as often as sampled."),
	COUNTER("tephra_frames_named_total", naming.named, "... of these, with a function's name."),
	GAUGE("tephra_files", files.files, "Files that are known."),
	GAUGE("tephra_files_ready", files.ready, "... with their table."),
	GAUGE("tephra_files_loading", files_loading, "... whose table is being made."),
	GAUGE("tephra_files_failed", files.failed, "... that could not be read."),
	COUNTER("tephra_files_vanished_total", files.vanished,
		"Files that were gone before they could be opened."),
	COUNTER("tephra_files_forgotten_total", files.forgotten,
		"Files that nothing asked for any more."),
	COUNTER("tephra_tables_loads_total", tables.loads, "Tables of files that were asked for."),
	COUNTER("tephra_tables_failed_total", tables.failed, "... that could not be had."),
	COUNTER("tephra_cache_hits_total", tables.cache.hits, "Tables found on disk."),
	COUNTER("tephra_cache_misses_total", tables.cache.misses, "Tables not found on disk."),
	COUNTER("tephra_cache_corrupt_total", tables.cache.corrupt,
		"Tables on disk that were damaged, and removed."),
	COUNTER("tephra_cache_evicted_total", tables.cache.evicted,
		"Tables on disk removed for the budget."),
	COUNTER("tephra_cache_put_errors_total", tables.cache.put_errors,
		"Tables that could not be written to disk."),
	COUNTER("tephra_parser_requests_total", parser.requests,
		"Files given to the parsing process."),
	COUNTER("tephra_parser_tables_total", parser.tables, "Tables it made."),
	COUNTER("tephra_parser_starts_total", parser.starts, "Times it was started."),
	COUNTER("tephra_parser_deaths_total", parser.deaths, "Times it ended unasked."),
	GAUGE("tephra_parser_queue", parser.queued, "Files that wait for it."),
	COUNTER("tephra_rows_pages_loaded_total", rows.loaded,
		"Pages of unwind rows copied to the kernel."),
	COUNTER("tephra_rows_pages_evicted_total", rows.evicted, "... and taken out again."),
	COUNTER("tephra_lines_asked_total", lines.asked,
		"Addresses whose functions and lines were asked of debug information."),
	COUNTER("tephra_lines_answered_total", lines.answered, "... that it knows."),
	COUNTER("tephra_lines_requests_total", lines.requests,
		"Requests to the parsing process for them."),
	COUNTER("tephra_lines_failed_total", lines.failed, "... that gave nothing."),
	GAUGE("tephra_lines_bytes", lines.bytes, "Memory that functions and lines take."),
	COUNTER("tephra_jit_lists_cut_total", jit.lists_cut,
		"Times that not all code was found which a process registered."),
	COUNTER("tephra_collections_total", intervals, "Intervals collected."),
	COUNTER("tephra_processes_new_total", tasks_new,
		"Processes met for the first time, or after exec."),
	GAUGE("tephra_processes", tasks, "Processes that are known."),
	GAUGE("tephra_stacks", stacks, "Stacks that are known."),
	GAUGE("tephra_kernel_map_bytes", map_bytes, "Memory of the kernel's tables."),
};

/* The same under the names of the profiler that Grafana Alloy embeds. */
static const struct shown known[] = {
	COUNTER("UnwindNativeFrames_total", kernel[STAT_FRAMES], "Native frames unwound."),
	COUNTER("UnwindErrStackLengthExceeded_total", naming.reasons[REASON_TOO_DEEP],
		"Samples deeper than the limit of frames."),
	COUNTER("NumProcNew_total", tasks_new, "New processes."),
	GAUGE("NumExeIDLoadedToEBPF", files.ready, "Files whose unwind rows are known."),
	GAUGE("HashmapNumStackDeltaPages", rows.pages, "Pages of unwind rows in the kernel."),
};

static const struct metric_family
	attempts = {"UnwindNativeAttempts_total", "User stacks to unwind.", METRIC_COUNTER},
	stop = {"UnwindNativeStackDeltaStop_total", "User stacks unwound to their end.",
		METRIC_COUNTER},
	lost = {"tephra_samples_lost_total", "Samples that are in no profile with their stack.",
		METRIC_COUNTER},
	cut = {"tephra_stacks_cut_total", "Samples whose stack misses a part, and why.",
	       METRIC_COUNTER},
	complete = {"tephra_stacks_complete_ratio", "Share of user stacks that are whole.",
		    METRIC_GAUGE},
	named = {"tephra_frames_named_ratio", "Share of frames with a function's name.",
		 METRIC_GAUGE},
	failures = {"tephra_parser_failures_total", "Files that gave no table, and why.",
		    METRIC_COUNTER},
	used = {"tephra_memory_used_bytes", "What the parts with a budget use of it.",
		METRIC_GAUGE},
	budget = {"tephra_memory_budget_bytes", "The budgets of parts.", METRIC_GAUGE},
	collecting = {"tephra_collect_seconds_total",
		      "Time spent collecting intervals and naming "
		      "their frames.",
		      METRIC_COUNTER},
	collecting_max = {"tephra_collect_seconds_max", "... at most for one.", METRIC_GAUGE},
	parsing = {"tephra_parser_seconds_total", "Time the parsing process was at work.",
		   METRIC_COUNTER},
	peak = {"tephra_parser_peak_bytes", "Highest memory of a parsing process.", METRIC_GAUGE},
	period = {"tephra_sample_period_seconds", "CPU time between two samples of a CPU.",
		  METRIC_GAUGE};

static void show(struct metrics *m, const struct session_stats *s, const struct shown *v, size_t n,
		 const struct label *label)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = *(const uint64_t *)((const char *)s + v[i].offset);

		metrics_add(m, &v[i].family, label, label ? 1 : 0, (double)value);
	}
}

static void one(struct metrics *m, const struct metric_family *f, const char *name,
		const char *value, double number)
{
	const struct label label = {name, value};

	metrics_add(m, f, &label, 1, number);
}

static const struct metric_family processes = {
	"tephra_code_processes", "Processes with code that has no file, and those with a runtime.",
	METRIC_GAUGE};

static const struct metric_family unnamed = {"tephra_frames_unnamed_total",
					     "Native frames without a function's name, and why.",
					     METRIC_COUNTER};

static void show_losses(struct metrics *m, const struct session_stats *s)
{
	one(m, &lost, "reason", "counts_full", (double)s->kernel[STAT_LOST_COUNT]);
	one(m, &lost, "reason", "no_memory", (double)s->lost_user);
	one(m, &lost, "reason", "late_dropped", (double)s->late.dropped);
	one(m, &lost, "reason", "stack_not_delivered",
	    (double)s->naming.reasons[REASON_STACK_UNKNOWN]);
	for (uint32_t i = REASON_NONE + 1; i < REASON_MAX; i++)
		one(m, &cut, "reason", reason_id(i), (double)s->naming.reasons[i]);
	for (int i = 0; i < UNNAMED_MAX; i++)
		one(m, &unnamed, "reason", unnamed_id((enum unnamed)i),
		    (double)s->naming.unnamed[i]);
	for (int i = 0; i < PARSER_FAIL_MAX; i++)
		one(m, &failures, "reason", parser_failure_name((enum parser_failure)i),
		    (double)s->parser.failures[i]);
}

static void show_runtimes(struct metrics *m, const struct session_stats *s,
			  const struct label *scope)
{
	for (uint32_t id = RUNTIME_NONE + 1; id < RUNTIME_MAX; id++) {
		const struct runtime *rt = runtime_get(id);
		struct metric_family f = {rt->named.name, rt->named.help, METRIC_COUNTER};

		metrics_add(m, &f, scope, 1, (double)s->naming.managed_named[id]);
		f = (struct metric_family){rt->unnamed.name, rt->unnamed.help, METRIC_COUNTER};
		metrics_add(m, &f, scope, 1,
			    (double)(s->naming.managed[id] - s->naming.managed_named[id]));
		for (size_t i = 0; i < rt->n_stats; i++) {
			f = (struct metric_family){rt->stats[i].name, rt->stats[i].help,
						   METRIC_COUNTER};
			metrics_add(m, &f, scope, 1, (double)s->runtimes.kernel[id][i]);
		}
		one(m, &cut, "reason", rt->name, (double)s->naming.managed_reasons[id]);
	}
	one(m, &processes, "state", "known", (double)s->runtimes.processes.known);
	one(m, &processes, "state", "runtime", (double)s->runtimes.processes.with_runtime);
}

static void show_bpf(struct metrics *m, const struct bpf_time_stats *s)
{
	static const struct metric_family
		share = {"tephra_bpf_cpu_ratio",
			 "CPUs' time in the sampling program, in one second of the last minute.",
			 METRIC_GAUGE},
		each = {"tephra_bpf_sample_seconds", "... for one sample.", METRIC_GAUGE};

	if (!s->windows)
		return;
	metrics_add(m, &share, NULL, 0, s->cpu_ratio);
	metrics_add(m, &each, NULL, 0, s->sample_ns / 1e9);
}

static void show_budgets(struct metrics *m, const struct session_stats *s)
{
	one(m, &used, "part", "rows", (double)s->rows.bytes);
	one(m, &budget, "part", "rows", (double)s->rows_budget);
	one(m, &used, "part", "stacks", (double)s->stacks_bytes);
	one(m, &budget, "part", "stacks", (double)s->stacks_budget);
	one(m, &used, "part", "jit_names", (double)s->jit.bytes);
	one(m, &budget, "part", "jit_names", (double)JIT_NAMES_BUDGET);
	if (!s->tables.has_cache)
		return;
	one(m, &used, "part", "disk_cache", (double)s->tables.cache.bytes);
	one(m, &budget, "part", "disk_cache", (double)TABLECACHE_BUDGET);
}

void ebpf_session_metrics(struct session *session, struct metrics *m)
{
	static const struct label scope = {"otel_scope_name", "pyroscope.ebpf"};
	struct session_stats s;
	double user, whole;

	session_get_stats(session, &s);
	user = (double)(s.kernel[STAT_SAMPLES] - s.kernel[STAT_KERNEL_ONLY]);
	whole = MIN((double)(s.kernel[STAT_COMPLETE] + s.late.complete), user);
	show(m, &s, shown, ARRAY_SIZE(shown), NULL);
	show(m, &s, known, ARRAY_SIZE(known), &scope);
	metrics_add(m, &attempts, &scope, 1, user - (double)s.kernel[STAT_COMPAT]);
	metrics_add(m, &stop, &scope, 1, whole);
	metrics_add(m, &complete, NULL, 0, user > 0 ? whole / user : 1);
	metrics_add(m, &named, NULL, 0,
		    s.naming.frames ? (double)s.naming.named / (double)s.naming.frames : 1);
	metrics_add(m, &collecting, NULL, 0, (double)s.collect_ns / 1e9);
	metrics_add(m, &collecting_max, NULL, 0, (double)s.collect_max_ns / 1e9);
	metrics_add(m, &parsing, NULL, 0, (double)s.parser.build_us / 1e6);
	metrics_add(m, &peak, NULL, 0, (double)s.parser.peak_kib * 1024);
	metrics_add(m, &period, NULL, 0, (double)s.period_ns / 1e9);
	show_losses(m, &s);
	show_runtimes(m, &s, &scope);
	show_budgets(m, &s);
	show_bpf(m, &s.bpf);
}
