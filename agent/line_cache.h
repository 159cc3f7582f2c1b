/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct line_cache: functions, inlined functions and lines of the addresses that samples were
 * taken at. Debug information is never read as a whole: the addresses of a file are collected for a
 * moment, the child is asked for them together, and the answers are kept within a budget. The more
 * a file has cost, the longer its addresses gather until line_cache_flush(), and a file whose
 * answers are slow is asked less often even then, so that debug information costs a bounded share
 * of a CPU.
 */
#pragma once

#include "agent/base/macro.h"

struct debug_file;
struct loop;
struct parser;
struct line_cache;

#define LINE_CACHE_BUDGET (16u << 20)
#define LINE_FRAMES_MAX	  128

/* One function at an address, as struct lines_frame (symbolizer/lines.h); borrowed strings. */
struct line_frame {
	const char *name; /* "" unknown */
	bool is_linkage_name;
	const char *path; /* "" unknown */
	uint32_t line, start_line;
};

/* loop and parser are borrowed. budget_bytes 0: LINE_CACHE_BUDGET. */
int line_cache_new(struct loop *loop, struct parser *parser, size_t budget_bytes,
		   struct line_cache **ret);
struct line_cache *line_cache_free(struct line_cache *c);
DEFINE_CLEANUP(struct line_cache *, line_cache_free)

/*
 * The frames at a virtual address of a file, innermost first; at most LINE_FRAMES_MAX. Their
 * number, 0 when the debug information says nothing, -EAGAIN when it is not known yet: then it has
 * been asked for. d is borrowed until line_cache_forget(); files are told apart by its address.
 */
int line_cache_get(struct line_cache *c, struct debug_file *d, uint64_t vaddr,
		   struct line_frame *ret);
/* Asks for what has gathered so far: somebody waits for it. */
void line_cache_flush(struct line_cache *c);
/* Nothing is kept of d any more. */
void line_cache_forget(struct line_cache *c, const struct debug_file *d);
/* Addresses that were asked for and not answered. The loop must run for them to be. */
size_t line_cache_pending(const struct line_cache *c);
/* Drops what was not asked for lately when the budget is exceeded. */
void line_cache_next_interval(struct line_cache *c);

struct line_cache_stats {
	uint64_t files, addresses, bytes; /* now */
	uint64_t asked, answered, failed, requests, child_us, dropped;
};
void line_cache_get_stats(const struct line_cache *c, struct line_cache_stats *ret);
