/* SPDX-License-Identifier: Apache-2.0 */
/* import.file: a file, or a directory whose *.alloy files are one module. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/log.h"
#include "agent/base/watch.h"
#include "agent/components/import.h"

#define MAX_FILES 1000
#define MAX_BYTES (16u << 20) /* of all files together */

struct file_args {
	char *filename, *detector;
	int64_t poll_frequency;
};

struct file_component {
	struct component base;
	struct watch *watch; /* NULL: polls */
	struct loop_source *poll;
};

static int file_validate(const void *args, char *why, size_t size)
{
	const struct file_args *a = args;

	if (!*a->filename)
		(void)snprintf(why, size, "filename must not be empty");
	else if (strcmp(a->detector, "fsnotify") != 0 && strcmp(a->detector, "poll") != 0)
		(void)snprintf(why, size,
			       "unrecognized detector \"%.40s\", expected fsnotify, poll",
			       a->detector);
	else if (a->poll_frequency <= 0)
		(void)snprintf(why, size, "poll_frequency must be greater than 0");
	else
		return 0;
	return -EINVAL;
}

#define FILE_ARG(member) offsetof(struct file_args, member)
static const struct option file_options[] = {
	{"filename", OPTION_STRING, NULL, OPTION_REQUIRED, FILE_ARG(filename), NULL,
	 "a file, or a directory with *.alloy files"},
	{"detector", OPTION_STRING, "fsnotify", .offset = FILE_ARG(detector),
	 .help = "how changes are seen: fsnotify or poll"},
	{"poll_frequency", OPTION_DURATION, "1m", .offset = FILE_ARG(poll_frequency),
	 .help = "how often the files are looked at with detector poll"},
};

static const struct schema file_schema = {
	.size = sizeof(struct file_args),
	.options = file_options,
	.n = ARRAY_SIZE(file_options),
	.validate = file_validate,
};

struct reading {
	struct value_list files;
	size_t bytes;
};

/* Only regular files: a pipe or a device may never end. */
static int read_file(struct reading *t, const char *path)
{
	_cleanup_(source_freep) struct source *s = NULL;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	r = source_open(path, &s);
	if (r < 0)
		return r;
	t->bytes += s->len;
	if (t->bytes > MAX_BYTES || t->files.n >= MAX_FILES)
		return -E2BIG;
	value_list_add(&t->files, NULL, import_text(path, s->text, s->len));
	return 0;
}

static int is_alloy(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 6 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 6, ".alloy");
}

static int read_directory(struct reading *t, const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_alloy, alphasort), r = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = NULL;

		if (r >= 0)
			r = asprintf(&file, "%s/%s", path, names[i]->d_name) < 0
				    ? -ENOMEM
				    : read_file(t, file);
		free(names[i]);
	}
	free(names);
	return r < 0 ? r : n ? 0 : -ENODATA;
}

static int read_path(const char *path, struct value **ret)
{
	_cleanup_free_ char *full = realpath(path, NULL);
	struct reading t = {0};
	struct stat st;
	char *slash;
	int r;

	if (!full || stat(full, &st) < 0)
		return -errno;
	r = S_ISDIR(st.st_mode) ? read_directory(&t, path) : read_file(&t, path);
	slash = S_ISDIR(st.st_mode) ? NULL : strrchr(full, '/');
	if (slash)
		slash[slash == full] = '\0';
	if (r >= 0) {
		*ret = import_exports(value_array(&t.files), full);
		r = *ret ? 0 : -ENOMEM;
	}
	value_list_done(&t.files);
	return r;
}

static const char *reason(int r)
{
	return r == -ENODATA   ? "the directory has no *.alloy file"
	       : r == -ENOTSUP ? "neither a regular file nor a directory"
	       : r == -E2BIG   ? "larger than 16 MiB or more than 1000 files"
			       : strerror(-r);
}

static int file_build(struct component *c, char *why, size_t size)
{
	const struct file_args *a = c->args;
	struct value *v = NULL;
	int r = c->env->no_files ? -EACCES : read_path(a->filename, &v);

	if (r < 0) {
		(void)snprintf(why, size, "cannot read '%.120s': %s", a->filename, reason(r));
		return r;
	}
	component_export(c, v);
	return 0;
}

static void read_again(struct file_component *c)
{
	char why[256];

	if (file_build(&c->base, why, sizeof(why)) < 0)
		component_set_health(&c->base, HEALTH_UNHEALTHY, "%s", why);
	else
		component_set_health(&c->base, HEALTH_HEALTHY, "read file");
}

static void on_change(void *data)
{
	read_again(data);
}

/* Inotify does not reach everything (NFS, other hosts' changes): the poll goes on beside it. */
static void follow(struct file_component *c)
{
	const struct file_args *a = c->base.args;
	uint64_t ms = MAX((uint64_t)a->poll_frequency / 1000000u, 1u);
	int r = 0;

	c->watch = watch_free(c->watch);
	if (!strcmp(a->detector, "fsnotify")) {
		r = watch_new(c->base.env->loop, on_change, c, &c->watch);
		if (r >= 0)
			r = watch_add(c->watch, a->filename);
	}
	if (r < 0)
		(void)log_warn_errno(r, "%s: cannot watch '%s', polling it", c->base.id,
				     a->filename);
	loop_set_timer(c->poll, ms, ms);
}

static int file_start(struct component *base, char *why, size_t size)
{
	struct file_component *c = (struct file_component *)base;

	c->poll = loop_add_timer(base->env->loop, on_change, c);
	if (!c->poll)
		return -ENOMEM;
	follow(c);
	/* It may have changed since it was read to be built. */
	read_again(c);
	return 0;
}

static int file_update(struct component *base, const void *old, char *why, size_t size)
{
	struct file_component *c = (struct file_component *)base;
	int r = file_build(base, why, size);

	if (r >= 0 && c->poll && !schema_equal(&file_schema, base->args, old))
		follow(c);
	return r;
}

static void file_stop(struct component *base)
{
	struct file_component *c = (struct file_component *)base;

	c->watch = watch_free(c->watch);
	c->poll = loop_remove(c->poll);
}

const struct component_type import_file_type = {
	.name = "import.file",
	.help = "custom components from a file or directory",
	.schema = &file_schema,
	.size = sizeof(struct file_component),
	.import = true,
	.build = file_build,
	.update = file_update,
	.start = file_start,
	.stop = file_stop,
};
