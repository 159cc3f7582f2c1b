/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: what `tephra record` prints when no file was asked for. The hottest functions by
 * self time, the processes by CPU time, why stacks were cut, and a footer with the totals; each
 * line fits the width. Names are made harmless for the terminal.
 */
#pragma once

#include "agent/export/profile.h"

struct report_options {
	unsigned int width; /* columns; 0: 80; under 40 is taken as 40 */
	unsigned int rows;  /* of each table; 0: 15 */
	bool colour;	    /* ANSI SGR */
};

/* o may be NULL. 0, -ENOMEM, or -EIO when the stream failed. */
int report_print(FILE *f, const struct profile *p, const struct report_options *o);
