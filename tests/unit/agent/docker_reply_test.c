/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of an engine's replies, and which ones are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/file.h"
#include "agent/components/docker_containers.h"
#include "agent/components/docker_reply.h"
#include "agent/config/data.h"

static const char *dir; /* of the recordings */

typedef int (*parser)(const char *s, size_t n, struct value **ret, char *why, size_t size);

static struct value *parsed(parser parse, const char *text, size_t len)
{
	char why[256] = "";
	struct value *v = NULL;

	if (parse(text, len, &v, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	return v;
}

static struct value *recorded(parser parse, const char *name)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_read(path, &b, NULL), 0);
	return parsed(parse, buf_cstr(&b), b.len);
}

static struct value *targets(parser parse)
{
	const struct docker_options o = {80, "localhost", false};
	_cleanup_value_ struct value *networks = recorded(parse, "networks.json");
	_cleanup_value_ struct value *containers = recorded(parse, "containers.json");
	_cleanup_(docker_containers_freep) struct docker_containers *d = docker_containers_new(&o);
	char why[256];

	assert_non_null(d);
	assert_int_equal(docker_containers_networks(d, networks, why, sizeof(why)), 0);
	assert_int_equal(docker_containers_list(d, containers, why, sizeof(why)), 0);
	return docker_containers_targets(d);
}

static void recorded_replies_make_the_targets_that_whole_ones_make(void **state)
{
	_cleanup_value_ struct value *whole = targets(data_from_json);
	_cleanup_value_ struct value *kept = targets(docker_reply_parse);

	assert_non_null(kept);
	assert_true(kept->n_items > 5);
	assert_true(value_equal(whole, kept));
}

static void only_what_targets_are_made_of_is_kept(void **state)
{
	static const char reply[] =
		"[{\"Id\":\"a\",\"Command\":\"x\",\"Mounts\":[{\"Id\":\"m\"}],\"Names\":[\"/n\"],"
		"\"Ports\":[{\"IP\":\"::\",\"PrivatePort\":80,\"Other\":{}},3],"
		"\"NetworkSettings\":{\"Networks\":{\"b\":{\"NetworkID\":\"i\",\"Gateway\":\"g\"}}}"
		","
		"\"HostConfig\":{\"NetworkMode\":\"m\",\"Annotations\":{\"a\":\"b\"}},"
		"\"Labels\":{\"Command\":\"kept\",\"\":\"\\u00e9\"},\"Status\":null}]\n";
	static const char want[] =
		"[{\"Id\":\"a\",\"Names\":[\"/n\"],"
		"\"Ports\":[{\"IP\":\"::\",\"PrivatePort\":80},3],"
		"\"NetworkSettings\":{\"Networks\":{\"b\":{\"NetworkID\":\"i\"}}},"
		"\"HostConfig\":{\"NetworkMode\":\"m\"},"
		"\"Labels\":{\"Command\":\"kept\",\"\":\"\\u00e9\"}}]";
	_cleanup_value_ struct value *a = parsed(docker_reply_parse, reply, strlen(reply));
	_cleanup_value_ struct value *b = parsed(data_from_json, want, strlen(want));

	assert_true(value_equal(a, b));
}

static void labels_may_have_names_of_any_length(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	_cleanup_value_ struct value *a = NULL, *whole = NULL;

	buf_adds(&b, "[{\"Id\":\"a\",\"Labels\":{\"");
	for (int i = 0; i < 100000; i++)
		buf_add_u8(&b, 'x');
	buf_adds(&b, "\":\"v\"}}]");
	a = parsed(docker_reply_parse, buf_cstr(&b), b.len);
	whole = parsed(data_from_json, buf_cstr(&b), b.len);
	assert_true(value_equal(a, whole));
}

static void what_is_no_reply_is_refused(void **state)
{
	static const char *const bad[] = {
		"",    "[",	   "[1", "{\"Id\":", "[]]", "[] {}", "[] 1", "{\"Mounts\":[}",
		"nul", "[\"\n\"]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct value *v = NULL;
		char why[128] = "";

		assert_int_equal(docker_reply_parse(bad[i], strlen(bad[i]), &v, why, sizeof(why)),
				 -EBADMSG);
		assert_null(v);
		assert_string_not_equal(why, "");
	}
}

static void more_values_than_any_engine_has_are_refused(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(64u << 20);
	struct value *v = NULL;
	char why[128];

	buf_adds(&b, "[[");
	for (unsigned int i = 0; i <= DATA_MAX_VALUES; i++)
		buf_adds(&b, i % 100000 ? "1," : "1],[");
	buf_adds(&b, "1]]");
	assert_int_equal(docker_reply_parse(buf_cstr(&b), b.len, &v, why, sizeof(why)), -E2BIG);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_replies_make_the_targets_that_whole_ones_make),
		cmocka_unit_test(only_what_targets_are_made_of_is_kept),
		cmocka_unit_test(labels_may_have_names_of_any_length),
		cmocka_unit_test(what_is_no_reply_is_refused),
		cmocka_unit_test(more_values_than_any_engine_has_are_refused),
	};

	if (argc < 2)
		return 1;
	dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
