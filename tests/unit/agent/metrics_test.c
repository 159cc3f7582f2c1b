/* SPDX-License-Identifier: Apache-2.0 */
/* The text that a scrape gets: families together and in order, escaping, histograms, the limit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/export/receiver.h"
#include "agent/metrics.h"

static const struct metric_family sent = {"b_sent_total", "Profiles sent.", METRIC_COUNTER};
static const struct metric_family size = {"a_size_bytes", "Size.", METRIC_GAUGE};
static const struct metric_family took = {"c_took_seconds", "Time.", METRIC_HISTOGRAM};

static void families_come_together_and_in_order(void **state)
{
	_cleanup_(metrics_freep) struct metrics *m = NULL;
	_cleanup_buf_ struct buf out = BUF_INIT(4096);
	const struct label scope = {"component_id", "x.y"}, odd = {"url", "a\"b\\c\nd"};

	assert_int_equal(metrics_new(&m), 0);
	metrics_add(m, &sent, NULL, 0, 1);
	metrics_add(m, &size, NULL, 0, 0.5);
	metrics_scope(m, &scope, 1);
	metrics_add(m, &sent, &odd, 1, 12345678901.0);
	assert_int_equal(metrics_write(m, &out), 0);
	assert_string_equal(buf_cstr(&out),
			    "# HELP a_size_bytes Size.\n# TYPE a_size_bytes gauge\n"
			    "a_size_bytes 0.5\n"
			    "# HELP b_sent_total Profiles sent.\n# TYPE b_sent_total counter\n"
			    "b_sent_total 1\n"
			    "b_sent_total{component_id=\"x.y\",url=\"a\\\"b\\\\c\\nd\"} "
			    "12345678901\n");
}

static void a_histogram_is_cumulative(void **state)
{
	_cleanup_(metrics_freep) struct metrics *m = NULL;
	_cleanup_buf_ struct buf out = BUF_INIT(4096);
	const double bounds[] = {0.1, 1};
	const uint64_t counts[] = {2, 0, 3};

	assert_int_equal(metrics_new(&m), 0);
	metrics_add_histogram(m, &took, NULL, 0, bounds, counts, 2, 7.5);
	assert_int_equal(metrics_write(m, &out), 0);
	assert_non_null(strstr(buf_cstr(&out), "c_took_seconds_bucket{le=\"0.1\"} 2\n"
					       "c_took_seconds_bucket{le=\"1\"} 2\n"
					       "c_took_seconds_bucket{le=\"+Inf\"} 5\n"
					       "c_took_seconds_sum 7.5\n"
					       "c_took_seconds_count 5\n"));
}

static void more_than_the_limit_fails_as_a_whole(void **state)
{
	_cleanup_(metrics_freep) struct metrics *m = NULL;
	_cleanup_buf_ struct buf out = BUF_INIT(METRICS_MAX_BYTES);
	static char text[1u << 20];
	const struct label label = {"v", text};

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(metrics_new(&m), 0);
	for (int i = 0; i < 9; i++)
		metrics_add(m, &size, &label, 1, i);
	assert_int_equal(metrics_write(m, &out), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_come_together_and_in_order),
		cmocka_unit_test(a_histogram_is_cumulative),
		cmocka_unit_test(more_than_the_limit_fails_as_a_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
