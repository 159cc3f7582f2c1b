/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/verbs.h"

int usage_error(const char *who, const char *what)
{
	fprintf(stderr, "tephra: %s; see '%s --help'\n", what, who);
	return EXIT_USAGE;
}
