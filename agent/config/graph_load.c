/* SPDX-License-Identifier: Apache-2.0 */
/* From paths to a loaded graph. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "agent/config/graph_internal.h"

struct graph *graph_free(struct graph *g)
{
	if (!g)
		return NULL;
	graph_stop(g);
	for (size_t i = 0; i < g->n_nodes; i++) {
		struct component *c = g->nodes[i]->component;

		if (c) {
			if (c->type->done)
				c->type->done(c);
			if (c->args)
				schema_done(c->type->schema, c->args);
			free(c->args);
			value_unref(c->exports);
			free(c->health_text);
			free(c);
		}
		free(g->nodes[i]->deps);
		free(g->nodes[i]);
	}
	for (size_t i = 0; i < g->n_files; i++)
		ast_free(g->files[i]);
	for (size_t i = 0; i < g->n_broken; i++)
		source_free(g->broken[i]);
	loop_remove(g->timer);
	value_unref(g->ignored);
	free(g->nodes);
	free(g->order);
	free(g->files);
	free(g->broken);
	intern_done(&g->ids);
	free(g);
	return NULL;
}

bool graph_ok(const struct graph *g)
{
	return g->ok;
}

static void report(struct diag_list *d, const char *path, int r)
{
	diag_add(d, DIAG_ERROR, (struct span){0}, "cannot read '%s': %s", path,
		 r == -E2BIG ? "larger than 16 MiB" : strerror(-r));
}

int graph_add_source(struct graph *g, struct source *s, struct diag_list *d)
{
	struct ast_file **files = realloc(g->files, (g->n_files + 1) * sizeof(*files));
	struct source **broken = realloc(g->broken, (g->n_broken + 1) * sizeof(*broken));
	struct ast_file *f;
	int r;

	if (files)
		g->files = files;
	if (broken)
		g->broken = broken;
	if (!files || !broken) {
		source_free(s);
		return -ENOMEM;
	}
	r = parser_parse(s, d, &f);
	if (r >= 0) {
		g->files[g->n_files++] = f;
		return 0;
	}
	g->broken[g->n_broken++] = s;
	if (r == -E2BIG)
		diag_add(d, DIAG_ERROR, (struct span){s, 0, 0},
			 "the file has too many expressions and blocks");
	return r == -ENOMEM ? r : 0;
}

static int read_file(struct graph *g, const char *path, struct diag_list *d)
{
	struct source *s;
	int r = source_open(path, &s);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		report(d, path, r);
		return 0;
	}
	return graph_add_source(g, s, d);
}

static int is_alloy(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 6 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 6, ".alloy");
}

static int read_directory(struct graph *g, const char *path, struct diag_list *d)
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
				    : read_file(g, file, d);
		free(names[i]);
	}
	free(names);
	if (!n)
		diag_add(d, DIAG_ERROR, (struct span){0}, "no *.alloy file in directory '%s'",
			 path);
	return r;
}

int graph_read(struct graph *g, const char *path, struct diag_list *d)
{
	DIR *dir = opendir(path);

	if (!dir)
		return read_file(g, path, d);
	closedir(dir);
	return read_directory(g, path, d);
}

static int graph_finish(struct graph *g, struct diag_list *d)
{
	int r;

	/* A file that does not parse hides what others refer to: stop there. */
	if (d->n_errors)
		return 0;
	r = graph_declare(g, d);
	if (r >= 0)
		r = graph_resolve(g, d);
	if (r >= 0)
		r = graph_sort(g, d);
	if (r >= 0)
		r = graph_evaluate(g, d);
	g->ok = r >= 0 && !d->n_errors;
	return r;
}

int graph_load(const char *const *paths, size_t n, const struct component_env *env,
	       struct diag_list *d, struct graph **ret)
{
	_cleanup_(graph_freep) struct graph *g = calloc(1, sizeof(*g));
	int r = g ? 0 : -ENOMEM;

	if (g)
		g->env = env;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = graph_read(g, paths[i], d);
	if (r >= 0)
		r = graph_finish(g, d);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}

int graph_load_text(const char *name, const char *text, size_t len, const struct component_env *env,
		    struct diag_list *d, struct graph **ret)
{
	_cleanup_(graph_freep) struct graph *g = calloc(1, sizeof(*g));
	struct source *s;
	int r;

	if (!g)
		return -ENOMEM;
	g->env = env;
	r = source_new(name, text, len, &s);
	if (r < 0)
		return r;
	r = graph_add_source(g, s, d);
	if (r >= 0)
		r = graph_finish(g, d);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}
