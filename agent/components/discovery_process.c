/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/discovery_process.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "discovery/process.h"

#define STEP 64 /* processes looked at before the event loop gets its turn */

struct discover_config {
	bool set;
	bool exe, cwd, commandline, container_id, username, uid, cgroup_path;
};

struct process_args {
	struct value *join;
	int64_t refresh_interval;
	struct discover_config discover;
};

struct process_component {
	struct component base;
	struct process_scan *scan; /* under way; NULL: none */
	struct value_list found;   /* what it has seen */
	struct value *processes;   /* of the last complete scan */
	struct loop_source *refresh, *step;
	bool told_unreadable;
};

#define DISCOVER(member) offsetof(struct discover_config, member)
static const struct option discover_options[] = {
	{"cwd", OPTION_BOOL, "true", .offset = DISCOVER(cwd), .help = "the working directory"},
	{"exe", OPTION_BOOL, "true", .offset = DISCOVER(exe), .help = "the program"},
	{"commandline", OPTION_BOOL, "true", .offset = DISCOVER(commandline),
	 .help = "the command line"},
	{"container_id", OPTION_BOOL, "true", .offset = DISCOVER(container_id),
	 .help = "the container"},
	{"username", OPTION_BOOL, "false", .offset = DISCOVER(username),
	 .help = "the name of the user"},
	{"uid", OPTION_BOOL, "false", .offset = DISCOVER(uid), .help = "the number of the user"},
	{"cgroup_path", OPTION_BOOL, "false", .offset = DISCOVER(cgroup_path),
	 .help = "the control groups"},
};

static const struct schema discover_schema = {
	.size = sizeof(struct discover_config),
	.options = discover_options,
	.n = ARRAY_SIZE(discover_options),
};

static const struct option process_options[] = {
	{"join", OPTION_TARGETS, .offset = offsetof(struct process_args, join),
	 .help = "container targets whose labels the processes in them get"},
	{"refresh_interval", OPTION_DURATION, "60s",
	 .offset = offsetof(struct process_args, refresh_interval),
	 .help = "how often they are looked for"},
	{"discover_config", OPTION_BLOCK, .offset = offsetof(struct process_args, discover),
	 .block = &discover_schema, .help = "which labels a target gets"},
};

static int process_validate(const void *args, char *why, size_t size)
{
	const struct process_args *a = args;

	if (a->refresh_interval > 0)
		return 0;
	(void)snprintf(why, size, "refresh_interval must be greater than 0");
	return -EINVAL;
}

static const struct schema process_schema = {
	.size = sizeof(struct process_args),
	.options = process_options,
	.n = ARRAY_SIZE(process_options),
	.validate = process_validate,
};

static void put(struct value_list *l, const char *name, const char *text)
{
	if (*text)
		value_list_add(l, name, value_cstr(text));
}

static void on_process(const struct process_info *p, void *data)
{
	struct process_component *c = data;
	const struct process_args *a = c->base.args;
	struct value_list l = {0};
	char number[24];

	(void)snprintf(number, sizeof(number), "%u", p->pid);
	put(&l, "__process_pid__", number);
	put(&l, "__meta_process_exe", p->exe);
	put(&l, "__meta_process_cwd", p->cwd);
	put(&l, "__meta_process_commandline", p->commandline);
	put(&l, "__meta_process_username", p->username);
	put(&l, "__meta_process_cgroup_path", p->cgroup_path);
	put(&l, "__container_id__", p->container_id);
	if (a->discover.uid) {
		(void)snprintf(number, sizeof(number), "%u", (unsigned int)p->uid);
		put(&l, "__meta_process_uid", number);
	}
	value_list_add(&c->found, NULL, value_object(&l));
}

/* The container a joined target stands for; NULL: none that we can tell. */
static const char *join_key(const struct value *target)
{
	static const char *const runtimes[] = {"docker://", "containerd://", "cri-o://"};
	const struct value *v = value_get(target, "__container_id__");

	if (v && v->len)
		return v->s;
	v = value_get(target, "__meta_kubernetes_pod_container_id");
	if (v && v->len) {
		for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++) {
			if (!strncmp(v->s, runtimes[i], strlen(runtimes[i])))
				return v->s + strlen(runtimes[i]);
		}
		return NULL;
	}
	v = value_get(target, "__meta_docker_container_id");
	return v && v->len ? v->s : NULL;
}

struct keyed {
	const char *key;
	struct value *target;
	size_t order;
};

static int keyed_compare(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	return r ? r : x->order < y->order ? -1 : x->order > y->order;
}

/* The last of those with that key. */
static struct value *keyed_find(const struct keyed *k, size_t n, const char *key)
{
	size_t at = PARTITION_POINT(mid, 0, n, strcmp(k[mid].key, key) <= 0);

	return at && !strcmp(k[at - 1].key, key) ? k[at - 1].target : NULL;
}

/*
 * Containers without an id, then processes with the labels of their container, then all
 * containers with an id: those catch processes that are born after this scan.
 */
static struct value *join(const struct value *processes, const struct value *containers)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	size_t n = 0, total = containers->n_items;
	_cleanup_free_ struct keyed *k = calloc(MAX(total, 1u), sizeof(*k));

	if (!k)
		return NULL;
	for (size_t i = 0; i < total; i++) {
		const char *key = join_key(containers->items[i]);

		if (key)
			k[n++] = (struct keyed){key, containers->items[i], i};
		else
			value_list_add(&l, NULL, value_ref(containers->items[i]));
	}
	qsort(k, n, sizeof(*k), keyed_compare);
	for (size_t i = 0; i < processes->n_items; i++) {
		struct value *p = processes->items[i];
		const struct value *id = value_get(p, "__container_id__");
		struct value *container = id ? keyed_find(k, n, id->s) : NULL;

		value_list_add(&l, NULL, container ? value_merge(p, container) : value_ref(p));
	}
	for (size_t i = 0; i < n; i++)
		value_list_add(&l, NULL, value_ref(k[i].target));
	return value_array(&l);
}

static struct value *exports_of(struct value *targets)
{
	struct value_list l = {0};

	value_list_add(&l, "targets", targets);
	return value_object(&l);
}

static void publish(struct process_component *c)
{
	const struct process_args *a = c->base.args;
	struct value *targets;

	if (!c->processes)
		return;
	targets =
		a->join && a->join->n_items ? join(c->processes, a->join) : value_ref(c->processes);
	component_export(&c->base, exports_of(targets));
}

static int scan_begin(struct process_component *c)
{
	const struct discover_config *d = &((struct process_args *)c->base.args)->discover;
	struct process_options o = {d->exe,	 d->cwd, d->commandline, d->container_id,
				    d->username, d->uid, d->cgroup_path};

	value_list_done(&c->found);
	c->scan = process_scan_free(c->scan);
	return process_scan_new("/proc", &o, &c->scan);
}

static void scan_end(struct process_component *c)
{
	struct value *processes = value_array(&c->found);
	size_t unreadable = process_scan_unreadable(c->scan);

	c->scan = process_scan_free(c->scan);
	if (unreadable && !c->told_unreadable) {
		c->told_unreadable = true;
		log_warn("%s: %zu processes could not be read, skipping them (CAP_SYS_PTRACE?)",
			 c->base.id, unreadable);
	}
	if (!processes)
		return;
	value_unref(c->processes);
	c->processes = processes;
	publish(c);
}

static void on_step(void *data)
{
	struct process_component *c = data;
	int r = c->scan ? process_scan_step(c->scan, STEP, on_process, c) : -EINVAL;

	if (r > 0) {
		loop_set_timer(c->step, 0, 0);
		return;
	}
	if (r < 0)
		(void)log_warn_errno(r, "%s: cannot list processes, keeping the last list",
				     c->base.id);
	else
		scan_end(c);
}

static void on_refresh(void *data)
{
	struct process_component *c = data;
	int r;

	if (c->scan)
		return;
	r = scan_begin(c);
	if (r < 0)
		(void)log_warn_errno(r, "%s: cannot list processes, keeping the last list",
				     c->base.id);
	else
		loop_set_timer(c->step, 0, 0);
}

static int process_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = exports_of(value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

/* The first list is there before anything that uses it is built. */
static int process_build(struct component *base, char *why, size_t size)
{
	struct process_component *c = (struct process_component *)base;
	int r = scan_begin(c);

	while (r >= 0) {
		r = process_scan_step(c->scan, STEP, on_process, c);
		if (!r) {
			scan_end(c);
			return 0;
		}
	}
	(void)snprintf(why, size, "cannot list processes in /proc: %s", strerror(-r));
	return r;
}

static void arm(struct process_component *c)
{
	const struct process_args *a = c->base.args;
	uint64_t ms = MAX((uint64_t)a->refresh_interval / 1000000u, 1u);

	loop_set_timer(c->refresh, ms, ms);
}

static int process_start(struct component *base, char *why, size_t size)
{
	struct process_component *c = (struct process_component *)base;

	c->refresh = loop_add_timer(base->env->loop, on_refresh, c);
	c->step = loop_add_timer(base->env->loop, on_step, c);
	if (!c->refresh || !c->step)
		return -ENOMEM;
	arm(c);
	return 0;
}

static int process_update(struct component *base, const void *old, char *why, size_t size)
{
	struct process_component *c = (struct process_component *)base;

	if (c->refresh)
		arm(c);
	publish(c);
	return 0;
}

static void process_stop(struct component *base)
{
	struct process_component *c = (struct process_component *)base;

	c->refresh = loop_remove(c->refresh);
	c->step = loop_remove(c->step);
}

static void process_done(struct component *base)
{
	struct process_component *c = (struct process_component *)base;

	c->scan = process_scan_free(c->scan);
	value_list_done(&c->found);
	c->processes = value_unref(c->processes);
}

const struct component_type discovery_process_type = {
	.name = "discovery.process",
	.help = "the processes of this host, with the labels of their containers",
	.schema = &process_schema,
	.size = sizeof(struct process_component),
	.init = process_init,
	.build = process_build,
	.update = process_update,
	.start = process_start,
	.stop = process_stop,
	.done = process_done,
};
