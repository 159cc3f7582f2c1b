/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of rows with a real map of the kernel: what is said to be loaded lies there unharmed,
 * what is evicted rests before its memory is used again. Needs CAP_BPF, else it is skipped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/rows_pool.h"

#define SKIP	    77
#define CHUNK_BYTES ((size_t)ROWS_CHUNK_BYTES)
#define WAIT_MS	    20000

struct fixture {
	int map, pool_fd;
	uint8_t *memory; /* the pool, as the kernel would see it */
	size_t n_chunks;
	struct rows_pool *pool;
};

static void setup(struct fixture *f, uint32_t n_chunks, uint32_t max_pages)
{
	struct rows_pool_options o = {.n_chunks = n_chunks, .max_pages = max_pages};

	f->n_chunks = n_chunks;
	f->map = bpf_map_create(BPF_MAP_TYPE_HASH, "pages", sizeof(struct page_key),
				sizeof(struct page_value), max_pages, NULL);
	assert_true(f->map >= 0);
	/* Exactly as large as the pool: what is written behind it is a SIGBUS. */
	f->pool_fd = memfd_create("pool", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->pool_fd, (off_t)(n_chunks * CHUNK_BYTES)), 0);
	f->memory = mmap(NULL, n_chunks * CHUNK_BYTES, PROT_READ, MAP_SHARED, f->pool_fd, 0);
	assert_true(f->memory != MAP_FAILED);
	o.pages_fd = f->map;
	o.pool_fd = f->pool_fd;
	assert_int_equal(rows_pool_new(&o, &f->pool), 0);
}

static void teardown(struct fixture *f)
{
	f->pool = rows_pool_free(f->pool);
	munmap(f->memory, f->n_chunks * CHUNK_BYTES);
	close(f->pool_fd);
	close(f->map);
}

/* A page of any size that holds its number all over. */
static int load(struct fixture *f, uint32_t number, uint32_t bytes)
{
	struct rows_page *page = malloc(bytes);
	int r;

	assert_non_null(page);
	memset(page, (int)(number * 37 % 251 + 1), bytes);
	*page = (struct rows_page){.n_rows = (uint16_t)number, .n_rules = 1, .bytes = bytes};
	r = rows_pool_load(f->pool, number, number * 3, page);
	free(page);
	return r;
}

static bool is_loaded(struct fixture *f, uint32_t number, struct page_value *ret)
{
	struct page_key key = {.file = number, .page = number * 3};

	return bpf_map_lookup_elem(f->map, &key, ret) == 0;
}

static void mark_used(struct fixture *f, uint32_t number)
{
	struct page_key key = {.file = number, .page = number * 3};
	struct page_value v;

	assert_int_equal(bpf_map_lookup_elem(f->map, &key, &v), 0);
	v.used = 1;
	assert_int_equal(bpf_map_update_elem(f->map, &key, &v, BPF_EXIST), 0);
}

static void expect_whole(const struct fixture *f, uint32_t number, const struct page_value *v)
{
	const struct rows_page *page = (const void *)(f->memory + v->offset);
	const uint8_t *bytes = (const uint8_t *)page;

	assert_true(v->offset + sizeof(*page) <= f->n_chunks * CHUNK_BYTES);
	assert_int_equal(v->offset % 8, 0);
	assert_int_equal(v->n_rows, (uint16_t)number);
	assert_int_equal(page->n_rows, (uint16_t)number);
	/* The kernel reads it inside one chunk. */
	assert_int_equal(v->offset / CHUNK_BYTES, (v->offset + page->bytes - 1) / CHUNK_BYTES);
	for (size_t i = sizeof(*page); i < page->bytes; i++)
		assert_int_equal(bytes[i], number * 37 % 251 + 1);
}

static size_t check_all(struct fixture *f, uint32_t n)
{
	struct page_value v;
	size_t loaded = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!is_loaded(f, i, &v))
			continue;
		expect_whole(f, i, &v);
		loaded++;
	}
	return loaded;
}

static void pages_of_all_sizes_do_not_overlap(void **state)
{
	struct rows_pool_stats stats;
	struct fixture f;
	uint32_t n;

	setup(&f, 2, 1024);
	for (n = 0; n < 300; n++) {
		if (load(&f, n, 24 + n * 7919 % 20000 / 8 * 8) < 0)
			break;
	}
	assert_in_range(n, 150, 300);
	rows_pool_get_stats(f.pool, &stats);
	assert_int_equal(stats.loaded, n);
	assert_true(stats.bytes <= 2 * CHUNK_BYTES);
	assert_true(check_all(&f, n) >= n - stats.evicted);
	teardown(&f);
}

static void a_page_that_is_loaded_is_not_loaded_twice(void **state)
{
	struct rows_pool_stats stats;
	struct fixture f;

	setup(&f, 1, 16);
	assert_int_equal(load(&f, 1, 5000), 0);
	assert_int_equal(load(&f, 1, 5000), 0);
	rows_pool_get_stats(f.pool, &stats);
	assert_int_equal(stats.loaded, 1);
	assert_int_equal(stats.pages, 1);
	teardown(&f);
}

static void a_page_as_large_as_a_chunk_fits_and_a_larger_one_never(void **state)
{
	struct page_value v;
	struct fixture f;

	setup(&f, 2, 16);
	assert_int_equal(load(&f, 1, 24), 0);
	assert_int_equal(load(&f, 2, ROWS_CHUNK_BYTES), 0);
	assert_true(is_loaded(&f, 2, &v));
	expect_whole(&f, 2, &v);
	assert_int_equal(load(&f, 3, ROWS_CHUNK_BYTES + 8), -E2BIG);
	assert_int_equal(check_all(&f, 4), 2);
	teardown(&f);
}

static void refused_loads_do_not_empty_the_pool(void **state)
{
	struct rows_pool_stats stats;
	struct fixture f;

	setup(&f, 4, 1024);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(load(&f, i, 65536), 0);
	/* As many samples ask for other pages in the time of a rest. */
	for (uint32_t i = 100; i < 400; i++)
		assert_int_equal(load(&f, i, 65536), -EAGAIN);
	rows_pool_get_stats(f.pool, &stats);
	assert_in_range(stats.evicted, 1, 8);
	assert_int_equal(check_all(&f, 64), 64 - stats.evicted);
	teardown(&f);
}

static void the_pages_of_a_forgotten_file_go_and_no_others(void **state)
{
	struct rows_pool_stats stats;
	struct page_value v;
	struct fixture f;

	setup(&f, 1, 1024);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(load(&f, i, 4096), 0);
	rows_pool_forget(f.pool, 7);
	rows_pool_forget(f.pool, 7);
	rows_pool_forget(f.pool, 1000);
	assert_false(is_loaded(&f, 7, &v));
	rows_pool_get_stats(f.pool, &stats);
	assert_int_equal(stats.pages, 15);
	assert_int_equal(check_all(&f, 16), 15);
	/* It may come again. */
	assert_int_equal(load(&f, 7, 4096), 0);
	assert_int_equal(check_all(&f, 16), 16);
	teardown(&f);
}

static void memory_rests_before_it_is_used_again(void **state)
{
	struct rows_pool_stats stats;
	uint64_t start, rested;
	uint8_t *before;
	struct fixture f;
	int r = -EAGAIN;

	setup(&f, 1, 1024);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(load(&f, i, 65536), 0);
	before = malloc(CHUNK_BYTES);
	assert_non_null(before);
	memcpy(before, f.memory, CHUNK_BYTES);
	start = clock_ms();
	while ((r = load(&f, 100, 65536)) == -EAGAIN && clock_ms() - start < WAIT_MS) {
		/* A program that just found the page may still read it. */
		assert_memory_equal(before, f.memory, CHUNK_BYTES);
		usleep(20000);
	}
	rested = clock_ms() - start;
	assert_int_equal(r, 0);
	assert_in_range(rested, 900, WAIT_MS);
	rows_pool_get_stats(f.pool, &stats);
	assert_in_range(stats.evicted, 1, 2);
	assert_int_equal(check_all(&f, 101), stats.pages);
	free(before);
	teardown(&f);
}

static void what_is_used_gets_a_second_chance(void **state)
{
	struct page_value v;
	struct fixture f;

	setup(&f, 1, 1024);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(load(&f, i, 65536), 0);
	for (uint32_t i = 0; i < 16; i++) {
		if (i != 11)
			mark_used(&f, i);
	}
	assert_int_equal(load(&f, 100, 65536), -EAGAIN);
	assert_false(is_loaded(&f, 11, &v));
	assert_int_equal(check_all(&f, 16), 15);
	teardown(&f);
}

static void when_everything_is_used_something_goes_all_the_same(void **state)
{
	struct fixture f;

	setup(&f, 1, 1024);
	for (uint32_t i = 0; i < 16; i++) {
		assert_int_equal(load(&f, i, 65536), 0);
		mark_used(&f, i);
	}
	assert_int_equal(load(&f, 100, 65536), -EAGAIN);
	assert_int_equal(check_all(&f, 16), 15);
	teardown(&f);
}

static void the_number_of_pages_is_bounded_by_the_map(void **state)
{
	struct rows_pool_stats stats;
	struct fixture f;
	uint32_t n = 0, refused = 0;

	/* 8 pages of 1 KiB: the memory is never the limit. */
	setup(&f, 1, 8);
	for (; n < 100; n++) {
		int r = load(&f, n, 1000);

		assert_true(r == 0 || r == -EAGAIN);
		refused += r < 0;
		rows_pool_get_stats(f.pool, &stats);
		assert_true(stats.pages <= 8);
		assert_int_equal(check_all(&f, n + 1), stats.pages);
	}
	/* Other pages come in, it is not stuck. */
	assert_true(refused < 95);
	teardown(&f);
}

static int has_bpf(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 4, 1, NULL);

	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_all_sizes_do_not_overlap),
		cmocka_unit_test(a_page_that_is_loaded_is_not_loaded_twice),
		cmocka_unit_test(a_page_as_large_as_a_chunk_fits_and_a_larger_one_never),
		cmocka_unit_test(refused_loads_do_not_empty_the_pool),
		cmocka_unit_test(the_pages_of_a_forgotten_file_go_and_no_others),
		cmocka_unit_test(memory_rests_before_it_is_used_again),
		cmocka_unit_test(what_is_used_gets_a_second_chance),
		cmocka_unit_test(when_everything_is_used_something_goes_all_the_same),
		cmocka_unit_test(the_number_of_pages_is_bounded_by_the_map),
	};

	if (!has_bpf()) {
		fprintf(stderr, "skipped: bpf() is not allowed here (CAP_BPF)\n");
		return SKIP;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
