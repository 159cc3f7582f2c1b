/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/session.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/recent.h"
#include "agent/debuginfod.h"
#include "agent/files.h"
#include "agent/http/multi.h"
#include "agent/jit_names.h"
#include "agent/late.h"
#include "agent/line_cache.h"
#include "agent/naming.h"
#include "agent/parser/parser.h"
#include "agent/stacks.h"
#include "agent/tables.h"
#include "agent/tasks.h"
#include "agent/verbs.h"
#include "symbolizer/kallsyms.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"

#define STACKS_MAX_BYTES (6u << 20)
#define LATE_MAX_BYTES	 (8u << 20)
#define CACHE_DIR	 "/var/cache/tephra"
#define CACHE_BYTES	 (512u << 20)
#define MAP_BYTES_MS	 60000
#define STATUS_FRAMES	 20000

struct session {
	struct loop *loop; /* borrowed */
	struct session_options o;
	struct profiler *profiler;
	const char *child_argv[4];
	char *scratch_dir; /* of the child; NULL: none */
	struct parser *parser;
	struct tables *tables;
	struct http_multi *http;       /* NULL: no debuginfod servers */
	struct debuginfod *debuginfod; /* the same */
	struct line_cache *lines;
	struct jit_names *jit;
	struct runtimes *runtimes;
	struct files *files;
	struct late *late;
	struct bpf_time *bpf_time; /* NULL: not measured */
	struct native_ops walk;	   /* late samples' */
	struct stacks stacks;
	struct tasks tasks;
	struct kallsyms *kallsyms;
	uint64_t interval_start_ns; /* CLOCK_REALTIME */
	uint64_t interval_start_mono_ns;
	uint64_t lost_before;
	/* What was counted before session_discard(). */
	uint64_t discarded[STAT_MAX], discarded_complete;
	size_t status_slot;
	bool want_again; /* a file became ready that frames of known stacks are in */
	struct naming_stats naming;
	uint64_t intervals, collect_ns, collect_max_ns, lost_user, tasks_new;
	uint64_t map_bytes, map_bytes_ms; /* when it was read; 0: never */
	struct recent wanted;		  /* frame words, files_want() of this interval */
	struct hash named;		  /* frame word -> 1 named, 0 not: for the status line */
};

static void on_task(void *data, const struct event_task *e)
{
	struct session *s = data;

	s->tasks_new++;
	tasks_on_event(&s->tasks, e);
}

static void on_file(void *data, const struct event_file *e)
{
	struct session *s = data;

	files_on_event(s->files, e);
}

/* Asks for the lines of a stack's frames, so that they are there when it is written. */
static void want_lines(struct session *s, const uint64_t *frames, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct file *f;

		if (FRAME_KIND(frames[i]) != FRAME_NATIVE || recent_get(&s->wanted, frames[i]))
			continue;
		f = files_get(s->files, FRAME_FILE(frames[i]));
		if (f && files_want(s->files, f, FRAME_OFFSET(frames[i])))
			recent_put(&s->wanted, frames[i], true);
	}
}

static void on_stack(void *data, const struct event_stack *e, const uint64_t *frames)
{
	struct session *s = data;
	const struct stack *st;
	const uint64_t hash = e->hash;

	/* Without room for it now, the kernel shall deliver it again in a later interval. */
	st = stacks_add(&s->stacks, e->hash, frames, e->n_kernel, e->n_user,
			e->flags & STACK_COMPLETE);
	if (!st)
		profiler_forget_stacks(s->profiler, &hash, 1);
	else if (st->has_anon)
		jit_names_want(s->jit, e->id);
	runtimes_want(s->runtimes, e->id, frames + e->n_kernel, e->n_user);
	want_lines(s, frames + e->n_kernel, e->n_user);
}

static void load_code_page(struct session *s, const struct jit_rule *rule)
{
	if (rule->page)
		(void)profiler_load_page(s->profiler, rule->file, rule->number, rule->page);
}

static void on_page(void *data, uint64_t frame)
{
	struct session *s = data;
	struct jit_rule code;
	uint64_t rule;

	if (FRAME_FILE(frame) < FILE_ID_CODE)
		(void)files_rule(s->files, frame, &rule);
	else if (jit_names_rule_of_frame(s->jit, frame, &code) == 0)
		load_code_page(s, &code);
}

static void on_runtime(void *data, const struct event_runtime *e)
{
	struct session *s = data;

	runtimes_on_record(s->runtimes, e);
}

static void on_end(void *data)
{
	struct session *s = data;

	if (s->runtimes)
		runtimes_release(s->runtimes);
}

static void on_late(void *data, const struct event_late *e)
{
	struct session *s = data;

	late_add(s->late, e);
}

static void on_file_ready(void *data, const struct file *f)
{
	struct session *s = data;

	/* Stacks that came before have frames in it. */
	s->want_again = true;
	if (s->late)
		late_resume(s->late);
}

static const char *cache_dir(const struct session *s)
{
	if (!s->o.cache_dir)
		return CACHE_DIR;
	return s->o.cache_dir[0] ? s->o.cache_dir : NULL;
}

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	const struct late_walk *walk = data;
	struct session *s = walk->data;

	return files_rule(s->files, frame, ret_rule);
}

static uint32_t runtime_of(void *data, uint64_t frame)
{
	const struct late_walk *walk = data;
	struct session *s = walk->data;

	return runtimes_of_frame(s->runtimes, frame);
}

static int code_step(void *data, struct native_walk *w)
{
	const struct late_walk *walk = data;
	struct session *s = walk->data;

	/* Before the process is decided on: that is a part of it. */
	jit_names_want(s->jit, walk->id);
	return runtimes_code_step(s->runtimes, walk->id, w);
}

static int code_rule(void *data, uint64_t address, uint64_t *ret_rule)
{
	const struct late_walk *walk = data;
	struct session *s = walk->data;
	struct jit_rule rule;
	int r = jit_names_rule(s->jit, walk->id, address, &rule);

	if (r < 0)
		return r;
	load_code_page(s, &rule);
	*ret_rule = rule.rule;
	return 0;
}

static void on_late_finished(void *data, struct task_id id, const uint64_t *frames, uint32_t n)
{
	struct session *s = data;

	runtimes_want(s->runtimes, id, frames, n);
}

/* The walk of a process can go on: it is known what made its code. */
static void on_process_ready(void *data)
{
	struct session *s = data;

	if (s->late)
		late_resume(s->late);
}

static int code_of(void *data, struct process_key key, struct process_value *v)
{
	const struct session *s = data;

	return jit_names_code(s->jit, key, v);
}

static void on_code_changed(void *data, struct process_key key, uint32_t old_file)
{
	struct session *s = data;

	if (s->runtimes)
		runtimes_code_changed(s->runtimes, key);
	if (old_file)
		profiler_forget_pages(s->profiler, old_file);
}

static int open_jit(struct session *s)
{
	const struct jit_names_options o = {
		.parser = s->parser,
		.changed = on_code_changed,
		.ready = on_process_ready,
		.data = s,
	};

	return jit_names_new(&o, &s->jit);
}

static int open_late(struct session *s)
{
	uint32_t max_frames = s->o.profiler.max_user_frames;
	const struct late_options o = {
		.ops = &s->walk,
		.finished = on_late_finished,
		.data = s,
		.stacks = &s->stacks,
		.max_bytes = LATE_MAX_BYTES,
		.max_frames = max_frames ? max_frames : STACK_MAX_USER,
	};

	return late_new(&o, &s->late);
}

static int open_files(struct session *s)
{
	const struct files_options o = {
		.profiler = s->profiler,
		.tables = s->tables,
		.runtimes = s->runtimes,
		.lines = s->lines,
		.debug = {.tables = s->tables,
			  .dirs = s->o.debug_dirs,
			  .debuginfod = s->debuginfod},
		.ready = on_file_ready,
		.data = s,
	};

	return files_new(&o, &s->files);
}

static int open_runtimes(struct session *s)
{
	const struct runtimes_options o = {
		.loop = s->loop,
		.profiler = s->profiler,
		.tables = s->tables,
		.disabled = s->o.no_runtimes,
		.code = code_of,
		.ready = on_process_ready,
		.data = s,
	};

	return runtimes_new(&o, &s->runtimes);
}

static int open_parser(struct session *s)
{
	const char *dir = cache_dir(s);

	s->scratch_dir = dir ? strdup(dir) : NULL;
	s->child_argv[0] = "tephra";
	s->child_argv[1] = PARSER_CHILD_VERB;
	s->child_argv[2] = s->scratch_dir;
	return parser_new(s->loop, s->child_argv, NULL, &s->parser);
}

static int open_parts(struct session *s)
{
	const struct profiler_handler handler = {
		.on_task = on_task,
		.on_file = on_file,
		.on_stack = on_stack,
		.on_late = on_late,
		.on_runtime = on_runtime,
		.on_page = on_page,
		.on_end = on_end,
		.data = s,
	};
	int r = profiler_new(s->loop, &s->o.profiler, &handler, &s->profiler);

	if (r >= 0)
		r = open_parser(s);
	if (r >= 0)
		r = tables_new(s->loop, s->parser, cache_dir(s), CACHE_BYTES, &s->tables);
	if (r >= 0)
		r = line_cache_new(s->loop, s->parser, 0, &s->lines);
	if (r >= 0)
		r = open_jit(s);
	if (r >= 0)
		r = open_runtimes(s);
	if (r >= 0)
		r = debuginfod_open(s->loop, &s->o.debug_dirs, cache_dir(s), &s->http,
				    &s->debuginfod);
	if (r >= 0)
		r = open_files(s);
	if (r >= 0)
		r = open_late(s);
	return r;
}

int session_new(struct loop *loop, const struct session_options *o, struct session **ret)
{
	_cleanup_(session_freep) struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->o = *o;
	s->walk = (struct native_ops){
		.rule = rule_of,
		.runtime_of = runtime_of,
		.code_step = code_step,
		.code_rule = code_rule,
		.keep_loops = o->profiler.keep_loops,
	};
	stacks_init(&s->stacks, STACKS_MAX_BYTES);
	r = open_parts(s);
	if (r < 0)
		return r;
	r = files_add_vdso(s->files);
	if (r < 0)
		log_debug_errno(r, "cannot read the vdso: its frames will have no names");
	s->o.cache_dir = NULL; /* borrowed until now */
	*ret = TAKE_PTR(s);
	return 0;
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	bpf_time_free(s->bpf_time);
	late_free(s->late);
	files_free(s->files);
	runtimes_free(s->runtimes);
	profiler_free(s->profiler);
	debuginfod_free(s->debuginfod);
	http_multi_free(s->http);
	line_cache_free(s->lines);
	jit_names_free(s->jit);
	tables_free(s->tables);
	parser_free(s->parser);
	free(s->scratch_dir);
	stacks_done(&s->stacks);
	tasks_done(&s->tasks);
	kallsyms_free(s->kallsyms);
	hash_done(&s->named);
	free(s);
	return NULL;
}

struct profiler *session_profiler(struct session *s)
{
	return s->profiler;
}

static void begin_interval(struct session *s)
{
	s->interval_start_ns = clock_ns(CLOCK_REALTIME);
	s->interval_start_mono_ns = clock_ns(CLOCK_MONOTONIC);
}

int session_start(struct session *s)
{
	int r = profiler_start(s->profiler);

	if (r >= 0 && s->o.measure_bpf && !s->bpf_time)
		r = bpf_time_new(s->loop, s->profiler, &s->bpf_time);
	begin_interval(s);
	return r;
}

void session_stop(struct session *s)
{
	profiler_stop(s->profiler);
	profiler_poll(s->profiler);
}

/* A stack is announced once, with one of the processes that have it: those that it was counted for
 * may be others. */
static void want_jit_names(struct session *s, bool now)
{
	for (size_t i = 0; s->stacks.n_anon && i < s->stacks.n_samples; i++) {
		const struct stack_sample *sample = &s->stacks.samples[i];

		if (sample->stack && sample->stack->has_anon)
			jit_names_want(s->jit, sample->id);
	}
	jit_names_update(s->jit, now);
}

void session_poll(struct session *s)
{
	profiler_poll(s->profiler);
	jit_names_watch(s->jit);
}

size_t session_prepare(struct session *s)
{
	profiler_poll(s->profiler);
	if (s->want_again && !files_loading(s->files)) {
		s->want_again = false;
		HASH_FOREACH (slot, &s->stacks.by_hash) {
			const struct stack *st = (const struct stack *)(uintptr_t)slot->value;

			want_lines(s, st->frames + st->n_kernel, st->n_user);
		}
	}
	want_jit_names(s, true);
	line_cache_flush(s->lines);
	return late_waiting(s->late) + line_cache_pending(s->lines) + files_loading(s->files) +
	       jit_names_pending(s->jit) + runtimes_pending(s->runtimes);
}

static void on_count(void *data, const struct count_entry *e)
{
	struct session *s = data;

	(void)stacks_count(&s->stacks, e->stack, e->id, e->count);
}

int session_absorb(struct session *s)
{
	int r;

	profiler_poll(s->profiler);
	r = profiler_drain(s->profiler, on_count, s);
	want_jit_names(s, false);
	return r;
}

/* Samples that no table had room for: they get a frame of their own, so that nothing is missing
 * from the sum. */
static uint64_t count_lost(struct session *s)
{
	const uint64_t frame = FRAME(FRAME_REASON, REASON_LOST_COUNT);
	const struct task_id nobody = {0};
	uint64_t stats[STAT_MAX], hash = stacks_hash(&frame, 1), lost;

	profiler_stats(s->profiler, stats);
	lost = stats[STAT_LOST_COUNT] - s->lost_before;
	s->lost_before = stats[STAT_LOST_COUNT];
	if (lost) {
		(void)stacks_add(&s->stacks, hash, &frame, 0, 1, false);
		(void)stacks_count(&s->stacks, hash, nobody, lost);
	}
	return lost;
}

static void forget_stacks(void *data, const uint64_t *hashes, size_t n)
{
	struct session *s = data;

	profiler_forget_stacks(s->profiler, hashes, n);
}

static void forget_task(void *data, struct task_id id)
{
	struct session *s = data;

	profiler_forget_task(s->profiler, id);
}

static void next_interval(struct session *s)
{
	stacks_next_interval(&s->stacks, forget_stacks, s);
	tasks_next_interval(&s->tasks, forget_task, s);
	/* What the naming touched is not needed before then. */
	recent_clear(&s->wanted);
	files_next_interval(s->files);
	line_cache_next_interval(s->lines);
	jit_names_next_interval(s->jit);
	runtimes_next_interval(s->runtimes);
}

static int load_kallsyms(struct session *s)
{
	int r;

	if (s->kallsyms)
		return kallsyms_refresh(s->kallsyms, clock_ms());
	r = kallsyms_load(&s->kallsyms);
	if (r < 0)
		log_warn_errno(r, "cannot read kernel symbols: kernel frames have no names "
				  "(set kernel.kptr_restrict to 0 or 1 and grant CAP_SYSLOG)");
	return r;
}

static void describe(struct session *s, uint64_t period_ns, struct profile *p)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	p->time_ns = s->interval_start_ns;
	p->duration_ns = now - s->interval_start_mono_ns;
	p->period_ns = period_ns;
	p->event = intern_str(&p->strings, profiler_event_name(s->profiler));
	begin_interval(s);
}

/* What was absorbed, as a profile; the next interval begins. */
static int conclude(struct session *s, uint64_t period_ns, struct profile **ret)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct naming naming = {
		.files = s->files,
		.tasks = &s->tasks,
		.jit = s->jit,
		.runtimes = s->runtimes,
		.demangle = s->o.demangle,
		.period_ns = period_ns,
		.stats = &s->naming,
	};
	uint64_t lost = count_lost(s), start = clock_ns(CLOCK_MONOTONIC), took;
	int r;

	(void)load_kallsyms(s);
	naming.kallsyms = s->kallsyms;
	r = profile_new(&p);
	if (r >= 0)
		r = naming_fill(&naming, &s->stacks, p);
	if (r < 0)
		return r;
	describe(s, period_ns, p);
	p->lost = lost + s->stacks.lost;
	s->lost_user += s->stacks.lost;
	next_interval(s);
	took = clock_ns(CLOCK_MONOTONIC) - start;
	s->intervals++;
	s->collect_ns += took;
	s->collect_max_ns = MAX(s->collect_max_ns, took);
	*ret = TAKE_PTR(p);
	return 0;
}

int session_discard(struct session *s)
{
	struct late_stats late;
	int r = session_absorb(s);

	late_give_up(s->late, REASON_LATE_DROPPED);
	(void)count_lost(s);
	profiler_stats(s->profiler, s->discarded);
	late_get_stats(s->late, &late);
	s->discarded_complete = late.complete;
	next_interval(s);
	begin_interval(s);
	return r;
}

int session_collect(struct session *s, bool final, struct profile **ret)
{
	int r = session_absorb(s);

	if (r < 0)
		return r;
	if (final)
		late_give_up(s->late, REASON_LATE_DROPPED);
	return conclude(s, profiler_period_ns(s->profiler), ret);
}

int session_change(struct session *s, const struct session_options *o, struct profile **ret)
{
	uint64_t period_ns = profiler_period_ns(s->profiler);
	int r;

	/* The kernel's tables are changed over at once: hardly a sample gets the wrong period. */
	profiler_change(s->profiler, &o->profiler);
	r = session_absorb(s);
	if (r >= 0)
		r = conclude(s, period_ns, ret);
	s->o.demangle = o->demangle;
	s->o.no_runtimes = o->no_runtimes;
	s->walk.keep_loops = o->profiler.keep_loops;
	if (runtimes_set_disabled(s->runtimes, o->no_runtimes))
		files_tell_kernel(s->files);
	return r;
}

static bool frame_is_named(struct session *s, uint64_t frame)
{
	struct symbols_names names;
	const struct file *f;

	if (FRAME_KIND(frame) == FRAME_KERNEL)
		return true;
	if (FRAME_KIND(frame) != FRAME_NATIVE)
		return false;
	f = files_get(s->files, FRAME_FILE(frame));
	return f && files_names(s->files, f, FRAME_OFFSET(frame), &names) != 0 && names.n;
}

/* Of some of the stacks, which are others the next time: it is for a status line, twice a second.
 */
static double named_share(struct session *s)
{
	const struct hash *all = &s->stacks.by_hash;
	uint64_t frames = 0, named = 0;

	for (size_t i = 0; i < all->cap && frames < STATUS_FRAMES; i++) {
		const struct hash_slot *slot = &all->slots[s->status_slot++ & (all->cap - 1)];
		const struct stack *st = (const struct stack *)(uintptr_t)slot->value;

		if (slot->value == HASH_NONE)
			continue;
		for (uint32_t k = 0; k < st->n_kernel + st->n_user; k++) {
			uint64_t known;

			if (FRAME_KIND(st->frames[k]) == FRAME_REASON)
				continue;
			known = hash_get(&s->named, st->frames[k]);
			if (known == HASH_NONE) {
				known = frame_is_named(s, st->frames[k]);
				(void)hash_put(&s->named, st->frames[k], known);
			}
			frames++;
			named += known;
		}
	}
	return frames ? (double)named / (double)frames : 1;
}

void session_get_status(struct session *s, struct session_status *ret)
{
	uint64_t stats[STAT_MAX], user, complete;
	struct late_stats late;

	profiler_stats(s->profiler, stats);
	for (int i = 0; i < STAT_MAX; i++)
		stats[i] -= s->discarded[i];
	late_get_stats(s->late, &late);
	user = stats[STAT_SAMPLES] - stats[STAT_KERNEL_ONLY];
	complete = stats[STAT_COMPLETE] + late.complete - s->discarded_complete;
	*ret = (struct session_status){
		.samples = stats[STAT_SAMPLES],
		.lost = stats[STAT_LOST_COUNT],
		.complete = user ? MIN((double)complete / (double)user, 1.0) : 1,
		.named = named_share(s),
	};
}

static uint64_t map_bytes(struct session *s)
{
	uint64_t now = clock_ms();

	if (!s->map_bytes_ms || now - s->map_bytes_ms > MAP_BYTES_MS) {
		s->map_bytes = profiler_map_bytes(s->profiler);
		s->map_bytes_ms = now;
	}
	return s->map_bytes;
}

void session_get_stats(struct session *s, struct session_stats *ret)
{
	*ret = (struct session_stats){
		.naming = s->naming,
		.intervals = s->intervals,
		.collect_ns = s->collect_ns,
		.collect_max_ns = s->collect_max_ns,
		.lost_user = s->lost_user,
		.tasks_new = s->tasks_new,
		.late_waiting = late_waiting(s->late),
		.files_loading = files_loading(s->files),
		.stacks = s->stacks.by_hash.count,
		.stacks_bytes = s->stacks.bytes,
		.tasks = s->tasks.by_id.count,
		.rows_budget = profiler_rows_budget(s->profiler),
		.stacks_budget = STACKS_MAX_BYTES,
		.map_bytes = map_bytes(s),
		.period_ns = profiler_period_ns(s->profiler),
	};
	profiler_stats(s->profiler, ret->kernel);
	bpf_time_get_stats(s->bpf_time, &ret->bpf);
	jit_names_get_stats(s->jit, &ret->jit);
	runtimes_get_stats(s->runtimes, &ret->runtimes);
	late_get_stats(s->late, &ret->late);
	files_get_stats(s->files, &ret->files);
	tables_get_stats(s->tables, &ret->tables);
	parser_get_stats(s->parser, &ret->parser);
	profiler_rows_stats(s->profiler, &ret->rows);
	line_cache_get_stats(s->lines, &ret->lines);
}
