/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `tephra record`. */
#pragma once

#include "agent/debug_search.h"
#include "agent/export/format.h"
#include "agent/profiler.h"
#include "symbolizer/demangle.h"

#define RECORD_MAX_NAMED 256 /* of each: -p, -c, -o */

struct record_output {
	const char *path; /* "-": stdout */
	enum format format;
};

struct record_options {
	uint32_t pids[RECORD_MAX_NAMED];
	const char *containers[RECORD_MAX_NAMED];
	struct record_output outputs[RECORD_MAX_NAMED];
	size_t n_pids, n_containers, n_outputs;
	bool all, children, kernel, keep_loops, table, help;
	uint32_t no_runtimes; /* bits by enum runtime_id */
	uint32_t frequency_hz;
	uint64_t duration_ms;
	enum profiler_event event;
	enum demangle_mode demangle;
	struct debug_dirs debug_dirs;
	const char *cache_dir;
	char **command; /* NULL-terminated, NULL: none */
};

/* 0, or -EINVAL after the error was printed. */
int record_options_parse(int argc, char **argv, struct record_options *ret);
void record_print_help(FILE *f);
