/* SPDX-License-Identifier: Apache-2.0 */
/* `tephra validate`: everything that can be said of a configuration without running it. */
#include <errno.h>
#include <string.h>

#include "agent/components/registry.h"
#include "agent/config/config.h"
#include "agent/verbs.h"

static void print_help(void)
{
	fputs("Usage: tephra validate [OPTIONS] FILE_OR_DIRECTORY...\n\n"
	      "Checks an Alloy configuration without running it: syntax, names of components and\n"
	      "arguments, required ones, types, references, cycles. Of a directory all *.alloy "
	      "files\n"
	      "directly inside are read, for '-' standard input.\n\nOptions:\n"
	      "      --stability.level LEVEL  the least settled that may be used:\n"
	      "                               generally-available (default), public-preview or\n"
	      "                               experimental\n"
	      "  -h, --help                   this text\n",
	      stdout);
}

static int validate(const char *const *paths, size_t n, struct component_env *env)
{
	_cleanup_(graph_freep) struct graph *g = NULL;
	_cleanup_diag_ struct diag_list d = {0};
	int r;

	env->types = component_registry(&env->n_types);
	env->check_only = true;
	r = graph_load(paths, n, env, &d, &g);
	if (d.n_errors || d.n_warnings) {
		diag_print(&d, stderr, diag_colour(stderr), CONFIG_MAX_SHOWN);
		fputc('\n', stderr);
	}
	if (r >= 0 && graph_ok(g))
		return EXIT_DONE;
	if (r < 0 && !d.n_errors)
		fprintf(stderr, "Error: %s\n", strerror(-r));
	fputs("Error: validation failed\n", stderr);
	return EXIT_FAILED;
}

/* schema.h and getopt.h both have a struct option: two options are parsed by hand. */
static int parse_level(const char *value, struct component_env *env)
{
	if (!value)
		return usage_error("tephra validate", "option '--stability.level' needs a value");
	if (stability_parse(value, &env->stability) < 0)
		return usage_error("tephra validate", "the stability level is generally-available, "
						      "public-preview or experimental");
	return 0;
}

int validate_main(int argc, char **argv)
{
	static const char level[] = "--stability.level";
	_cleanup_free_ const char **paths = calloc((size_t)argc + 1, sizeof(*paths));
	struct component_env env = {0};
	bool options = true;
	size_t n = 0;

	if (!paths)
		return EXIT_FAILED;
	for (int i = 1; i < argc; i++) {
		const char *s = argv[i];
		int r = 0;

		if (!options || s[0] != '-' || !s[1]) {
			paths[n++] = s;
		} else if (!strcmp(s, "--")) {
			options = false;
		} else if (!strcmp(s, "-h") || !strcmp(s, "--help")) {
			print_help();
			return EXIT_DONE;
		} else if (!strcmp(s, level)) {
			r = parse_level(argv[++i], &env);
		} else if (!strncmp(s, level, strlen(level)) && s[strlen(level)] == '=') {
			r = parse_level(s + strlen(level) + 1, &env);
		} else {
			char text[160];

			(void)snprintf(text, sizeof(text), "unknown option '%.100s'", s);
			r = usage_error("tephra validate", text);
		}
		if (r)
			return r;
	}
	if (!n)
		return usage_error("tephra validate",
				   "the configuration is missing: a file, a directory, or '-'");
	return validate(paths, n, &env);
}
