/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/alloy_flags.h"
#include "agent/base/macro.h"

/* Takes the flags of a command line in words; what is left is put together again in rest. */
static int take(const char *line, struct alloy_flags *f, char *rest, char *why)
{
	char text[1024], *argv[64];
	int argc = 0, r;

	(void)snprintf(text, sizeof(text), "%s", line);
	for (char *next = text; next; argc++)
		argv[argc] = strsep(&next, " ");
	argv[argc] = NULL;
	r = alloy_flags_take(&argc, argv, f, why, 128);
	*rest = '\0';
	for (int i = 0; r >= 0 && i < argc; i++)
		(void)snprintf(rest + strlen(rest), 512 - strlen(rest), "%s%s", i ? " " : "",
			       argv[i]);
	if (r >= 0)
		assert_null(argv[argc]);
	return r;
}

static void the_command_lines_of_packages_work(void **state)
{
	struct alloy_flags f;
	char rest[512], why[128];

	/* The unit of the Debian package, and the chart's DaemonSet. */
	assert_int_equal(take("run --storage.path=/var/lib/alloy/data /etc/alloy/config.alloy", &f,
			      rest, why),
			 0);
	assert_string_equal(rest, "run /etc/alloy/config.alloy");
	assert_string_equal(f.ignored, "--storage.path");
	assert_int_equal(take("run /etc/alloy/config.alloy --storage.path=/tmp/alloy "
			      "--server.http.listen-addr=0.0.0.0:12345 "
			      "--server.http.memory-addr alloy.internal:1 "
			      "--stability.level=experimental --cluster.enabled=false "
			      "--disable-reporting",
			      &f, rest, why),
			 0);
	assert_string_equal(rest, "run /etc/alloy/config.alloy "
				  "--server.http.listen-addr=0.0.0.0:12345");
	assert_int_equal(f.stability, STABILITY_EXPERIMENTAL);
	assert_string_equal(f.ignored, "--storage.path, --server.http.memory-addr");
}

static void what_would_mean_something_is_named(void **state)
{
	struct alloy_flags f;
	char rest[512], why[128];

	assert_int_equal(take("run --cluster.enabled --cluster.name x --config.format alloy f", &f,
			      rest, why),
			 0);
	assert_string_equal(f.ignored, "--cluster.enabled, --cluster.name");
	assert_string_equal(rest, "run f");
}

static void flags_of_others_and_what_follows_the_end_are_left(void **state)
{
	struct alloy_flags f;
	char rest[512], why[128];

	assert_int_equal(take("run --cache-dir x -- --storage.path y", &f, rest, why), 0);
	assert_string_equal(rest, "run --cache-dir x -- --storage.path y");
	assert_string_equal(f.ignored, "");
	assert_int_equal(f.stability, STABILITY_GA);
}

static void what_cannot_be_had_is_refused_with_the_reason(void **state)
{
	struct alloy_flags f;
	char rest[512], why[128];

	assert_int_equal(take("run --stability.level=stable f", &f, rest, why), -EINVAL);
	assert_non_null(strstr(why, "generally-available, public-preview or experimental"));
	assert_int_equal(take("run --config.format=otelcol f", &f, rest, why), -EINVAL);
	assert_non_null(strstr(why, "alloy convert"));
	assert_int_equal(take("run f --cluster.name", &f, rest, why), -EINVAL);
	assert_string_equal(why, "option '--cluster.name' needs a value");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_lines_of_packages_work),
		cmocka_unit_test(what_would_mean_something_is_named),
		cmocka_unit_test(flags_of_others_and_what_follows_the_end_are_left),
		cmocka_unit_test(what_cannot_be_had_is_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
