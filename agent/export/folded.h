/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folded text format (one line a stack: `root;caller;leaf count`), which flamegraph.pl,
 * inferno, speedscope and Pyroscope's /ingest read. Functions only: no addresses, lines or modules.
 */
#pragma once

#include "agent/export/profile.h"

struct folded_options {
	bool no_process;    /* do not begin each stack with the name of the process */
	bool nanoseconds;   /* weigh by CPU time instead of samples */
	bool kernel_suffix; /* mark kernel functions with _[k], JIT code with _[j], as flamegraph.pl
			       does to choose colours */
};

/* o may be NULL. In names ';' becomes ':', control characters become ' ', invalid UTF-8 U+FFFD.
 * Equal stacks are one line. 0, -ENOMEM, or -EIO when the stream failed. */
int folded_write(const struct profile *p, const struct folded_options *o, FILE *f);
