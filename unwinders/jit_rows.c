/* SPDX-License-Identifier: Apache-2.0 */
/* From registered frames to pages: twice over the functions, for where they begin comes first. */
#include "unwinders/jit_rows.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "symbolizer/objfile.h"
#include "symbolizer/table.h"
#include "unwinders/row_list.h"
#include "unwinders/rows_page.h"

/* How far code may lie below what was made last, and then all of it apart. */
#define REACH (FILE_OFFSET_MASK / 2 - ROWS_PAGE_SIZE)
/* Nothing is mapped below (vm.mmap_min_addr): what says so was not relocated. */
#define LOWEST_CODE 65536
/* No compiler makes functions of more: each takes a page of rows for every 64 KiB. */
#define FUNCTION_BYTES_MAX (64u << 20)
/* Older sources are sealed together when there are many: each time costs a look at all. */
#define SEAL_SHARE 64

struct build {
	struct row_list list;
	struct rows_stats stats;
	const struct jit_rows_source *source; /* borrowed: what is being read */
	const struct cfi_machine *machine;
	uint64_t start, end; /* of all code that is taken */
	uint64_t newest;     /* 0: none was met */
	bool open;
};

static void build_done(struct build *b)
{
	row_list_done(&b->list);
}

/* ---- sources ---- */

static void take_range(struct jit_rows_source *s, uint64_t start, uint64_t bytes)
{
	if (!start || !bytes || bytes > UINT64_MAX - start)
		return;
	s->start = MIN(s->start, start);
	s->end = MAX(s->end, start + bytes);
}

static void find_code(struct objfile *o, struct jit_rows_source *ret)
{
	const struct objfile_segment *segments;
	size_t n;

	ret->start = UINT64_MAX;
	ret->end = 0;
	for (uint32_t i = 0; i < objfile_section_count(o); i++) {
		struct objfile_section s;

		if (objfile_section_header(o, i, &s) == 0 && s.flags & SHF_EXECINSTR)
			take_range(ret, s.addr, s.size);
	}
	segments = objfile_segments(o, &n);
	for (size_t i = 0; i < n; i++) {
		if (segments[i].type == PT_LOAD && segments[i].flags & PF_X)
			take_range(ret, segments[i].vaddr, segments[i].memsz);
	}
}

size_t jit_rows_sources(struct objfile *o, struct jit_rows_source ret[2])
{
	struct jit_rows_source code;
	size_t n = 0;

	find_code(o, &code);
	if (code.start >= code.end)
		return 0;
	ret[0] = ret[1] = code;
	n += eh_frame_find(o, &ret[n].frames) == 0;
	n += eh_frame_find_debug(o, &ret[n].frames) == 0;
	return n;
}

struct jit_rows_source jit_rows_source_of(const uint8_t *data, size_t bytes, uint64_t vaddr)
{
#ifdef __aarch64__
	const uint16_t machine = EM_AARCH64;
#else
	const uint16_t machine = EM_X86_64;
#endif

	return (struct jit_rows_source){
		.frames = {.data = data,
			   .bytes = bytes,
			   .vaddr = vaddr,
			   .machine = machine,
			   .open_ended = true},
		.start = LOWEST_CODE,
		.end = UINT64_MAX,
	};
}

/* ---- where the code is ---- */

static bool is_believed(const struct build *b, uint64_t start, uint64_t end)
{
	return start - b->source->start < b->source->end - b->source->start &&
	       end - start <= FUNCTION_BYTES_MAX;
}

static int on_place(uint64_t start, uint64_t end, void *userdata)
{
	struct build *b = userdata;

	if (!is_believed(b, start, end))
		return 0;
	if (!b->newest) {
		b->newest = b->start = start;
		b->end = end;
	}
	if (start < b->start && b->newest - start < REACH)
		b->start = start;
	if (end > b->end && end - b->newest < REACH)
		b->end = end;
	return 0;
}

static int on_no_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	return 0;
}

/* ---- rows ---- */

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

	if (r < 0 || !is_believed(b, start, end) || start < b->start || start >= b->end)
		return r;
	row_list_begin(&b->list, start - b->start, MIN(end, b->end) - b->start);
	b->open = true;
	return 1;
}

static int on_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	struct build *b = userdata;
	enum cfi_reason reason;

	return row_list_add(&b->list, at - b->start, cfi_rule(b->machine, row, &reason));
}

static int walk(struct build *b, const struct jit_rows_source *s, const struct eh_frame_sink *sink,
		uint64_t *budget)
{
	struct eh_frame_stats stats = {0};

	b->source = s;
	b->machine = cfi_machine(s->frames.machine);
	return b->machine ? eh_frame_walk(&s->frames, sink, budget, &stats) : 0;
}

static int collect(struct build *b, const struct jit_rows_source *v, size_t n)
{
	struct eh_frame_sink places = {.function = on_place, .row = on_no_row, .userdata = b};
	struct eh_frame_sink rows = {.function = on_function, .row = on_row, .userdata = b};
	uint64_t budget = EH_FRAME_BUDGET;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = walk(b, &v[i], &places, &budget);
	/* Offsets in a page of rows are those of the address. */
	b->start &= ~(uint64_t)(ROWS_PAGE_SIZE - 1);
	for (size_t i = 0; i < n && r == 0 && b->newest; i++) {
		size_t fresh;

		r = walk(b, &v[i], &rows, &budget);
		r = r < 0 ? r : end_function(b);
		fresh = b->list.blocks.len / sizeof(struct row_block) - b->list.n_sealed;
		if (r == 0 && (fresh >= b->list.n_sealed / SEAL_SHARE || i + 1 == n))
			r = row_list_seal(&b->list);
	}
	return r;
}

static int write_pages(struct build *b, struct table_writer *w)
{
	const struct row_block *blocks = row_list_blocks(&b->list);
	_cleanup_(rows_pager_freep) struct rows_pager *p = rows_pager_new(
		w, (const uint64_t *)b->list.rules.data, row_list_n_rules(&b->list), &b->stats);

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < b->list.n_sealed; i++) {
		rows_pager_add_block(p, &b->list, &blocks[i]);
		if (i + 1 == b->list.n_sealed || blocks[i + 1].start != blocks[i].end)
			rows_pager_add(p, blocks[i].end, 0);
	}
	return rows_pager_finish(p);
}

int jit_rows_write(const struct jit_rows_source *v, size_t n, struct table_writer *w)
{
	_cleanup_(build_done) struct build b = {0};
	struct jit_rows_info info;
	uint64_t *rules;
	int r;

	row_list_init(&b.list);
	if (b.list.rules.failed)
		return b.list.rules.failed;
	rules = (uint64_t *)b.list.rules.data;
	rules[0] = RULE_FP_GUESS;
	r = collect(&b, v, n);
	if (r < 0)
		return r;
	if (!b.list.n_sealed)
		return -ENODATA;
	info = (struct jit_rows_info){.start = b.start, .size = b.end - b.start};
	r = write_pages(&b, w);
	if (r == 0)
		buf_add(&w->sections[TABLE_CODE_ROWS], &info, sizeof(info));
	return r < 0 ? r : w->sections[TABLE_CODE_ROWS].failed;
}

/* ---- reading ---- */

int jit_rows_get(const struct table *t, struct jit_rows_info *ret)
{
	size_t bytes;
	const void *p = table_section(t, TABLE_CODE_ROWS, &bytes);

	if (!p)
		return -ENODATA;
	if (bytes != sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, p, sizeof(*ret));
	return ret->size && ret->size <= FILE_OFFSET_MASK && !(ret->start & (ROWS_PAGE_SIZE - 1))
		       ? 0
		       : -EBADMSG;
}
