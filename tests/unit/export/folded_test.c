/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/export/folded.h"
#include "tests/unit/export/sample.h"

static void check(const struct profile *p, const struct folded_options *o, const char *want)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(folded_write(p, o, f), 0);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, want);
}

static void one_line_a_stack_from_the_root_to_the_leaf(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();

	check(p, NULL,
	      "web;main;serve;parse 3\n"
	      "web;main;serve;sys_read 1\n"
	      "job;[no unwind rule];libz.so+0x99 1\n");
}

static void options_choose_weight_process_and_marks(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();

	check(p,
	      &(struct folded_options){
		      .no_process = true, .nanoseconds = true, .kernel_suffix = true},
	      "main;serve;parse 30000000\n"
	      "main;serve;sys_read_[k] 10000000\n"
	      "[no unwind rule];libz.so+0x99 10000000\n");
}

static void names_can_not_break_the_format(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	uint32_t process, stack[3];

	assert_int_equal(profile_new(&p), 0);
	process = sample_process(p, 1, "evil;comm\n9");
	stack[0] = sample_location(p, 1, 0, PROFILE_NATIVE, "f(a; b)\r\n x;y 77");
	stack[1] = sample_location(p, 2, 0, PROFILE_NATIVE, "bad\xff");
	stack[2] = sample_location(p, 3, 0, PROFILE_NATIVE, "");
	sample_add(p, process, stack, 3, 2, true);
	check(p, NULL, "evil:comm 9;[unknown];bad\xef\xbf\xbd;f(a: b)   x:y 77 2\n");
}

static void stacks_that_look_equal_are_one_line(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	uint32_t process, a, b;

	assert_int_equal(profile_new(&p), 0);
	process = sample_process(p, 1, "x");
	a = sample_location(p, 0x10, 0, PROFILE_NATIVE, "f");
	b = sample_location(p, 0x20, 0, PROFILE_NATIVE, "f");
	sample_add(p, process, &a, 1, 1, true);
	sample_add(p, process, &b, 1, 1, true);
	sample_add(p, process, NULL, 0, 4, true);
	check(p, NULL, "x 4\nx;f 2\n");
}

static void a_full_disk_is_reported(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	FILE *f = fopen("/dev/full", "we");

	assert_non_null(f);
	(void)setvbuf(f, NULL, _IONBF, 0);
	assert_true(folded_write(p, NULL, f) < 0);
	(void)fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_a_stack_from_the_root_to_the_leaf),
		cmocka_unit_test(options_choose_weight_process_and_marks),
		cmocka_unit_test(names_can_not_break_the_format),
		cmocka_unit_test(stacks_that_look_equal_are_one_line),
		cmocka_unit_test(a_full_disk_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
