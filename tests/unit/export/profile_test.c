/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "tests/unit/export/sample.h"

static void same_content_gives_the_same_index(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	size_t mappings = p->n_mappings, functions = p->n_functions, locations = p->n_locations;
	struct profile_line line = sample_line(p, "main", "", 0);

	assert_int_equal(sample_mapping(p, "/usr/bin/web", "abcd"), 1);
	assert_int_equal(sample_mapping(p, "/usr/bin/web", "other"), mappings + 1);
	assert_int_equal(p->n_functions, functions);
	assert_int_equal(profile_add_location(p, 0x1100, 1, PROFILE_NATIVE, true, &line, 1), 0);
	assert_int_equal(p->n_locations, locations);
	assert_int_equal(profile_add_location(p, 0x1100, 1, PROFILE_JIT, true, &line, 1),
			 locations);
}

static void the_same_stack_of_a_process_is_one_sample(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	const struct profile_sample *s = &p->samples[0];
	uint32_t stack[2] = {p->stack_locations[s->first], p->stack_locations[s->first + 1]};
	size_t samples = p->n_samples, stacks = p->n_stack_locations;

	sample_add(p, s->process, stack, 2, 5, true);
	assert_int_equal(p->n_samples, samples);
	assert_int_equal(p->samples[0].count, 8);
	assert_int_equal(p->samples[0].value, 8 * SAMPLE_PERIOD);
	/* Another process has a sample of its own, but shares the run of locations. */
	sample_add(p, 1, stack, 2, 1, true);
	assert_int_equal(p->n_samples, samples + 1);
	assert_int_equal(p->n_stack_locations, stacks);
	assert_int_equal(p->samples[samples].first, p->samples[0].first);
	/* A stack that was cut is not one that is complete. */
	sample_add(p, 1, stack, 2, 1, false);
	assert_int_equal(p->n_samples, samples + 2);
	/* The longer stack with the same beginning is another one. */
	sample_add(p, 0, stack, 1, 1, true);
	assert_int_equal(p->n_samples, samples + 3);
}

static void indices_that_do_not_exist_are_refused(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	struct profile_line line = {.function = (uint32_t)p->n_functions};
	uint32_t bad = (uint32_t)p->n_locations;

	assert_int_equal(profile_add_location(p, 0, 0, PROFILE_NATIVE, true, &line, 1), -EINVAL);
	line.function = 0;
	assert_int_equal(profile_add_location(p, 0, 9, PROFILE_NATIVE, true, &line, 1), -EINVAL);
	assert_int_equal(profile_add_location(p, 0, 0, PROFILE_NATIVE, true, &line, 0), -EINVAL);
	assert_int_equal(profile_add_location(p, 0, 0, PROFILE_NATIVE, true, &line, 70000), -E2BIG);
	assert_int_equal(profile_add_sample(p, 0, &bad, 1, 1, 1, true), -EINVAL);
	assert_int_equal(profile_add_sample(p, 9, NULL, 0, 1, 1, true), -EINVAL);
	assert_int_equal(profile_add_sample(p, 0, &bad, (size_t)1 << 40, 1, 1, true), -E2BIG);
}

static void totals_count_samples_stacks_and_named_frames(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	struct profile_totals t;

	profile_sum(p, &t);
	assert_int_equal(t.count, 5);
	assert_int_equal(t.value, 5 * SAMPLE_PERIOD);
	assert_int_equal(t.complete, 4);
	/* 3 x (parse, serve, main), 1 x (sys_read, serve, main), 1 x libz.so+0x99 */
	assert_int_equal(t.frames, 13);
	assert_int_equal(t.named_frames, 12);
}

static void sums_saturate_instead_of_wrapping(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	struct profile_totals t;

	assert_int_equal(profile_add_sample(p, 0, NULL, 0, UINT64_MAX - 1, 1, true), 0);
	assert_int_equal(profile_add_sample(p, 0, NULL, 0, 1000, 1, true), 0);
	profile_sum(p, &t);
	assert_true(t.value == UINT64_MAX);
	assert_int_equal(t.count, 7);
}

/* 50,000 distinct stacks of 40 frames: what a minute of a busy host may be. */
static void a_large_profile_stays_lean(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	uint32_t locations[500], stack[40], process;
	size_t bytes;

	assert_int_equal(profile_new(&p), 0);
	process = sample_process(p, 1, "big");
	for (uint32_t i = 0; i < 500; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "function_%u", i);
		locations[i] = sample_location(p, i, 0, PROFILE_NATIVE, name);
	}
	for (uint32_t i = 0; i < 50000; i++) {
		for (uint32_t j = 0; j < 40; j++)
			stack[j] = locations[(i * 7919u + j * j * (i % 13)) % 500];
		stack[0] = locations[i % 500];
		stack[1] = locations[i / 500];
		sample_add(p, process, stack, 40, 1, true);
	}
	assert_int_equal(p->n_samples, 50000);
	bytes = 65536 * sizeof(*p->samples) + 2097152 * sizeof(*p->stack_locations) +
		p->stack_ids.cap * sizeof(struct hash_slot);
	assert_int_equal(p->n_stack_locations, 2000000);
	assert_true(bytes < 16u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_content_gives_the_same_index),
		cmocka_unit_test(the_same_stack_of_a_process_is_one_sample),
		cmocka_unit_test(indices_that_do_not_exist_are_refused),
		cmocka_unit_test(totals_count_samples_stacks_and_named_frames),
		cmocka_unit_test(sums_saturate_instead_of_wrapping),
		cmocka_unit_test(a_large_profile_stays_lean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
