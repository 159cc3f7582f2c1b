/* SPDX-License-Identifier: Apache-2.0 */
/* Reads of a target's memory: bounds, budget, strings that end at the end of what is mapped. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "unwinders/target_memory.h"

#define AT 0x10000u

struct page {
	char bytes[128]; /* at AT; nothing behind it */
	size_t reads;
};

static int read_page(void *data, uint64_t addr, void *to, size_t n)
{
	struct page *p = data;

	p->reads++;
	if (addr - AT >= sizeof(p->bytes) || sizeof(p->bytes) - (addr - AT) < n)
		return -EFAULT;
	memcpy(to, p->bytes + (addr - AT), n);
	return 0;
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
	struct page p = {.bytes = {1, 2, 3, 4, 5, 6, 7, 8}};
	struct target_memory m = {.read = read_page, .data = &p, .budget = 10000};
	uint64_t v;
	uint16_t h;

	assert_int_equal(target_read_u64(&m, AT, &v), 0);
	assert_int_equal(v, 0x0807060504030201);
	assert_int_equal(target_read_u16(&m, AT + 1, &h), 0);
	assert_int_equal(h, 0x0302);
	assert_int_equal(target_read_u64(&m, AT + 121, &v), -EFAULT);
}

static void a_string_ends_where_memory_ends(void **state)
{
	struct page p = {0};
	struct target_memory m = {.read = read_page, .data = &p, .budget = 10000};
	char text[256], small[4];

	memset(p.bytes, 'x', sizeof(p.bytes));
	memcpy(p.bytes + 100, "name", 5);
	assert_int_equal(target_read_str(&m, AT + 100, text, sizeof(text)), 4);
	assert_string_equal(text, "name");
	assert_int_equal(target_read_str(&m, AT + 100, small, sizeof(small)), 3);
	assert_string_equal(small, "nam");
	/* Its end is not there. */
	assert_int_equal(target_read_str(&m, AT + 110, text, sizeof(text)), -EFAULT);
}

static void over_the_budget_nothing_is_read(void **state)
{
	struct page p = {0};
	struct target_memory m = {
		.read = read_page, .data = &p, .budget = 2 * (8 + TARGET_READ_COST)};
	uint64_t v;

	assert_int_equal(target_read_u64(&m, AT, &v), 0);
	assert_int_equal(target_read_u64(&m, AT, &v), 0);
	assert_int_equal(target_read_u64(&m, AT, &v), -E2BIG);
	assert_int_equal(p.reads, 2);
}

/* Two pages at AT; bytes count up, and are others the next time. */
struct held {
	size_t reads;
	uint8_t first;
};

static int read_held(void *data, uint64_t addr, void *to, size_t n)
{
	struct held *h = data;

	h->reads++;
	if (addr < AT || addr + n > AT + 2 * TARGET_PAGE_BYTES)
		return -EFAULT;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = (uint8_t)(h->first + addr + i);
	return 0;
}

static void what_is_held_is_read_once(void **state)
{
	static struct target_pages pages;
	struct held h = {0};
	struct target_memory m = {.read = read_held, .data = &h, .budget = 1 << 20};
	uint8_t v, large[2 * TARGET_PAGE_BYTES];
	uint16_t w;

	target_hold(&m, &pages, 1);
	for (uint32_t i = 0; i < TARGET_PAGE_BYTES; i += 64) {
		assert_int_equal(target_read_u8(&m, AT + i, &v), 0);
		assert_int_equal(v, (uint8_t)i);
	}
	assert_int_equal(h.reads, 1);
	/* Over the end of a page, and of what is mapped. */
	assert_int_equal(target_read_u16(&m, AT + TARGET_PAGE_BYTES - 1, &w), 0);
	assert_int_equal(w, 0x00ff);
	assert_int_equal(h.reads, 2);
	assert_int_equal(target_read_u16(&m, AT + 2 * TARGET_PAGE_BYTES - 1, &w), -EFAULT);
	assert_int_equal(target_read_u8(&m, AT + 2 * TARGET_PAGE_BYTES - 1, &v), 0);
	assert_int_equal(target_read_u8(&m, AT - 1, &v), -EFAULT);
	/* Much is read as it is. */
	assert_int_equal(target_read(&m, AT, large, sizeof(large)), 0);
	target_release(&m);

	h.first = 1;
	assert_int_equal(target_read_u8(&m, AT, &v), 0);
	assert_int_equal(v, 1);
	/* Still there, but not for another process. */
	target_hold(&m, &pages, 1);
	assert_int_equal(target_read_u8(&m, AT, &v), 0);
	assert_int_equal(v, 0);
	target_hold(&m, &pages, 2);
	assert_int_equal(target_read_u8(&m, AT, &v), 0);
	assert_int_equal(v, 1);
	target_release(&m);
	h.first = 2;
	target_forget(&pages);
	target_hold(&m, &pages, 2);
	assert_int_equal(target_read_u8(&m, AT, &v), 0);
	assert_int_equal(v, 2);
	h.first = 3;
	assert_true(target_refresh(&m));
	assert_int_equal(target_read_u8(&m, AT, &v), 0);
	assert_int_equal(v, 3);
	target_release(&m);
	assert_false(target_refresh(&m));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
		cmocka_unit_test(a_string_ends_where_memory_ends),
		cmocka_unit_test(over_the_budget_nothing_is_read),
		cmocka_unit_test(what_is_held_is_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
