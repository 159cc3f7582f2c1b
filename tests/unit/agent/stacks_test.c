/* SPDX-License-Identifier: Apache-2.0 */
/* Counting stacks: what is the same, how long a stack is kept, what happens over the budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/stacks.h"

static const struct task_id task = {.tgid = 7, .mm = 1};

struct forgotten {
	uint64_t last;
	size_t n;
};

static void forget(void *data, const uint64_t *hashes, size_t n)
{
	struct forgotten *f = data;

	f->last = hashes[n - 1];
	f->n += n;
}

/* A stack of n frames that no other `seed` has. */
static uint64_t add(struct stacks *s, uint64_t seed, size_t n)
{
	uint64_t frames[FRAMES_ROOM], hash;

	for (size_t i = 0; i < n; i++)
		frames[i] = seed << 20 | i;
	hash = stacks_hash(frames, n);
	return stacks_add(s, hash, frames, 0, (uint32_t)n, true) ? hash : 0;
}

static void a_stack_hashes_as_the_kernel_hashes_it(void **state)
{
	const uint64_t frames[] = {0xffffffff81000000, FRAME_OF_FILE(20, 0x1234)};
	uint64_t h = STACK_HASH_SEED;

	/* The kernel mixes frame by frame while it walks. */
	h = stack_hash(h, frames[0]);
	h = stack_hash(h, frames[1]);
	assert_int_equal(stacks_hash(frames, 2), h);
	assert_int_equal(stacks_hash(frames, 0), STACK_HASH_SEED);
	assert_int_not_equal(stacks_hash(frames, 1), h);
	/* Its order counts. */
	assert_int_not_equal(stacks_hash((uint64_t[]){frames[1], frames[0]}, 2), h);
}

static void samples_add_up_by_stack_and_process(void **state)
{
	const struct task_id other = {.tgid = 8, .mm = 1}, after_exec = {.tgid = 7, .mm = 2};
	struct stacks s;
	uint64_t a, b;

	stacks_init(&s, 1 << 20);
	a = add(&s, 1, 5);
	b = add(&s, 2, 5);
	assert_int_equal(stacks_count(&s, a, task, 2), 0);
	assert_int_equal(stacks_count(&s, b, task, 1), 0);
	assert_int_equal(stacks_count(&s, a, other, 5), 0);
	assert_int_equal(stacks_count(&s, a, after_exec, 9), 0);
	assert_int_equal(stacks_count(&s, a, task, 3), 0);
	assert_int_equal(s.n_samples, 4);
	assert_int_equal(s.samples[0].count, 5);
	assert_int_equal(s.samples[0].stack->hash, a);
	assert_int_equal(s.samples[0].stack->n_user, 5);
	assert_int_equal(s.samples[2].count, 5);
	assert_int_equal(s.samples[3].count, 9);
	stacks_done(&s);
}

static void a_stack_that_never_came_is_counted_without_frames(void **state)
{
	struct stacks s;

	stacks_init(&s, 1 << 20);
	assert_int_equal(stacks_count(&s, 12345, task, 3), 0);
	assert_int_equal(s.n_samples, 1);
	assert_null(s.samples[0].stack);
	assert_int_equal(s.samples[0].count, 3);
	stacks_done(&s);
}

static void a_stack_that_came_late_is_given_to_the_samples_before(void **state)
{
	struct stacks s;
	uint64_t a;

	stacks_init(&s, 1 << 20);
	a = stacks_hash((uint64_t[]){1ull << 20, 1ull << 20 | 1}, 2);
	assert_int_equal(stacks_count(&s, a, task, 3), 0);
	assert_null(s.samples[0].stack);
	assert_int_equal(add(&s, 1, 2), a);
	assert_int_equal(stacks_count(&s, a, task, 1), 0);
	assert_int_equal(s.n_samples, 1);
	assert_int_equal(s.samples[0].count, 4);
	assert_non_null(s.samples[0].stack);
	stacks_done(&s);
}

static void adding_a_stack_again_keeps_the_first(void **state)
{
	const uint64_t frames[] = {1, 2};
	const struct stack *first;
	struct stacks s;

	stacks_init(&s, 1 << 20);
	first = stacks_add(&s, 77, frames, 1, 1, true);
	assert_ptr_equal(stacks_add(&s, 77, frames, 0, 2, false), first);
	assert_int_equal(first->n_kernel, 1);
	assert_true(first->complete);
	stacks_done(&s);
}

static void a_stack_stays_some_intervals_without_samples_and_then_goes(void **state)
{
	struct forgotten f = {0};
	struct stacks s;
	uint64_t used, idle;
	int intervals = 0;

	stacks_init(&s, 1 << 20);
	used = add(&s, 1, 10);
	idle = add(&s, 2, 10);
	for (; f.n == 0 && intervals < 10; intervals++) {
		(void)stacks_count(&s, used, task, 1);
		stacks_next_interval(&s, forget, &f);
		assert_int_equal(s.n_samples, 0);
	}
	assert_in_range(intervals, 2, 5);
	assert_int_equal(f.last, idle);
	(void)stacks_count(&s, used, task, 1);
	assert_non_null(s.samples[0].stack);
	stacks_done(&s);
}

static void over_the_budget_only_what_was_counted_stays(void **state)
{
	struct forgotten f = {0};
	struct stacks s;
	uint64_t used = 0;

	stacks_init(&s, 10000);
	for (uint64_t i = 1; i <= 100; i++)
		used = add(&s, i, 100);
	used = add(&s, 1, 100);
	stacks_next_interval(&s, forget, &f);
	(void)stacks_count(&s, used, task, 1);
	stacks_next_interval(&s, forget, &f);
	assert_true(s.bytes <= 10000);
	(void)stacks_count(&s, used, task, 1);
	assert_non_null(s.samples[0].stack);
	assert_int_equal(s.samples[0].stack->hash, used);
	stacks_done(&s);
}

static void all_that_go_are_told_however_many(void **state)
{
	struct forgotten f = {0};
	struct stacks s;

	stacks_init(&s, 1 << 20);
	for (uint64_t i = 1; i <= 1000; i++)
		(void)add(&s, i, 2);
	for (int i = 0; i < 10; i++)
		stacks_next_interval(&s, forget, &f);
	assert_int_equal(f.n, 1000);
	stacks_done(&s);
}

static void ever_new_stacks_do_not_take_more_than_some_budgets(void **state)
{
	struct stacks s;
	size_t kept = 0;

	/* A process whose stacks are all different, all day long, in one interval. */
	stacks_init(&s, 100000);
	for (uint64_t i = 1; i <= 5000; i++)
		kept += add(&s, i, 1000) != 0;
	assert_in_range(s.bytes, 100000, 400000);
	assert_in_range(kept, 12, 50);
	/* What is there already is still found. */
	assert_true(add(&s, 1, 1000) != 0);
	stacks_done(&s);
}

static void ever_new_samples_are_bounded_and_none_is_forgotten(void **state)
{
	const uint64_t n = 2000000;
	uint64_t counted = 0;
	struct stacks s;

	stacks_init(&s, 1 << 20);
	for (uint64_t i = 0; i < n; i++)
		(void)stacks_count(&s, hash_mix(i + 1), task, 1);
	assert_true(s.n_samples < 600000);
	for (size_t i = 0; i < s.n_samples; i++)
		counted += s.samples[i].count;
	assert_int_equal(counted, n);
	/* Ever new processes, too. */
	for (uint32_t i = 0; i < n; i++)
		(void)stacks_count(&s, i + 1, (struct task_id){.tgid = 1000 + i, .mm = i}, 1);
	assert_true(s.n_samples < 600000);
	counted = s.lost;
	for (size_t i = 0; i < s.n_samples; i++)
		counted += s.samples[i].count;
	assert_int_equal(counted, 2 * n);
	stacks_done(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stack_hashes_as_the_kernel_hashes_it),
		cmocka_unit_test(samples_add_up_by_stack_and_process),
		cmocka_unit_test(a_stack_that_never_came_is_counted_without_frames),
		cmocka_unit_test(a_stack_that_came_late_is_given_to_the_samples_before),
		cmocka_unit_test(adding_a_stack_again_keeps_the_first),
		cmocka_unit_test(a_stack_stays_some_intervals_without_samples_and_then_goes),
		cmocka_unit_test(over_the_budget_only_what_was_counted_stays),
		cmocka_unit_test(ever_new_samples_are_bounded_and_none_is_forgotten),
		cmocka_unit_test(all_that_go_are_told_however_many),
		cmocka_unit_test(ever_new_stacks_do_not_take_more_than_some_budgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
