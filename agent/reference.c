/* SPDX-License-Identifier: Apache-2.0 */
/* `tephra reference`: what a component takes and gives. */
#include <errno.h>
#include <string.h>

#include "agent/components/registry.h"
#include "agent/config/reference.h"
#include "agent/verbs.h"

#define MAX_PAGE (4u << 20)

static int print(const struct buf *b, int r)
{
	if (r < 0) {
		fprintf(stderr, "tephra: cannot print the reference: %s\n", strerror(-r));
		return EXIT_FAILED;
	}
	if (fwrite(b->data, 1, b->len, stdout) != b->len || fflush(stdout) != 0)
		return EXIT_FAILED;
	return EXIT_DONE;
}

static int list(const struct component_type *const *types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%-28s %s\n", types[i]->name, types[i]->help ? types[i]->help : "");
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static const struct component_type *find(const struct component_type *const *types, size_t n,
					 const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(types[i]->name, name))
			return types[i];
	}
	return NULL;
}

int reference_main(int argc, char **argv)
{
	_cleanup_buf_ struct buf b = BUF_INIT(MAX_PAGE);
	const struct component_type *const *types, *t;
	const char *name = argc > 1 ? argv[1] : NULL;
	char text[160];
	size_t n;

	types = component_registry(&n);
	if (argc > 2)
		return usage_error("tephra reference", "one component at a time");
	if (!name)
		return print(&b, reference_page(types, n, &b));
	if (!strcmp(name, "-h") || !strcmp(name, "--help")) {
		fputs("Usage: tephra reference [COMPONENT | --list]\n\n"
		      "Prints the arguments, blocks and exports of a component of the "
		      "configuration, "
		      "or of\nall of them, as Markdown.\n\nOptions:\n"
		      "      --list  the names of the components\n"
		      "  -h, --help  this text\n",
		      stdout);
		return EXIT_DONE;
	}
	if (!strcmp(name, "--list"))
		return list(types, n);
	t = find(types, n, name);
	if (t)
		return print(&b, reference_component(t, 1, &b));
	(void)snprintf(text, sizeof(text),
		       "there is no component '%.60s'; 'tephra reference --list'"
		       " names them",
		       name);
	return usage_error("tephra reference", text);
}
