/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/export/report.h"
#include "agent/base/utf8.h"
#include "tests/unit/export/sample.h"

static char *print(const struct profile *p, unsigned int width, unsigned int rows, bool colour)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	const struct report_options o = {width, rows, colour};

	assert_non_null(f);
	assert_int_equal(report_print(f, p, &o), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void the_tables_say_where_the_time_went(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text = print(p, 80, 10, false);

	assert_string_equal(
		text, "self %  total %       self  function\n"
		      " 60.00   60.00     30.0 ms  parse                              web\n"
		      " 20.00   20.00     10.0 ms  sys_read                           [kernel]\n"
		      " 20.00   20.00     10.0 ms  libz.so+0x99                       libz.so\n"
		      "  0.00   80.00      0.0 ms  main                               web\n"
		      "  0.00   80.00      0.0 ms  serve                              web\n"
		      "\n"
		      "share %       time  complete %    pid  process\n"
		      " 80.00     40.0 ms   100.0       10  web\n"
		      " 20.00     10.0 ms     0.0       20  job\n"
		      "\n"
		      "  samples       %  stack cut because\n"
		      "        1   20.00  [no unwind rule]\n"
		      "\n"
		      "5 samples of cpu-clock at 100 Hz, 0.05 CPU-seconds in 2.0 s\n"
		      "lost 0, complete 80.0 %, named 92.3 %\n");
}

static void every_line_fits_the_width(void **state)
{
	static const unsigned int widths[] = {1, 40, 57, 80, 133};
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	char name[600];
	uint32_t at;

	for (size_t i = 0; i < sizeof(name) - 1; i++)
		name[i] = (char)('a' + i % 26);
	name[sizeof(name) - 1] = 0;
	at = sample_location(p, 1, sample_mapping(p, name, ""), PROFILE_NATIVE, name);
	sample_add(p, sample_process(p, 4194304, name), &at, 1, 100000000, true);
	p->lost = 12;
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		_cleanup_free_ char *text = print(p, widths[i], 20, false);

		for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
			*end = 0;
			assert_true(utf8_columns(line) <= MAX(widths[i], 40u));
		}
	}
}

static void rows_limit_each_table(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text = print(p, 80, 1, false);

	assert_non_null(strstr(text, "parse"));
	assert_null(strstr(text, "sys_read"));
	assert_non_null(strstr(text, "web"));
	assert_null(strstr(text, "job"));
}

static void a_hostile_name_can_not_steer_the_terminal(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_free_ char *plain = NULL, *colour = NULL;
	uint32_t at;

	assert_int_equal(profile_new(&p), 0);
	p->event = sample_string(p, "\033]0;title\a");
	at = sample_location(p, 1, sample_mapping(p, "/x/\033[2J", ""), PROFILE_NATIVE,
			     "\033[31mred\n\xc2\x9b");
	sample_add(p, sample_process(p, 7, "\033c\r"), &at, 1, 1, true);
	plain = print(p, 100, 5, false);
	assert_null(strchr(plain, '\033'));
	assert_null(strchr(plain, '\r'));
	assert_null(strchr(plain, '\a'));
	assert_null(strstr(plain, "\xc2\x9b"));
	/* With colours every escape is one of ours. */
	colour = print(p, 100, 5, true);
	assert_null(strstr(colour, "\033]"));
	assert_null(strstr(colour, "\033c"));
	assert_null(strstr(colour, "\033[2J"));
	assert_non_null(strstr(colour, "\033[0m"));
}

static void recursion_is_counted_once(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_free_ char *text = NULL;
	uint32_t at;

	assert_int_equal(profile_new(&p), 0);
	at = sample_location(p, 1, 0, PROFILE_NATIVE, "again");
	sample_add(p, sample_process(p, 7, "x"), (uint32_t[]){at, at, at}, 3, 2, true);
	text = print(p, 80, 5, false);
	assert_non_null(strstr(text, "100.00  100.00     20.0 ms  again"));
}

static void an_empty_profile_has_a_footer(void **state)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_free_ char *text = NULL;

	assert_int_equal(profile_new(&p), 0);
	text = print(p, 80, 5, false);
	assert_string_equal(text, "\n0 samples, 0.00 CPU-seconds\n"
				  "lost 0, complete 0.0 %, named 0.0 %\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tables_say_where_the_time_went),
		cmocka_unit_test(every_line_fits_the_width),
		cmocka_unit_test(rows_limit_each_table),
		cmocka_unit_test(a_hostile_name_can_not_steer_the_terminal),
		cmocka_unit_test(recursion_is_counted_once),
		cmocka_unit_test(an_empty_profile_has_a_footer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
