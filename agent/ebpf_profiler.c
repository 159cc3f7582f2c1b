/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ebpf_profiler.h"

#include <errno.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/ebpf_metrics.h"
#include "agent/series.h"
#include "agent/session.h"
#include "agent/target_filter.h"

#define TICK_MS		250 /* processes that live longer than this have their executable known */
#define TRIES_LOGGED	3
#define RETRY_MAX_MS	300000
#define ABSORB_S	16 /* at least so often the kernel's tables of counts are emptied */
#define UNMATCHED_SHOWN 10
#define HINT_INTERVALS	2 /* without any sample, before it is worth a word */

#define NAMES_PATIENCE_MS 500
#define NAMES_STEP_MS	  20

struct ebpf_profiler {
	struct ebpf_component *component; /* borrowed; NULL: it is the spare one */
	struct ebpf_profiler_options *po; /* borrowed */
	struct session *session;	  /* NULL: not profiling (yet) */
	struct target_filter filter;
	struct loop_source *interval, *names, *tick, *retry;
	uint64_t absorbed_ms, collect_by_ms;
	unsigned int tries, idle_intervals;
	bool hint_given;
};

static bool is_idle_wish(const struct ebpf_args *args, const struct targets *t)
{
	return args->lazy_mode && args->targets_only && !t->n;
}

static uint32_t split_of(const struct ebpf_args *args)
{
	bool names = args->comm[0] && strcmp(args->comm, "none") != 0;

	return (args->tid_label ? SPLIT_TID : 0u) | (names ? SPLIT_NAME : 0u);
}

/* Alloy's arguments, by the names of the runtimes. */
static const struct {
	const char *name, *title;
	size_t offset; /* of a bool in struct ebpf_args */
} runtime_args[] = {
	{"python", "Python", offsetof(struct ebpf_args, python_enabled)},
	{"hotspot", "Java", offsetof(struct ebpf_args, hotspot_enabled)},
	{"ruby", "Ruby", offsetof(struct ebpf_args, ruby_enabled)},
	{"v8", "JavaScript", offsetof(struct ebpf_args, v8_enabled)},
	{"php", "PHP", offsetof(struct ebpf_args, php_enabled)},
	{"perl", "Perl", offsetof(struct ebpf_args, perl_enabled)},
	{"dotnet", ".NET", offsetof(struct ebpf_args, dotnet_enabled)},
};

/* Those whose argument says false. */
static uint32_t no_runtimes_of(const struct ebpf_args *args)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(runtime_args); i++) {
		if (!*(const bool *)((const char *)args + runtime_args[i].offset))
			bits |= runtimes_bit(runtime_args[i].name);
	}
	return bits;
}

static void say_what_is_missing(const struct ebpf_profiler *e)
{
	char text[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(runtime_args); i++) {
		if (!runtimes_bit(runtime_args[i].name) && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "",
					      runtime_args[i].title);
	}
	if (n)
		log_info("%s: frames of %s have no names yet, whatever *_enabled says",
			 e->component->base.id, text);
}

static uint64_t interval_ms(const struct ebpf_args *args)
{
	return (uint64_t)args->collect_interval / 1000000;
}

static struct session_options options_of(const struct ebpf_profiler *e)
{
	const struct ebpf_args *args = ebpf_args(e->component);
	struct session_options o = {
		.profiler =
			{
				.frequency_hz = (uint32_t)args->sample_rate,
				.interval_s = (uint32_t)MIN(interval_ms(args) / 1000, ABSORB_S) + 1,
				.kernel_stacks = args->kernel_frames,
				.keep_loops = args->interpreter_frames,
				.split = split_of(args),
				.filter = FILTER_TGID, /* nothing, before the first sync */
			},
		.measure_bpf = true,
		.no_runtimes = no_runtimes_of(args),
		.cache_dir = e->po->cache_dir ? e->po->cache_dir : ebpf_cache_dir(args),
		.debug_dirs = e->po->debug_dirs,
	};

	if (demangle_mode_parse(args->demangle, &o.demangle) < 0)
		o.demangle = DEMANGLE_NONE;
	return o;
}

/* ---- An interval ---- */

/* Why nothing arrives, once: most often the targets are none of this host's processes. */
static void hint(struct ebpf_profiler *e)
{
	const struct ebpf_component *c = e->component;
	const struct targets *t = &c->targets;
	size_t unmatched;
	char more[96] = "";

	if (e->hint_given || !ebpf_args(c)->targets_only)
		return;
	e->hint_given = true;
	unmatched = target_filter_count(&e->filter, NULL, NULL).unmatched;
	if (unmatched)
		(void)snprintf(more, sizeof(more), "; %zu containers run that no target names",
			       unmatched);
	if (!t->n)
		log_warn("%s: there are no targets, so nothing is profiled: set targets, or "
			 "targets_only = false for the whole host%s",
			 c->base.id, more);
	else
		log_warn("%s: no process that used the CPU belongs to one of its %zu targets%s "
			 "(targets need __process_pid__ or a container id; see /debug/targets)",
			 c->base.id, t->n, more);
}

static void send(struct ebpf_profiler *e, const struct profile *p, const struct ebpf_args *args)
{
	struct profile_totals sum;

	series_send(e->component, p, args);
	ebpf_next_interval(e->component);
	profile_sum(p, &sum);
	e->idle_intervals = sum.count ? 0 : e->idle_intervals + 1;
	if (sum.count)
		e->hint_given = false;
	else if (e->idle_intervals >= HINT_INTERVALS)
		hint(e);
	(void)log_write(
		args->verbose_mode ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, 0,
		"%s: %llu samples in %.1f s, %llu complete, %llu lost, %zu stacks, %zu processes",
		e->component->base.id, (unsigned long long)sum.count, (double)p->duration_ns / 1e9,
		(unsigned long long)sum.complete, (unsigned long long)p->lost, p->n_samples,
		p->n_processes);
}

static void collect(struct ebpf_profiler *e, bool final)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	int r = session_collect(e->session, final, &p);

	e->absorbed_ms = clock_ms();
	if (r < 0)
		log_error_errno(r, "cannot collect the samples of this interval");
	else
		send(e, p, ebpf_args(e->component));
}

static void sync_filter(struct ebpf_profiler *e)
{
	target_filter_sync(&e->filter, !ebpf_args(e->component)->targets_only);
}

/* What was sampled under other arguments than these goes first. */
static void change(struct ebpf_profiler *e, const struct ebpf_args *old)
{
	const struct ebpf_args *args = ebpf_args(e->component);
	struct session_options o = options_of(e);
	_cleanup_(profile_freep) struct profile *p = NULL;
	int r = session_change(e->session, &o, &p);

	loop_stop_timer(e->names);
	e->absorbed_ms = clock_ms();
	if (r < 0)
		log_error_errno(r, "cannot collect the samples of this interval");
	else
		send(e, p, old);
	loop_set_timer(e->interval, interval_ms(args), interval_ms(args));
}

static void absorb(struct ebpf_profiler *e)
{
	e->absorbed_ms = clock_ms();
	if (session_absorb(e->session) < 0)
		log_debug("cannot read the counts, trying again later");
}

/* The interval is over; it is collected when its names are there. Most were asked for as the stacks
 * came, the rest is now. */
static void on_names(void *data)
{
	struct ebpf_profiler *e = data;

	if (session_prepare(e->session) && clock_ms() < e->collect_by_ms) {
		loop_set_timer(e->names, NAMES_STEP_MS, 0);
		return;
	}
	collect(e, false);
	/* Processes that were listed before they were there. */
	targets_bind(&e->component->targets, false);
	sync_filter(e);
}

static void on_interval(void *data)
{
	struct ebpf_profiler *e = data;

	e->collect_by_ms = clock_ms() + NAMES_PATIENCE_MS;
	absorb(e);
	on_names(e);
}

static void on_tick(void *data)
{
	struct ebpf_profiler *e = data;
	struct profiler *p = session_profiler(e->session);

	session_poll(e->session);
	if (clock_ms() - e->absorbed_ms + TICK_MS < profiler_patience_ms(p))
		return;
	absorb(e);
}

/* ---- Start and end ---- */

static void close_session(struct ebpf_profiler *e)
{
	loop_stop_timer(e->interval);
	loop_stop_timer(e->names);
	loop_stop_timer(e->tick);
	target_filter_done(&e->filter);
	e->session = session_free(e->session);
}

static int open_session(struct ebpf_profiler *e)
{
	struct session_options o = options_of(e);
	uint64_t ms = interval_ms(ebpf_args(e->component));
	int r = session_new(e->po->loop, &o, &e->session);

	if (r >= 0)
		r = target_filter_init(&e->filter, e->po->loop, session_profiler(e->session),
				       &e->component->targets);
	if (r >= 0) {
		targets_bind(&e->component->targets, false);
		sync_filter(e);
		r = session_start(e->session);
	}
	if (r < 0) {
		close_session(e);
		return r;
	}
	e->absorbed_ms = clock_ms();
	loop_set_timer(e->interval, ms, ms);
	loop_set_timer(e->tick, clock_until_ms(TICK_MS), TICK_MS);
	return 0;
}

/* collect_interval between the first tries, as Alloy, which then ends; here they go on for ever. */
static uint64_t retry_ms(const struct ebpf_profiler *e)
{
	uint64_t ms = interval_ms(ebpf_args(e->component));

	for (unsigned int i = TRIES_LOGGED; i < e->tries && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	return MAX(MIN(ms, (uint64_t)RETRY_MAX_MS), 1000u);
}

static void try_start(struct ebpf_profiler *e)
{
	struct ebpf_component *c = e->component;
	int r;

	if (e->session)
		return;
	if (is_idle_wish(ebpf_args(c), &c->targets)) {
		component_set_health(&c->base, HEALTH_HEALTHY,
				     "lazy_mode: nothing is loaded until there are targets");
		return;
	}
	c->stats.sessions++;
	r = open_session(e);
	if (r >= 0) {
		e->tries = 0;
		loop_stop_timer(e->retry);
		component_set_health(&c->base, HEALTH_HEALTHY, "profiling");
		return;
	}
	c->stats.sessions_failed++;
	e->tries++;
	loop_set_timer(e->retry, retry_ms(e), 0);
	if (e->tries <= TRIES_LOGGED)
		log_error("%s: cannot profile on this host: %s (see 'tephra check'); trying again "
			  "in %.0f s",
			  c->base.id, strerror(-r), (double)retry_ms(e) / 1000);
	component_set_health(&c->base, HEALTH_UNHEALTHY,
			     "cannot profile on this host: %s (see 'tephra check')", strerror(-r));
}

static struct ebpf_profiler *profiler_done(struct ebpf_profiler *e)
{
	if (!e)
		return NULL;
	loop_remove(e->interval);
	loop_remove(e->names);
	loop_remove(e->tick);
	loop_remove(e->retry);
	target_filter_done(&e->filter);
	session_free(e->session);
	free(e);
	return NULL;
}

void ebpf_profiler_end(struct ebpf_profiler_options *o)
{
	o->spare = profiler_done(o->spare);
}

static void on_retry(void *data)
{
	struct ebpf_profiler *e = data;

	if (e->component)
		try_start(e);
	else
		ebpf_profiler_end(e->po); /* nobody goes on with it */
}

/* ---- From one component to another ---- */

/* What a session cannot change while it runs is what it is by default. */
static bool fits_all(const struct ebpf_profiler_options *po, const struct ebpf_args *args)
{
	return po->cache_dir || !ebpf_cache_dir(args);
}

/* What it has counted is sent; it samples on for whoever takes it. False: it cannot be had. */
static bool make_spare(struct ebpf_profiler *e)
{
	static const struct targets nobody = {0};
	struct ebpf_profiler_options *po = e->po;

	if (e->component->base.node || po->spare || !fits_all(po, ebpf_args(e->component)))
		return false;
	collect(e, true);
	loop_stop_timer(e->interval);
	loop_stop_timer(e->names);
	loop_stop_timer(e->tick);
	loop_set_timer(e->retry, 0, 0);
	e->filter.targets = &nobody;
	e->component = NULL;
	po->spare = e;
	return true;
}

/* NULL: there is none that fits. */
static struct ebpf_profiler *take_spare(struct ebpf_profiler_options *po, struct ebpf_component *c)
{
	const struct ebpf_args *args = ebpf_args(c);
	struct ebpf_profiler *e = po->spare;

	if (!e || !fits_all(po, args) || is_idle_wish(args, &c->targets))
		return NULL;
	po->spare = NULL;
	loop_stop_timer(e->retry);
	e->component = c;
	e->filter.targets = &c->targets;
	e->idle_intervals = 0;
	e->hint_given = false;
	c->stats.sessions++;
	change(e, args);
	targets_bind(&c->targets, false);
	sync_filter(e);
	loop_set_timer(e->tick, clock_until_ms(TICK_MS), TICK_MS);
	component_set_health(&c->base, HEALTH_HEALTHY, "profiling");
	return e;
}

/* ---- Hooks ---- */

static int hook_start(struct ebpf_component *c, void *data, char *why, size_t size)
{
	struct ebpf_profiler_options *po = data;
	struct ebpf_profiler *e = take_spare(po, c);

	if (e) {
		c->hook_data = e;
		return 0;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->component = c;
	e->po = po;
	e->interval = loop_add_timer(po->loop, on_interval, e);
	e->names = loop_add_timer(po->loop, on_names, e);
	e->tick = loop_add_timer(po->loop, on_tick, e);
	e->retry = loop_add_timer(po->loop, on_retry, e);
	if (!e->interval || !e->names || !e->tick || !e->retry) {
		profiler_done(e);
		return -ENOMEM;
	}
	c->hook_data = e;
	say_what_is_missing(e);
	try_start(e);
	return 0;
}

static void hook_flush(struct ebpf_component *c, const struct ebpf_args *old, void *data)
{
	struct ebpf_profiler *e = c->hook_data;

	if (e && e->session)
		change(e, old);
}

static void hook_update(struct ebpf_component *c, void *data)
{
	struct ebpf_profiler *e = c->hook_data;

	if (!e)
		return; /* not started */
	if (e->session)
		sync_filter(e);
	else
		try_start(e);
}

static void hook_stop(struct ebpf_component *c, void *data)
{
	struct ebpf_profiler *e = c->hook_data;

	if (!e)
		return;
	c->hook_data = NULL;
	if (e->session && make_spare(e))
		return;
	if (e->session) {
		session_stop(e->session);
		collect(e, true);
	}
	profiler_done(e);
}

static void hook_metrics(const struct ebpf_component *c, struct metrics *m, void *data)
{
	const struct ebpf_profiler *e = c->hook_data;

	if (e && e->session)
		ebpf_session_metrics(e->session, m);
}

static void add_unmatched(const char *id, void *data)
{
	struct value_list *l = data;

	if (l->n < UNMATCHED_SHOWN)
		value_list_add(l, NULL, value_cstr(id));
}

static void hook_debug_info(const struct ebpf_component *c, struct value_list *l, void *data)
{
	const struct ebpf_profiler *e = c->hook_data;
	struct value_list unmatched = {0};
	struct target_filter_counts n;

	value_list_add(l, "profiling", value_bool(e && e->session));
	if (!e || !e->session)
		return;
	n = target_filter_count(&e->filter, add_unmatched, &unmatched);
	value_list_add(l, "event", value_cstr(profiler_event_name(session_profiler(e->session))));
	value_list_add(l, "containers_matched", value_int((int64_t)n.matched));
	value_list_add(l, "containers_unmatched", value_int((int64_t)n.unmatched));
	value_list_add(l, "containers_unmatched_ids", value_array(&unmatched));
}

struct ebpf_hooks ebpf_profiler_hooks(struct ebpf_profiler_options *o)
{
	return (struct ebpf_hooks){
		.start = hook_start,
		.flush = hook_flush,
		.update = hook_update,
		.stop = hook_stop,
		.metrics = hook_metrics,
		.debug_info = hook_debug_info,
		.data = o,
	};
}
