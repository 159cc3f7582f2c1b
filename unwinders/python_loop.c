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

/* ---- Where no frame is linked ---- */

/* mov %reg, member(%base), 8 bytes; the base is not rsp. */
static bool is_member_store(const uint8_t *p, unsigned int bytes, unsigned int member)
{
	bool r12 = (p[0] & 1) && (p[2] & 7) == 4 && p[3] == 0x24;

	if ((p[0] & 0xfa) != 0x48 || p[1] != 0x89 || p[2] >> 6 != 1)
		return false;
	return (p[2] & 7) == 4 ? r12 && bytes == 5 && p[4] == member : bytes == 4 && p[3] == member;
}

struct gaps {
	struct objfile *o;	       /* borrowed */
	const struct rows_range *loop; /* borrowed */
	struct python_gap *to;
	size_t n;
};

static void add_gap(struct gaps *g, uint64_t start, uint64_t end)
{
	uint64_t offset;

	if (g->n < PYTHON_GAPS && end > start &&
	    objfile_vaddr_to_offset(g->o, start, &offset) == 0 && offset <= UINT32_MAX)
		g->to[g->n++] = (struct python_gap){(uint32_t)offset, (uint32_t)(end - start)};
}

#define TAIL_INSNS 40
#define TAIL_POPS  5

/* Does the code from here on leave the function? Then it is a gap; it may jump to its end once. */
static bool add_tail(struct gaps *g, const uint8_t *code, uint64_t from, int jumps)
{
	uint64_t at = from, end = g->loop->end;
	int pops = 0;

	for (int i = 0; i < TAIL_INSNS && at >= g->loop->start && at < end; i++) {
		struct x86_insn insn;

		if (!x86_insn_decode(code + (at - g->loop->start), end - at, &insn))
			return false;
		pops += insn.op == X86_POP;
		if (insn.op == X86_JMP && pops < TAIL_POPS) {
			if (!jumps || !add_tail(g, code, at + (uint64_t)insn.value, jumps - 1))
				return false;
			add_gap(g, from, at + insn.bytes);
			return true;
		}
		at += insn.bytes;
		if (insn.op == X86_RET || insn.op == X86_JMP) {
			if (pops >= TAIL_POPS)
				add_gap(g, from, at);
			return pops >= TAIL_POPS;
		}
		if (insn.op == X86_JMP_INDIRECT || insn.op == X86_TRAP)
			return false;
	}
	return false;
}

void python_loop_gaps(struct objfile *o, const struct rows_range *loop, unsigned int member,
		      struct python_gap ret[PYTHON_GAPS])
{
	struct gaps g = {.o = o, .loop = loop, .to = ret};
	const uint8_t *code = objfile_at_vaddr(o, loop->start, loop->end - loop->start);
	uint64_t at = loop->start;

	if (!code || objfile_machine(o) != EM_X86_64)
		return;
	while (at < loop->end) {
		const uint8_t *p = code + (at - loop->start);
		struct x86_insn insn;

		if (!x86_insn_decode(p, loop->end - at, &insn)) {
			at++;
			continue;
		}
		if (insn.bytes >= 4 && is_member_store(p, insn.bytes, member)) {
			if (g.n == 0)
				add_gap(&g, loop->start, at + 1);
			else
				(void)add_tail(&g, code, at + insn.bytes, 1);
		}
		at += insn.bytes;
	}
}
