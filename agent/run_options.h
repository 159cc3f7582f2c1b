/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `tephra run`. */
#pragma once

#include "agent/alloy_flags.h"
#include "agent/base/macro.h"
#include "agent/debug_search.h"

struct run_options {
	const char *const *paths; /* files and directories of the configuration */
	size_t n_paths;
	const char *cache_dir; /* NULL: the default */
	struct debug_dirs debug_dirs;
	const char *listen;    /* of the HTTP server; "": none */
	const char *ui_prefix; /* NULL: "/" */
	struct alloy_flags alloy;
	bool help;
};

/* 0, or -EINVAL after the error was printed. */
int run_options_parse(int argc, char **argv, struct run_options *ret);
void run_print_help(FILE *f);
