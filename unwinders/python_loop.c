/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a function that the compiler moved elsewhere (GCC's .cold, which in builds with a
 * profile may be nearly all of the interpreter's loop). Stripped files have no symbol for them; but
 * the function jumps there, and their call frame information begins in the middle of a function.
 */
#include "unwinders/python_internal.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/buf.h"
#include "symbolizer/objfile.h"
#include "unwinders/eh_frame.h"
#include "unwinders/x86_insn.h"

#define TARGETS_MAX (1u << 20) /* bytes of jump targets */

struct parts {
	struct rows_range *ranges; /* borrowed */
	size_t *n, max;
	struct buf targets; /* uint64_t, of jumps that leave the ranges */
	struct rows_range current;
	bool inside; /* a jump leads into the current function, behind its start */
	bool seen_row;
	bool added;
};

static bool in_ranges(const struct parts *p, uint64_t at)
{
	for (size_t i = 0; i < *p->n; i++) {
		if (at >= p->ranges[i].start && at < p->ranges[i].end)
			return true;
	}
	return false;
}

static void collect(struct parts *p, struct objfile *o, const struct rows_range *r)
{
	const uint8_t *code = objfile_at_vaddr(o, r->start, r->end - r->start);
	uint64_t at = r->start;

	while (code && at < r->end) {
		struct x86_insn insn;

		if (!x86_insn_decode(code + (at - r->start), r->end - at, &insn)) {
			at++; /* a table or something unknown: find the way back */
			continue;
		}
		if (insn.op == X86_JMP || insn.op == X86_JCC) {
			uint64_t to = at + (uint64_t)insn.value;

			if (!in_ranges(p, to))
				buf_add(&p->targets, &to, sizeof(to));
		}
		at += insn.bytes;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* The first target from an address on. */
static uint64_t next_target(const struct parts *p, uint64_t from)
{
	const uint64_t *t = (const uint64_t *)(const void *)p->targets.data;
	size_t lo = 0, hi = p->targets.len / sizeof(*t);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t[mid] < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->targets.len / sizeof(*t) ? t[lo] : UINT64_MAX;
}

static int on_function(uint64_t start, uint64_t end, void *userdata)
{
	struct parts *p = userdata;

	p->current = (struct rows_range){start, end};
	p->inside = next_target(p, start + 1) < end;
	p->seen_row = false;
	return !in_ranges(p, start) && (p->inside || next_target(p, start) == start);
}

/* A function that is jumped to as a whole begins as every function does; a part does not. */
static int on_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	struct parts *p = userdata;
	bool whole = row->cfa.where == CFI_IN_REG && row->cfa.reg == DWARF_RSP && row->cfa.off == 8;

	(void)at;
	if (!p->seen_row && (p->inside || !whole) && *p->n < p->max) {
		p->ranges[(*p->n)++] = p->current;
		p->added = true;
	}
	p->seen_row = true;
	return 0;
}

int python_loop_parts(struct objfile *o, struct rows_range *ranges, size_t *n, size_t max)
{
	const struct eh_frame_sink sink = {on_function, on_row, NULL};
	struct parts p = {.ranges = ranges, .n = n, .max = max};
	struct eh_frame frames;
	size_t done = 0;
	int r = 0;

	if (objfile_machine(o) != EM_X86_64 || eh_frame_find(o, &frames) < 0)
		return 0;
	/* A part may jump to further parts. */
	do {
		struct eh_frame_sink s = sink;
		struct eh_frame_stats stats = {0};
		uint64_t budget = EH_FRAME_BUDGET;

		p.targets = BUF_INIT(TARGETS_MAX);
		p.added = false;
		while (done < *n)
			collect(&p, o, &ranges[done++]);
		if (p.targets.len) {
			qsort(p.targets.data, p.targets.len / 8, 8, compare);
			s.userdata = &p;
			r = eh_frame_walk(&frames, &s, &budget, &stats);
		}
		buf_done(&p.targets);
	} while (r == 0 && p.added);
	return r == -ENOMEM ? r : 0;
}
