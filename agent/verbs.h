/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the command line, and what they share: exit codes and usage errors. */
#pragma once

#include "agent/base/macro.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3, /* the kernel or the privileges do not allow it */
};

int record_main(int argc, char **argv);
int run_main(int argc, char **argv);
int validate_main(int argc, char **argv);
int reference_main(int argc, char **argv);
int fmt_main(int argc, char **argv);
int check_main(int argc, char **argv);
int symbolize_main(int argc, char **argv);

/* Prints one line on stderr: what is wrong and how to get help. Returns EXIT_USAGE. */
int usage_error(const char *who, const char *what);
/* The hidden verb of the sandboxed child process; it may be given a directory to unpack in. */
#define PARSER_CHILD_VERB "--parser-child"
