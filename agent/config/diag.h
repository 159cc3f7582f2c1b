/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct diag_list: everything one load of a configuration has to say: errors and warnings, each
 * with the part of the source it is about and, where there is one, a cure. A list keeps
 * DIAG_KEEP entries and counts the rest, so that a hostile file costs bounded memory.
 */
#pragma once

#include "agent/config/source.h"

#define DIAG_KEEP 1000

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

struct diag {
	enum diag_severity severity;
	struct span span;
	char *message;
	char *help; /* one line: what to do about it; NULL: none */
};

struct diag_list {
	struct diag *items;
	size_t n, cap;
	size_t n_errors, n_warnings; /* also those that were not kept */
};

void diag_done(struct diag_list *d);
/* Also without memory the counters are right, so that an error never passes for success. */
void diag_add(struct diag_list *d, enum diag_severity severity, struct span span, const char *fmt,
	      ...) _printf_(4, 5);
/* Appends what is in `from`, which is empty then. */
void diag_move(struct diag_list *to, struct diag_list *from);
/* Attaches a cure to the entry that was added last. */
void diag_help(struct diag_list *d, const char *fmt, ...) _printf_(2, 3);
/* `path:line:col: message`, as far as there is a position. Allocated; NULL without memory. */
char *diag_line(const struct diag *x);
/* The first error in one line, with "(and N more diagnostics)": what a reload answers. Allocated;
 * NULL without memory. */
char *diag_summary(const struct diag_list *d);
/* All entries with their source lines, at most `max` of them, then "and N more". */
void diag_print(const struct diag_list *d, FILE *f, bool colour, size_t max);
/* Whether colour suits f: a terminal, and NO_COLOR is not set. */
bool diag_colour(FILE *f);

#define _cleanup_diag_ _cleanup_(diag_done)
