/* SPDX-License-Identifier: Apache-2.0 */
/* From an ELF file to the two sections of its table: sources in order of trust, then pages. */
#include "unwinders/rows.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"
#include "unwinders/code_rows.h"
#include "unwinders/eh_frame.h"
#include "unwinders/go_rows.h"
#include "unwinders/row_list.h"
#include "unwinders/rows_page.h"
#include "unwinders/x86_insn.h"

struct build {
	struct objfile *o; /* borrowed */
	struct row_list list;
	struct rows_stats *stats;	    /* borrowed */
	const struct rows_options *options; /* borrowed */
	const struct cfi_machine *machine;
	const struct objfile_segment *segments; /* borrowed */
	size_t n_segments;
	/* The function that is being read: */
	uint64_t delta; /* vaddr - file offset */
	bool open;
};

static void build_done(struct build *b)
{
	row_list_done(&b->list);
}

/* ---- call frame information ---- */

static int end_function(struct build *b)
{
	bool open = b->open;

	b->open = false;
	return open ? row_list_end(&b->list) : 0;
}

static int on_function(uint64_t start, uint64_t end, void *userdata)
{
	struct build *b = userdata;
	int r = end_function(b);

	if (r < 0)
		return r;
	for (size_t i = 0; i < b->n_segments; i++) {
		const struct objfile_segment *s = &b->segments[i];

		if (s->type != PT_LOAD || !(s->flags & PF_X) || start < s->vaddr ||
		    start - s->vaddr >= s->filesz)
			continue;
		b->delta = s->vaddr - s->offset;
		end = MIN(end, s->vaddr + s->filesz);
		row_list_begin(&b->list, start - b->delta, end - b->delta);
		b->open = true;
		return 1;
	}
	/* Functions that the linker dropped are left behind at address 0. */
	return 0;
}

static bool in_loop(const struct build *b, uint64_t at)
{
	for (size_t i = 0; i < b->options->n_loops; i++) {
		if (at - b->options->loops[i].start <
		    b->options->loops[i].end - b->options->loops[i].start)
			return true;
	}
	return false;
}

static int on_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	struct build *b = userdata;
	enum cfi_reason reason;
	uint64_t rule = cfi_rule(b->machine, row, &reason);

	b->stats->reasons[reason]++;
	if (RULE_KIND(rule) == RULE_CFA && in_loop(b, at))
		rule ^= RULE_CFA ^ RULE_LOOP;
	return row_list_add(&b->list, at - b->delta, rule);
}

static int add_cfi(struct build *b, const struct eh_frame *e, uint64_t *budget)
{
	struct eh_frame_sink sink = {.function = on_function, .row = on_row, .userdata = b};
	struct eh_frame_stats s = {0};
	int r = eh_frame_walk(e, &sink, budget, &s);

	b->stats->functions += s.functions;
	b->stats->bad += s.bad;
	r = r < 0 ? r : end_function(b);
	return r < 0 ? r : row_list_seal(&b->list);
}

static int add_all_cfi(struct build *b)
{
	uint64_t budget = EH_FRAME_BUDGET;
	struct eh_frame e;
	int r = 0;

	if (eh_frame_find(b->o, &e) == 0)
		r = add_cfi(b, &e, &budget);
	if (r == 0 && eh_frame_find_debug(b->o, &e) == 0)
		r = add_cfi(b, &e, &budget);
	return r;
}

/* ---- pages ---- */

/* Alignment between two functions; a rule there is never asked for, so the one before may stay. */
#define PADDING_MAX 63

static bool gap_is_padding(const struct build *b, uint64_t start, uint64_t end)
{
	if (end - start > PADDING_MAX)
		return false;
	for (size_t i = 0; i < b->n_segments; i++) {
		const struct objfile_segment *s = &b->segments[i];
		const uint8_t *p;

		if (s->type != PT_LOAD || !(s->flags & PF_X) || start < s->offset ||
		    end - s->offset > s->filesz)
			continue;
		p = objfile_at_vaddr(b->o, s->vaddr + (start - s->offset), end - start);
		return p && x86_is_padding(p, end - start);
	}
	return false;
}

static int write_pages(struct build *b, struct table_writer *w)
{
	const struct row_block *blocks = row_list_blocks(&b->list);
	_cleanup_(rows_pager_freep) struct rows_pager *p = rows_pager_new(
		w, (const uint64_t *)b->list.rules.data, row_list_n_rules(&b->list), b->stats);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < b->list.n_sealed; i++) {
		uint64_t end = blocks[i].end;
		bool last = i + 1 == b->list.n_sealed;

		rows_pager_add_block(p, &b->list, &blocks[i]);
		if (last ||
		    (blocks[i + 1].start != end && !gap_is_padding(b, end, blocks[i + 1].start)))
			rows_pager_add(p, end, 0);
	}
	b->stats->rules = (uint32_t)row_list_n_rules(&b->list);
	return rows_pager_finish(p);
}

static int add_x86(struct build *b)
{
	int r = code_rows_add_plt(b->o, &b->list, b->stats);

	r = r < 0 ? r : code_rows_add_restorers(b->o, &b->list, b->stats);
	return r < 0 ? r : code_rows_add_analysed(b->o, &b->list, b->stats);
}

static void count_code(struct build *b)
{
	struct code_range c;
	struct code_ranges ranges = {0};

	while (code_next_range(b->o, &ranges, &c))
		b->stats->code_bytes += c.bytes;
}

int rows_write_with(struct objfile *o, struct table_writer *w, const struct rows_options *options,
		    uint32_t *ret_flags)
{
	struct rows_stats unused = {0};
	_cleanup_(build_done) struct build b = {
		.o = o,
		.stats = options->stats ? options->stats : &unused,
		.options = options,
		.machine = cfi_machine(objfile_machine(o)),
	};
	int r;

	if (!b.machine)
		return -EOPNOTSUPP;
	row_list_init(&b.list);
	b.segments = objfile_segments(o, &b.n_segments);
	r = go_rows_add(o, &b.list);
	if (r == -ENOMEM || r == -E2BIG)
		return r;
	b.stats->go_functions = r > 0 ? (uint32_t)r : 0;
	r = add_all_cfi(&b);
	if (r == 0 && objfile_machine(o) == EM_X86_64)
		r = add_x86(&b);
	if (r < 0)
		return r;
	count_code(&b);
	/* Stubs alone are no unwind information: frame pointers have to do, everywhere in the file.
	 */
	if (r > 0 && !b.stats->functions && !b.stats->go_functions)
		return 0;
	r = write_pages(&b, w);
	if (r == 0 && b.stats->pages)
		*ret_flags |= TABLE_HAS_ROWS;
	return r;
}

int rows_write(struct objfile *o, struct table_writer *w, uint32_t *ret_flags)
{
	const struct rows_options none = {0};

	return rows_write_with(o, w, &none, ret_flags);
}
