/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, pages and tables of rows; the rows of real files are judged by rows_step. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "symbolizer/objfile.h"
#include "unwinders/row_list.h"
#include "unwinders/rows_page.h"

#define CFA(n) RULE_BASE(RULE_CFA, DWARF_RSP, n)

/* ---- lists ---- */

static uint64_t first_rule(const struct row_list *l, size_t block)
{
	const struct row_block *b = &row_list_blocks(l)[block];
	uint64_t row = ((const uint64_t *)l->rows.data)[b->first];

	return row_list_rule(l, (uint32_t)(row & ((1u << ROW_LIST_RULE_BITS) - 1)));
}

static void an_earlier_source_keeps_its_bytes(void **state)
{
	_cleanup_(row_list_done) struct row_list l;
	const struct row_block *b;

	row_list_init(&l);
	assert_int_equal(row_list_block(&l, 300, 400, CFA(2)), 0);
	assert_int_equal(row_list_block(&l, 100, 200, CFA(1)), 0);
	assert_int_equal(row_list_seal(&l), 0);
	assert_int_equal(row_list_block(&l, 50, 500, CFA(3)), 0);
	assert_int_equal(row_list_seal(&l), 0);
	b = row_list_blocks(&l);
	assert_int_equal(l.n_sealed, 5);
	assert_int_equal(b[0].start, 50);
	assert_int_equal(b[0].end, 100);
	assert_int_equal(first_rule(&l, 1), CFA(1));
	assert_int_equal(b[2].start, 200);
	assert_int_equal(b[2].end, 300);
	assert_int_equal(first_rule(&l, 3), CFA(2));
	assert_int_equal(b[4].end, 500);
	assert_true(row_list_covers(&l, 499));
	assert_false(row_list_covers(&l, 500));
}

static void of_two_overlapping_functions_the_first_wins(void **state)
{
	_cleanup_(row_list_done) struct row_list l;

	row_list_init(&l);
	assert_int_equal(row_list_block(&l, 150, 250, CFA(2)), 0);
	assert_int_equal(row_list_block(&l, 100, 200, CFA(1)), 0);
	assert_int_equal(row_list_block(&l, 110, 120, CFA(3)), 0);
	assert_int_equal(row_list_seal(&l), 0);
	assert_int_equal(l.n_sealed, 2);
	assert_int_equal(row_list_blocks(&l)[1].start, 200);
	assert_int_equal(row_list_blocks(&l)[1].end, 250);
}

static void gaps_are_what_no_block_covers(void **state)
{
	_cleanup_(row_list_done) struct row_list l;
	uint64_t start = 0, end;
	size_t block = 0;

	row_list_init(&l);
	assert_int_equal(row_list_block(&l, 100, 200, CFA(1)), 0);
	assert_int_equal(row_list_block(&l, 200, 250, CFA(1)), 0);
	assert_int_equal(row_list_seal(&l), 0);
	assert_true(row_list_gap(&l, &block, &start, 300, &end));
	assert_int_equal(end, 100);
	start = end;
	assert_true(row_list_gap(&l, &block, &start, 300, &end));
	assert_int_equal(start, 250);
	assert_int_equal(end, 300);
	start = end;
	assert_false(row_list_gap(&l, &block, &start, 300, &end));
}

/* ---- pages ---- */

struct fixture {
	struct table_writer w;
	struct table *t;
	struct rows_stats stats;
	_Alignas(8) uint8_t copy[65536];
	int fd;
};

static int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	table_writer_init(&f->w, 1 << 24);
	*state = f;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *f = *state;

	(void)table_free(f->t);
	table_writer_done(&f->w);
	free(f);
	return 0;
}

static void finish(struct fixture *f)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);

	assert_int_equal(table_write(&f->w, fd), 0);
	assert_int_equal(table_open(fd, true, &f->t), 0);
}

static uint64_t lookup(struct fixture *f, uint64_t offset)
{
	size_t bytes;
	const struct rows_page *p = rows_page_get(f->t, offset >> ROWS_PAGE_SHIFT, &bytes);

	return p ? rows_lookup(p, (uint16_t)offset) : UINT64_MAX;
}

static void a_rule_holds_until_the_next_row_across_pages(void **state)
{
	struct fixture *f = *state;
	const uint64_t rules[] = {RULE_INVALID, CFA(1), CFA(2)};
	_cleanup_(rows_pager_freep) struct rows_pager *p =
		rows_pager_new(&f->w, rules, 3, &f->stats);

	rows_pager_add(p, 0x10010, 1);
	rows_pager_add(p, 0x10020, 2);
	rows_pager_add(p, 0x40000, 1);
	rows_pager_add(p, 0x40008, 0);
	assert_int_equal(rows_pager_finish(p), 0);
	finish(f);
	assert_int_equal(lookup(f, 0xffff), UINT64_MAX);
	assert_int_equal(lookup(f, 0x10000), RULE_INVALID);
	assert_int_equal(lookup(f, 0x1000f), RULE_INVALID);
	assert_int_equal(lookup(f, 0x10010), CFA(1));
	assert_int_equal(lookup(f, 0x1001f), CFA(1));
	assert_int_equal(lookup(f, 0x10020), CFA(2));
	assert_int_equal(lookup(f, 0x2ffff), CFA(2));
	assert_int_equal(lookup(f, 0x3ffff), CFA(2));
	assert_int_equal(lookup(f, 0x40007), CFA(1));
	assert_int_equal(lookup(f, 0x40008), RULE_INVALID);
	assert_int_equal(lookup(f, 0x50000), UINT64_MAX);
	assert_int_equal(f->stats.pages, 4);
}

static void a_page_with_too_many_rows_ends_unknown(void **state)
{
	struct fixture *f = *state;
	const uint64_t rules[] = {RULE_INVALID, CFA(1), CFA(2)};
	_cleanup_(rows_pager_freep) struct rows_pager *p =
		rows_pager_new(&f->w, rules, 3, &f->stats);

	for (uint32_t i = 0; i < 20000; i++)
		rows_pager_add(p, i, 1 + i % 2);
	rows_pager_add(p, 0x10000, 1);
	rows_pager_add(p, 0x10004, 0);
	assert_int_equal(rows_pager_finish(p), 0);
	finish(f);
	assert_int_equal(lookup(f, ROWS_MAX - 2), CFA(1 + (ROWS_MAX - 2) % 2));
	assert_int_equal(lookup(f, ROWS_MAX - 1), RULE_INVALID);
	assert_int_equal(lookup(f, 19999), RULE_INVALID);
	assert_int_equal(lookup(f, 0x10000), CFA(1));
}

/* Whatever one byte becomes: the page is refused, or it can be read without leaving it. */
static void a_damaged_page_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	const uint64_t rules[] = {RULE_INVALID, CFA(1), CFA(2)};
	_cleanup_(rows_pager_freep) struct rows_pager *p =
		rows_pager_new(&f->w, rules, 3, &f->stats);
	struct table fake;
	struct table_header h = {0};
	size_t index_at = 4096, refused = 0, bytes, n;

	rows_pager_add(p, 16, 1);
	rows_pager_add(p, 24, 2);
	rows_pager_add(p, 32, 0);
	assert_int_equal(rows_pager_finish(p), 0);
	n = f->w.sections[TABLE_ROWS].len;
	h.sections[TABLE_ROWS].bytes = n;
	h.sections[TABLE_ROWS_INDEX].offset = index_at;
	h.sections[TABLE_ROWS_INDEX].bytes = f->w.sections[TABLE_ROWS_INDEX].len;
	memcpy(f->copy + index_at, f->w.sections[TABLE_ROWS_INDEX].data,
	       f->w.sections[TABLE_ROWS_INDEX].len);
	fake = (struct table){.data = f->copy + 8, .bytes = sizeof(f->copy) - 8, .header = &h};
	fake.data = f->copy;
	/* offset 0 would mean that the section is absent */
	h.sections[TABLE_ROWS].offset = 8192;
	for (size_t i = 0; i < n; i++) {
		for (unsigned int v = 0; v < 256; v++) {
			const struct rows_page *page;

			memcpy(f->copy + 8192, f->w.sections[TABLE_ROWS].data, n);
			f->copy[8192 + i] = (uint8_t)v;
			page = rows_page_get(&fake, 0, &bytes);
			if (!page) {
				refused++;
				continue;
			}
			assert_true(bytes <= n);
			for (unsigned int at = 0; at < 65536; at += 977)
				(void)rows_lookup(page, (uint16_t)at);
		}
	}
	assert_true(refused > 1000);
}

static void an_empty_page_answers_everything_with_its_rule(void **state)
{
	_Alignas(8) uint8_t page[ROWS_EMPTY_PAGE_BYTES];
	const struct rows_page *p = (const struct rows_page *)page;

	rows_empty_page(page, RULE_FP);
	assert_int_equal(p->bytes, sizeof(page));
	assert_int_equal(rows_lookup(p, 0), RULE_FP);
	assert_int_equal(rows_lookup(p, 65535), RULE_FP);
}

/* ---- files ---- */

static int write_file(struct fixture *f, const char *path, uint32_t *flags)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	const struct rows_options options = {.stats = &f->stats};
	int r = objfile_open(fd, &o);

	return r < 0 ? r : rows_write_with(o, &f->w, &options, flags);
}

static void this_program_is_covered_from_end_to_end(void **state)
{
	struct fixture *f = *state;
	uint32_t flags = 0;

	assert_int_equal(write_file(f, "/proc/self/exe", &flags), 0);
	assert_true(flags & TABLE_HAS_ROWS);
	assert_true(f->stats.functions > 50);
	assert_int_equal(f->stats.bad, 0);
	/* the rest is padding that has no neighbour */
	assert_true(f->stats.covered_bytes * 1000 > f->stats.code_bytes * 995);
	assert_int_equal(f->stats.kinds[RULE_END], 1);
}

static void the_c_library_has_signals_and_ends(void **state)
{
	struct fixture *f = *state;
	uint32_t flags = 0;
	int r = write_file(f, "/lib/x86_64-linux-gnu/libc.so.6", &flags);

	if (r == -EBADF)
		skip();
	assert_int_equal(r, 0);
	assert_true(f->stats.kinds[RULE_SIGNAL] >= 1);
	assert_true(f->stats.kinds[RULE_END] >= 1);
	assert_true(f->stats.kinds[RULE_RA_REG] >= 1);
	assert_true(f->stats.reasons[CFI_RETURN_ADDRESS] <= 2);
	assert_true(f->stats.covered_bytes * 1000 > f->stats.code_bytes * 999);
}

static void a_damaged_file_is_no_danger(void **state)
{
	struct fixture *f = *state;
	static uint8_t image[1 << 20];
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, image, sizeof(image));
	uint32_t seed = 1;

	assert_true(n > 1000);
	for (unsigned int round = 0; round < 30; round++) {
		_cleanup_(objfile_freep) struct objfile *o = NULL;
		uint32_t flags = 0;

		for (unsigned int i = 0; i < 64; i++) {
			seed = seed * 1664525 + 1013904223;
			image[(seed >> 4) % (size_t)n] ^= (uint8_t)(seed >> 24);
		}
		memcpy(image, "\177ELF\2\1\1", 7);
		if (objfile_open_memory(image, (size_t)n, &o) == 0)
			(void)rows_write(o, &f->w, &flags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_earlier_source_keeps_its_bytes),
		cmocka_unit_test(of_two_overlapping_functions_the_first_wins),
		cmocka_unit_test(gaps_are_what_no_block_covers),
		cmocka_unit_test_setup_teardown(a_rule_holds_until_the_next_row_across_pages,
						fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(a_page_with_too_many_rows_ends_unknown,
						fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(a_damaged_page_is_refused_or_harmless, fixture_open,
						fixture_close),
		cmocka_unit_test(an_empty_page_answers_everything_with_its_rule),
		cmocka_unit_test_setup_teardown(this_program_is_covered_from_end_to_end,
						fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(the_c_library_has_signals_and_ends, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_no_danger, fixture_open,
						fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
