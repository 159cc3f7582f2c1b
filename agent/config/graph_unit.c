/* SPDX-License-Identifier: Apache-2.0 */
/* Files, directories and the exports of imports to syntax trees. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "agent/config/graph_internal.h"

int unit_new(struct unit **ret)
{
	struct unit *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->refs = 1;
	u->dir = strdup(".");
	if (!u->dir) {
		free(u);
		return -ENOMEM;
	}
	*ret = u;
	return 0;
}

struct unit *unit_ref(struct unit *u)
{
	if (u)
		u->refs++;
	return u;
}

struct unit *unit_unref(struct unit *u)
{
	if (!u || --u->refs)
		return NULL;
	for (size_t i = 0; i < u->n_files; i++)
		ast_free(u->files[i]);
	for (size_t i = 0; i < u->n_broken; i++)
		source_free(u->broken[i]);
	value_unref(u->texts);
	free(u->files);
	free(u->broken);
	free(u->dir);
	free(u);
	return NULL;
}

static void report(struct diag_list *d, const char *path, int r)
{
	diag_add(d, DIAG_ERROR, (struct span){0}, "cannot read '%s': %s", path,
		 r == -E2BIG ? "larger than 16 MiB" : strerror(-r));
}

int unit_add(struct unit *u, struct source *s, struct diag_list *d)
{
	struct ast_file **files = realloc(u->files, (u->n_files + 1) * sizeof(*files));
	struct source **broken = realloc(u->broken, (u->n_broken + 1) * sizeof(*broken));
	struct ast_file *f;
	int r;

	if (files)
		u->files = files;
	if (broken)
		u->broken = broken;
	if (!files || !broken) {
		source_free(s);
		return -ENOMEM;
	}
	r = parser_parse(s, d, &f);
	if (r >= 0) {
		u->files[u->n_files++] = f;
		return 0;
	}
	u->broken[u->n_broken++] = s;
	if (r == -E2BIG)
		diag_add(d, DIAG_ERROR, (struct span){s, 0, 0},
			 "the file has too many expressions and blocks");
	return r == -ENOMEM ? r : 0;
}

static int read_file(struct unit *u, const char *path, struct diag_list *d)
{
	struct source *s;
	int r = source_open(path, &s);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		report(d, path, r);
		return 0;
	}
	return unit_add(u, s, d);
}

static int is_alloy(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 6 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 6, ".alloy");
}

static int read_directory(struct unit *u, const char *path, struct diag_list *d)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_alloy, alphasort), r = 0;

	if (n < 0) {
		report(d, path, -errno);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = NULL;

		if (r >= 0)
			r = asprintf(&file, "%s/%s", path, names[i]->d_name) < 0
				    ? -ENOMEM
				    : read_file(u, file, d);
		free(names[i]);
	}
	free(names);
	if (!n)
		diag_add(d, DIAG_ERROR, (struct span){0}, "no *.alloy file in directory '%s'",
			 path);
	return r;
}

/* module_path: the directory of the first path, as an absolute path when it can be had. */
static int set_dir(struct unit *u, const char *path, bool is_dir)
{
	_cleanup_free_ char *full = realpath(path, NULL);
	const char *from = full ? full : path, *slash = strrchr(from, '/');
	size_t n = is_dir ? strlen(from) : !slash ? 0 : slash == from ? 1 : (size_t)(slash - from);
	char *dir = n ? strndup(from, n) : strdup(".");

	if (!dir)
		return -ENOMEM;
	free(u->dir);
	u->dir = dir;
	return 0;
}

static int read_path(struct unit *u, const char *path, bool first, struct diag_list *d)
{
	bool is_stdin = !strcmp(path, "-");
	DIR *dir = is_stdin ? NULL : opendir(path);
	int r = first && !is_stdin ? set_dir(u, path, dir) : 0;

	if (r >= 0)
		r = dir ? read_directory(u, path, d)
			: read_file(u, is_stdin ? "/dev/stdin" : path, d);
	if (dir)
		closedir(dir);
	return r;
}

int unit_read(struct unit *u, const char *const *paths, size_t n, struct diag_list *d)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = read_path(u, paths[i], !i, d);
	return r;
}

static const struct value *text_of(const struct value *v)
{
	return v && v->kind == VALUE_STRING ? v : NULL;
}

static int parse_text(struct unit *u, const struct value *file, struct diag_list *d)
{
	const struct value *name = text_of(value_get(file, "name"));
	const struct value *text = text_of(value_get(file, "text"));
	struct source *s;
	int r;

	if (!name || !text)
		return 0;
	r = source_new(name->s, text->s, text->len, &s);
	if (r == -E2BIG)
		report(d, name->s, r);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return unit_add(u, s, d);
}

int unit_parse(struct unit *u, const char *name, struct value *exports, const char *outer,
	       struct diag_list *d)
{
	const struct value *files = value_get(exports, "files");
	const struct value *dir = text_of(value_get(exports, "dir"));
	int r = 0;

	u->texts = value_ref(exports);
	free(u->dir);
	u->dir = strdup(dir ? dir->s : outer);
	if (!u->dir)
		return -ENOMEM;
	if (!files || files->kind != VALUE_ARRAY) {
		diag_add(d, DIAG_ERROR, (struct span){0}, "%s has no text", name);
		return 0;
	}
	for (size_t i = 0; i < files->n_items && r >= 0; i++)
		r = parse_text(u, files->items[i], d);
	return r;
}
