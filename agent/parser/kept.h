/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kept: the debug information that the child has open from one request for lines to the
 * next: mappings, decompressed sections, which unit holds which addresses. A profile asks for some
 * addresses of the same few files at every interval, and without this most of what an answer costs
 * is spent before the first of them is looked up. Files are known by what was opened, never by a
 * path; whoever was not asked for the longest goes when there is more than the budget.
 */
#pragma once

#include "agent/base/macro.h"

struct kept;
struct lines_query;
struct scratch;
struct table_writer;

#define KEPT_BUDGET    (4u << 20) /* bytes, without what the page cache has */
#define KEPT_FILES_MAX 16

/* budget_bytes 0: nothing is kept. scratch: where sections are unpacked to, taken; NULL: to memory,
 * on account of the budget. */
int kept_new(size_t budget_bytes, struct scratch *scratch, struct kept **ret);
struct kept *kept_free(struct kept *k);
DEFINE_CLEANUP(struct kept *, kept_free)

/*
 * Looks a query up in the files behind fds: the one with the debug information, the one that
 * .gnu_debugaltlink names if the query says so, .dwo and .dwp files. k may be NULL. As
 * lines_write(); also -EINVAL for no file or too many.
 */
int kept_lines(struct kept *k, const int *fds, size_t n, const struct lines_query *q,
	       struct table_writer *w);

struct kept_stats {
	uint64_t opened, reused, dropped;
	uint64_t files, bytes; /* now */
};
void kept_get_stats(const struct kept *k, struct kept_stats *ret);
