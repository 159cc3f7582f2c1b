/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of CPUs, as sysfs writes them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/perf_events.h"

static void note(unsigned int cpu, void *data)
{
	char *text = data, one[16];

	(void)snprintf(one, sizeof(one), "%u ", cpu);
	assert_true(strlen(text) + strlen(one) < 200);
	memcpy(text + strlen(text), one, strlen(one) + 1);
}

static void lists_of_cpus_are_read(void **state)
{
	static const struct {
		const char *text, *cpus;
	} cases[] = {
		{"0\n", "0 "},
		{"0", "0 "},
		{"0-3\n", "0 1 2 3 "},
		{"0-1,4,6-7\n", "0 1 4 6 7 "},
		{"8191\n", "8191 "},
		{"\n", ""},
		{"", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[200] = "";

		assert_int_equal(perf_cpu_list(cases[i].text, note, text), 0);
		assert_string_equal(text, cases[i].cpus);
	}
}

static void garbage_is_refused(void **state)
{
	static const char *const cases[] = {
		"x",	 "0-",	 "-1",	   "0-1-2", "0,,1",	  "0,",	   ",0",
		"0 1\n", "8192", "0-8192", "3-1",   "4294967296", "0x1\n", "99999999999999999999",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[200] = "";

		if (perf_cpu_list(cases[i], note, text) != -EBADMSG)
			fail_msg("'%s' was taken", cases[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_cpus_are_read),
		cmocka_unit_test(garbage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
