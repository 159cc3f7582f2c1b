/* SPDX-License-Identifier: Apache-2.0 */
/* `tephra run`: the continuous agent, as an Alloy configuration says. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/cgroupfs.h"
#include "agent/components/registry.h"
#include "agent/config/config.h"
#include "agent/config/graph.h"
#include "agent/ebpf_profiler.h"
#include "agent/http/multi.h"
#include "agent/notify.h"
#include "agent/ops/ops.h"
#include "agent/run_options.h"
#include "agent/verbs.h"

#define FILES_MAX 65536 /* descriptors, see raise_file_limit() */
#define DRAIN_MS  5000	/* at the end, for profiles that are still to be sent */

struct run {
	struct loop *loop;
	struct http_multi *http;
	struct graph *graph;
	struct ops *ops;
	struct notify *notify;
	const struct run_options *options;
	struct ebpf_profiler_options profiler;
	enum stability stability;
	bool stopping, abort;
};

static void on_end(int signo, void *data)
{
	struct run *run = data;

	run->abort = run->stopping;
	run->stopping = true;
	loop_quit(run->loop, 0);
}

static int reload(void *data, char **ret_why)
{
	struct run *run = data;
	int r;

	if (run->stopping) {
		*ret_why = strdup("the agent is about to end");
		return -ECANCELED;
	}
	notify_reloading(run->notify);
	r = config_reload(run->graph, ret_why);
	ops_loaded(run->ops, r >= 0);
	notify_ready(run->notify);
	if (r >= 0)
		notify_status(run->notify, "profiling");
	else
		notify_status(run->notify, "profiling, the last reload failed: %s",
			      *ret_why ? *ret_why : strerror(-r));
	return r;
}

static void on_reload(int signo, void *data)
{
	struct run *run = data;
	_cleanup_free_ char *why = NULL;

	if (run->graph)
		(void)reload(run, &why);
}

/* Before anything is loaded into the kernel: a second agent ends here. */
static int open_ops(struct run *run)
{
	const struct ops_options o = {
		.loop = run->loop,
		.listen = run->options->listen,
		.prefix = run->options->ui_prefix,
		.reload = reload,
		.data = run,
	};
	char why[256] = "";
	int r = ops_new(&o, why, sizeof(why), &run->ops);

	if (r < 0) {
		log_error("%s%s", *why ? why : strerror(-r),
			  r == -EADDRINUSE ? ": another agent runs, or another program uses it; "
					     "choose another address with "
					     "--server.http.listen-addr, or '' for none"
					   : "");
		return -EINVAL;
	}
	r = ops_set_graph(run->ops, run->graph);
	if (r < 0)
		return -EINVAL;
	if (*ops_address(run->ops))
		log_info("now listening for http traffic at %s", ops_address(run->ops));
	ops_loaded(run->ops, true);
	return 0;
}

static int run_graph(struct run *run)
{
	int r = open_ops(run);

	if (r >= 0)
		r = graph_start(run->graph);
	if (r < 0)
		return r;
	log_info("profiling");
	notify_ready(run->notify);
	notify_status(run->notify, "profiling");
	if (!run->stopping)
		r = loop_run(run->loop);
	if (r < 0)
		return r;
	notify_stopping(run->notify);
	log_info("ending: collecting and sending what is left");
	return 0;
}

/* Processes with a runtime keep a descriptor each. Nothing is started that would inherit it but the
 * parser's child, which has limits of its own. */
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = MAX(files.rlim_cur, MIN(files.rlim_max, (rlim_t)FILES_MAX));
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static int run_config(struct run *run, const char *const *paths, size_t n)
{
	struct ebpf_hooks hooks = ebpf_profiler_hooks(&run->profiler);
	struct component_env env = {.loop = run->loop, .ebpf = &hooks, .http = run->http};
	int r;

	env.types = component_registry(&env.n_types);
	env.stability = run->stability;
	if (!loop_add_signal(run->loop, SIGINT, on_end, run) ||
	    !loop_add_signal(run->loop, SIGTERM, on_end, run) ||
	    !loop_add_signal(run->loop, SIGHUP, on_reload, run))
		return -ENOMEM;
	(void)signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	r = config_load(paths, n, &env, stderr, &run->graph);
	if (r < 0)
		return r;
	/* Unless the configuration or the command line chose one. */
	if (log_get_format() == LOG_FORMAT_PLAIN)
		log_set_format(LOG_FORMAT_LOGFMT);
	r = run_graph(run);
	/* Stopping hands the last samples over; they are sent before the senders go. */
	graph_stop(run->graph);
	if (r >= 0 && graph_drain(run->graph, DRAIN_MS, &run->abort) < 0)
		log_warn("ending with profiles that could not be sent");
	run->ops = ops_free(run->ops);
	run->graph = graph_free(run->graph);
	ebpf_profiler_end(&run->profiler);
	return r;
}

int run_main(int argc, char **argv)
{
	struct run_options o = {0};
	struct run run = {0};
	int r = run_options_parse(argc, argv, &o);

	if (r < 0)
		return EXIT_USAGE;
	if (o.help) {
		run_print_help(stdout);
		return EXIT_DONE;
	}
	if (*o.alloy.ignored)
		log_warn("flags without effect here: %s", o.alloy.ignored);
	run.stability = o.alloy.stability;
	/* Before anything reads of a control group. */
	if (cgroupfs_join_host() < 0)
		log_info("control groups are seen from inside this container only");
	r = loop_new(&run.loop);
	if (r >= 0)
		r = http_multi_new(run.loop, &run.http);
	if (r >= 0)
		r = notify_new(run.loop, &run.notify);
	if (r >= 0) {
		run.options = &o;
		run.profiler.loop = run.loop;
		run.profiler.cache_dir = o.cache_dir;
		run.profiler.debug_dirs = o.debug_dirs;
		r = run_config(&run, o.paths, o.n_paths);
	}
	notify_free(run.notify);
	http_multi_free(run.http);
	loop_free(run.loop);
	if (r >= 0)
		return EXIT_DONE;
	return r == -EPERM || r == -EACCES || r == -EOPNOTSUPP ? EXIT_REFUSED : EXIT_FAILED;
}
