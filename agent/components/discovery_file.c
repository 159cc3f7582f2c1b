/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/components/discovery_file.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/watch.h"
#include "agent/components/target_groups.h"
#include "agent/components/targets_value.h"
#include "agent/config/data.h"
#include "agent/export/receiver.h"
#include "agent/metrics.h"

#define FILES_MAX 10000

struct file_args {
	struct schema_strings files;
	int64_t refresh_interval;
};

/* A file that was there at the last look. */
struct target_file {
	char *path;
	struct value *targets; /* of its last good content; NULL: it never was good */
	double mtime_s;
	char *why; /* what is wrong with it now; NULL: nothing */
};

struct discovery_file {
	struct component base;
	struct watch *watch; /* NULL: polled only */
	struct loop_source *refresh;
	struct target_file *files; /* sorted by path */
	size_t n;
	uint64_t errors; /* so far */
};

#define ARG(member) offsetof(struct file_args, member)
static const struct option file_options[] = {
	{"files", OPTION_STRINGS, NULL, OPTION_REQUIRED, ARG(files), NULL,
	 "paths of .json, .yml and .yaml files; * in the last part stands for any text"},
	{"refresh_interval", OPTION_DURATION, "5m", .offset = ARG(refresh_interval),
	 .help = "how often they are looked for"},
};

static const char *extension(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && !strchr(dot, '/') ? dot : "";
}

static bool is_json(const char *path)
{
	return !strcasecmp(extension(path), ".json");
}

/* ^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$ (prometheus discovery/file/file.go, 3.x) */
static bool is_pattern(const char *path)
{
	static const char *const known[] = {".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"};
	const char *star = strchr(path, '*');

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!strcmp(extension(path), known[i]))
			return !star || !strchr(star, '/');
	}
	return false;
}

static int file_validate(const void *args, char *why, size_t size)
{
	const struct file_args *a = args;

	if (a->refresh_interval <= 0) {
		(void)snprintf(why, size, "refresh_interval must be greater than 0");
		return -EINVAL;
	}
	for (size_t i = 0; i < a->files.n; i++) {
		if (is_pattern(a->files.v[i]))
			continue;
		(void)snprintf(
			why, size,
			"path name \"%.200s\" is not valid for file discovery: it must end in "
			".json, .yml or .yaml, with * only in its last part",
			a->files.v[i]);
		return -EINVAL;
	}
	return 0;
}

static const struct schema file_schema = {
	.size = sizeof(struct file_args),
	.options = file_options,
	.n = ARRAY_SIZE(file_options),
	.validate = file_validate,
};

static void target_file_done(struct target_file *f)
{
	free(f->path);
	free(f->why);
	value_unref(f->targets);
}

static void files_free(struct target_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		target_file_done(&files[i]);
	free(files);
}

/* ---- Reading ---- */

static int read_targets(const char *path, struct value **ret, double *ret_mtime_s, char *why,
			size_t size)
{
	_cleanup_buf_ struct buf text = BUF_INIT(DATA_MAX_BYTES);
	_cleanup_value_ struct value *groups = NULL;
	_cleanup_(value_list_done) struct value_list l = {0};
	struct stat st;
	int r = file_read(path, &text, &st);

	if (r < 0) {
		(void)snprintf(why, size, "%s",
			       r == -EINVAL ? "it is no regular file" : strerror(-r));
		return r;
	}
	r = (is_json(path) ? data_from_json : data_from_yaml)(buf_cstr(&text), text.len, &groups,
							      why, size);
	if (r >= 0)
		r = target_groups_read(groups, "__meta_filepath", path, &l, why, size);
	if (r < 0)
		return r;
	*ret = targets_value_array(&l);
	*ret_mtime_s = (double)st.st_mtim.tv_sec;
	return *ret ? 0 : -ENOMEM;
}

static const struct target_file *find(const struct discovery_file *c, const char *path)
{
	for (size_t i = 0; i < c->n; i++) {
		if (!strcmp(c->files[i].path, path))
			return &c->files[i];
	}
	return NULL;
}

/* A file that is broken keeps what it said when it was not. */
static int load(struct discovery_file *c, const char *path, struct target_file *ret)
{
	const struct target_file *before = find(c, path);
	struct target_file f = {.path = strdup(path)};
	char why[512] = "";
	int r;

	if (!f.path)
		return -ENOMEM;
	r = read_targets(path, &f.targets, &f.mtime_s, why, sizeof(why));
	if (r < 0) {
		c->errors++;
		f.why = strdup(*why ? why : strerror(-r));
		if (before && before->targets)
			f.targets = value_ref(before->targets);
		f.mtime_s = before ? before->mtime_s : 0;
		if (!before || !before->why || !f.why || strcmp(before->why, f.why) != 0)
			log_error("%s: %s: %s, %s", c->base.id, path, f.why ? f.why : "?",
				  f.targets ? "keeping its last targets" : "skipping it");
	}
	*ret = f;
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All files that match, sorted, each once. The strings are in g. */
static size_t find_files(struct discovery_file *c, glob_t *g)
{
	const struct file_args *a = c->base.args;
	size_t n = 0;
	int flags = GLOB_NOSORT | GLOB_PERIOD;

	for (size_t i = 0; i < a->files.n; i++) {
		int r = glob(a->files.v[i], flags, NULL, g);

		if (r == GLOB_NOSPACE)
			break;
		flags |= GLOB_APPEND;
	}
	if (!(flags & GLOB_APPEND) || !g->gl_pathc)
		return 0;
	qsort(g->gl_pathv, g->gl_pathc, sizeof(*g->gl_pathv), compare_paths);
	for (size_t i = 0; i < g->gl_pathc; i++) {
		char *path = g->gl_pathv[i];

		if (n && !strcmp(g->gl_pathv[n - 1], path))
			free(path);
		else
			g->gl_pathv[n++] = path;
	}
	g->gl_pathc = n;
	return MIN(n, FILES_MAX);
}

static void publish(struct discovery_file *c)
{
	struct value_list l = {0};
	const struct target_file *bad = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct value *t = c->files[i].targets;

		for (size_t k = 0; t && k < t->n_items; k++)
			value_list_add(&l, NULL, value_ref(t->items[k]));
		if (c->files[i].why && !bad)
			bad = &c->files[i];
	}
	component_export(&c->base, targets_value_exports("targets", targets_value_array(&l)));
	if (bad)
		component_set_health(&c->base, HEALTH_UNHEALTHY, "%s: %s", bad->path, bad->why);
	else
		component_set_health(&c->base, HEALTH_HEALTHY, "%zu files read", c->n);
}

static void watch_all(struct discovery_file *c)
{
	const struct file_args *a = c->base.args;
	int r = 0;

	watch_clear(c->watch);
	for (size_t i = 0; i < a->files.n && r >= 0; i++) {
		char dir[PATH_MAX] = ".";
		const char *slash = strrchr(a->files.v[i], '/');

		if (slash)
			(void)snprintf(dir, sizeof(dir), "%.*s", (int)MAX(slash - a->files.v[i], 1),
				       a->files.v[i]);
		r = watch_add(c->watch, dir);
	}
	/* The directory does not tell of files that are only linked there. */
	for (size_t i = 0; i < c->n && r >= 0; i++) {
		struct stat st;

		if (lstat(c->files[i].path, &st) == 0 && S_ISLNK(st.st_mode))
			r = watch_add(c->watch, c->files[i].path);
	}
	if (r < 0 && r != -E2BIG) {
		c->watch = watch_free(c->watch);
		(void)log_warn_errno(r, "%s: cannot watch files, looking every %" PRIi64 " s",
				     c->base.id, a->refresh_interval / 1000000000);
	}
}

static int look(struct discovery_file *c)
{
	glob_t g = {0};
	size_t n = find_files(c, &g), done = 0;
	struct target_file *files = calloc(MAX(n, 1u), sizeof(*files));
	int r = files ? 0 : -ENOMEM;

	for (; done < n && r >= 0; done += r >= 0)
		r = load(c, g.gl_pathv[done], &files[done]);
	globfree(&g);
	if (r < 0) {
		if (files)
			files_free(files, done);
		return r;
	}
	files_free(c->files, c->n);
	c->files = files;
	c->n = n;
	publish(c);
	return 0;
}

static void on_refresh(void *data)
{
	struct discovery_file *c = data;
	int r;

	/* First the watches, then the files: what changes in between is told of. */
	if (c->watch)
		watch_all(c);
	r = look(c);
	if (r < 0)
		(void)log_warn_errno(r, "%s: cannot read files, keeping the last targets",
				     c->base.id);
}

/* ---- The component ---- */

static int file_init(struct component *c)
{
	struct value_list none = {0};

	c->exports = targets_value_exports("targets", targets_value_array(&none));
	return c->exports ? 0 : -ENOMEM;
}

/* The first list is there before anything that uses it is built. */
static int file_build(struct component *base, char *why, size_t size)
{
	int r = look((struct discovery_file *)base);

	if (r < 0)
		(void)snprintf(why, size, "cannot read files: %s", strerror(-r));
	return r;
}

static void arm(struct discovery_file *c)
{
	const struct file_args *a = c->base.args;
	uint64_t ms = MAX((uint64_t)a->refresh_interval / 1000000u, 1u);

	loop_set_timer(c->refresh, ms, ms);
}

static int file_start(struct component *base, char *why, size_t size)
{
	struct discovery_file *c = (struct discovery_file *)base;
	int r;

	c->refresh = loop_add_timer(base->env->loop, on_refresh, c);
	if (!c->refresh)
		return -ENOMEM;
	r = watch_new(base->env->loop, on_refresh, c, &c->watch);
	if (r < 0)
		(void)log_warn_errno(r, "%s: cannot watch files, looking every refresh_interval",
				     base->id);
	arm(c);
	on_refresh(c);
	return 0;
}

static int file_update(struct component *base, const void *old, char *why, size_t size)
{
	struct discovery_file *c = (struct discovery_file *)base;

	if (c->refresh)
		arm(c);
	on_refresh(c);
	return 0;
}

static void file_stop(struct component *base)
{
	struct discovery_file *c = (struct discovery_file *)base;

	c->refresh = loop_remove(c->refresh);
	c->watch = watch_free(c->watch);
}

static void file_done(struct component *base)
{
	struct discovery_file *c = (struct discovery_file *)base;

	files_free(c->files, c->n);
}

static void file_metrics(const struct component *base, struct metrics *m)
{
	static const struct metric_family errors = {"prometheus_sd_file_read_errors_total",
						    "Files that could not be read or understood.",
						    METRIC_COUNTER};
	static const struct metric_family mtime = {
		"prometheus_sd_file_mtime_seconds",
		"When a file that was read had been changed, in seconds since 1970.", METRIC_GAUGE};
	const struct discovery_file *c = (const struct discovery_file *)base;

	metrics_add(m, &errors, NULL, 0, (double)c->errors);
	for (size_t i = 0; i < c->n; i++) {
		const struct label name = {"filename", c->files[i].path};

		if (c->files[i].targets)
			metrics_add(m, &mtime, &name, 1, c->files[i].mtime_s);
	}
}

static struct value *file_debug_info(const struct component *base)
{
	const struct discovery_file *c = (const struct discovery_file *)base;
	struct value_list files = {0}, l = {0};

	for (size_t i = 0; i < c->n; i++) {
		const struct target_file *f = &c->files[i];
		struct value_list one = {0};

		value_list_add(&one, "path", value_cstr(f->path));
		value_list_add(&one, "targets",
			       value_int(f->targets ? (int64_t)f->targets->n_items : 0));
		value_list_add(&one, "error", value_cstr(f->why ? f->why : ""));
		value_list_add(&files, NULL, value_object(&one));
	}
	value_list_add(&l, "files", value_array(&files));
	return value_object(&l);
}

const struct component_type discovery_file_type = {
	.name = "discovery.file",
	.help = "targets from JSON and YAML files, followed as they change",
	.schema = &file_schema,
	.size = sizeof(struct discovery_file),
	.init = file_init,
	.build = file_build,
	.update = file_update,
	.start = file_start,
	.stop = file_stop,
	.done = file_done,
	.metrics = file_metrics,
	.debug_info = file_debug_info,
};
