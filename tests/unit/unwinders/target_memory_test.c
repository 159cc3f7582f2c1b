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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
		cmocka_unit_test(a_string_ends_where_memory_ends),
		cmocka_unit_test(over_the_budget_nothing_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
