/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the verb and runs it. Each verb parses its own arguments. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/parser/kept.h"
#include "agent/parser/scratch.h"
#include "agent/verbs.h"

#define MMAP_THRESHOLD (128 << 10)

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* one line; NULL: not shown */
} verbs[] = {
	{"record", record_main, "profile a command, processes, containers or this host once"},
	{"run", run_main, "profile continuously, as an Alloy configuration says"},
	{"validate", validate_main, "check a configuration without running it"},
	{"reference", reference_main, "what the components of a configuration take and give"},
	{"fmt", fmt_main, "write configuration files in their usual form"},
	{"symbolize", symbolize_main, "the functions, files and lines at addresses of a file"},
	{"check", check_main, "what this kernel, these privileges and this build can do"},
};

static void print_help(FILE *f)
{
	fputs("Usage: tephra VERB [OPTIONS] [ARGUMENTS]\n\n"
	      "Shows where the CPU time of this host goes.\n\nVerbs:\n",
	      f);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(f, "  %-9s %s\n", verbs[i].name, verbs[i].help);
	fputs("\nOptions:\n"
	      "  -h, --help     this text; 'tephra VERB --help' explains a verb\n"
	      "  -V, --version  the version\n",
	      f);
}

/* The sandboxed child: serves the socket it was given. scratch_dir may be NULL. */
static int serve_parser(const char *scratch_dir)
{
	_cleanup_(kept_freep) struct kept *kept = NULL;
	struct child_options o = {.build = build_table};
	struct scratch *scratch = NULL;

	/* It works without these, too, and takes longer. */
	if (scratch_dir)
		(void)scratch_open(scratch_dir, SCRATCH_BYTES, &scratch);
	if (kept_new(KEPT_BUDGET, scratch, &kept) == 0)
		o.data = kept;
	/* exec of /proc/self/exe leaves "exe" as the name. */
	(void)prctl(PR_SET_NAME, "tephra-parser");
	return child_main(CHILD_SOCKET, &o);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : NULL;

	/* Large buffers live for one interval. The C library would raise the threshold with each
	 * that is freed, and then keep them all in a heap full of holes. */
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	if (!verb)
		return usage_error("tephra", "a verb is missing");
	if (!strcmp(verb, PARSER_CHILD_VERB))
		return serve_parser(argc > 2 ? argv[2] : NULL);
	if (!strcmp(verb, "-h") || !strcmp(verb, "--help") || !strcmp(verb, "help")) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(verb, "-V") || !strcmp(verb, "--version")) {
		puts("tephra " TEPHRA_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(verb, verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "tephra: there is no verb '%s'; see 'tephra --help'\n", verb);
	return EXIT_USAGE;
}
