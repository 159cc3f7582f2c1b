/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/config/corpus: configurations that Alloy loads must load (accept/; NAME.context is
 * loaded with a file that is only a part), those that it refuses must be refused (reject/) at the
 * place and with the text that their first line says. What loads is formatted, and loads again.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/components/registry.h"
#include "agent/config/config.h"
#include "agent/config/format.h"

#define LEVEL "// --stability.level=experimental"

static char corpus[4096];

static struct graph *load(const char *const *paths, size_t n, struct component_env *env,
			  struct diag_list *d)
{
	_cleanup_(source_freep) struct source *s = NULL;
	struct graph *g = NULL;

	env->types = component_registry(&env->n_types);
	env->check_only = true;
	assert_int_equal(source_open(paths[0], &s), 0);
	if (!strncmp(s->text, LEVEL, strlen(LEVEL)))
		env->stability = STABILITY_EXPERIMENTAL;
	assert_int_equal(graph_load(paths, n, env, d, &g), 0);
	return g;
}

static int accept(const char *path)
{
	_cleanup_free_ char *context = NULL;
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	struct component_env env = {0};
	const char *paths[2] = {path};

	assert_true(asprintf(&context, "%.*s.context", (int)strlen(path) - 6, path) > 0);
	paths[1] = context;
	g = load(paths, access(context, R_OK) ? 1 : 2, &env, &d);
	if (graph_ok(g))
		return 0;
	diag_print(&d, stderr, false, 10);
	return 1;
}

static int format_again(const char *path)
{
	_cleanup_buf_ struct buf once = BUF_INIT(1u << 20), twice = BUF_INIT(1u << 20);
	struct buf *out[] = {&once, &twice};
	struct source *s;

	assert_int_equal(source_open(path, &s), 0);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(ast_freep) struct ast_file *f = NULL;
		_cleanup_diag_ struct diag_list d = {0};

		if (parser_parse(s, &d, &f) < 0) {
			source_free(s);
			return 1;
		}
		assert_int_equal(format_file(f, out[i]), 0);
		assert_int_equal(source_new("t", buf_cstr(out[i]), out[i]->len, &s), 0);
	}
	source_free(s);
	return strcmp(buf_cstr(&once), buf_cstr(&twice)) != 0;
}

static int accept_formatted(const char *path)
{
	int wrong = accept(path) + format_again(path);

	if (wrong)
		print_error("must load: %s\n", path);
	return wrong;
}

static int reject(const char *path)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	_cleanup_free_ char *line = NULL, *want = NULL;
	struct component_env env = {0};
	_cleanup_(source_freep) struct source *s = NULL;
	const char *text;
	size_t len;

	assert_int_equal(source_open(path, &s), 0);
	text = source_line(s, 1, &len);
	want = strndup(text + 3, len - 3);
	g = load(&path, 1, &env, &d);
	for (size_t i = 0; i < d.n; i++) {
		const char *at = strstr(want, ": ");

		free(line);
		line = diag_line(&d.items[i]);
		if (d.items[i].severity == DIAG_ERROR && !graph_ok(g) &&
		    !strncmp(line + strlen(path) + 1, want, (size_t)(at + 2 - want)) &&
		    strstr(line, at + 2))
			return 0;
	}
	print_error("%s:\n  wants %s\n  has   %s\n", path, want, line ? line : "nothing");
	return 1;
}

static void each(const char *dir, int (*check)(const char *path))
{
	_cleanup_free_ char *path = NULL;
	int wrong = 0, n = 0;
	struct dirent *e;
	DIR *list;

	assert_true(asprintf(&path, "%s/%s", corpus, dir) > 0);
	list = opendir(path);
	assert_non_null(list);
	while ((e = readdir(list))) {
		_cleanup_free_ char *file = NULL;

		if (!strstr(e->d_name, ".alloy"))
			continue;
		assert_true(asprintf(&file, "%s/%s", path, e->d_name) > 0);
		wrong += check(file);
		n++;
	}
	closedir(list);
	assert_int_equal(wrong, 0);
	assert_true(n > 20);
}

static void what_alloy_loads_is_loaded_and_can_be_formatted(void **state)
{
	each("accept", accept_formatted);
}

static void what_alloy_refuses_is_refused_at_its_place(void **state)
{
	each("reject", reject);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_alloy_loads_is_loaded_and_can_be_formatted),
		cmocka_unit_test(what_alloy_refuses_is_refused_at_its_place),
	};

	if (argc < 2)
		return 2;
	(void)snprintf(corpus, sizeof(corpus), "%s", argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
