/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the HotSpot runtime that need no JVM. Recorded JVMs are replayed by
 * hotspot_replay_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "unwinders/hotspot_method.h"

static void assert_readable(const char *class_name, const char *name, const char *signature,
			    const char *expected)
{
	char got[HOTSPOT_NAME_BYTES];

	hotspot_readable_name(class_name, name, signature, got, sizeof(got));
	assert_string_equal(got, expected);
}

static void test_names(void **state)
{
	(void)state;
	assert_readable("java/util/HashMap", "get", "(Ljava/lang/Object;)Ljava/lang/Object;",
			"java.util.HashMap.get(java.lang.Object)");
	assert_readable("Main", "main", "([Ljava/lang/String;)V", "Main.main(java.lang.String[])");
	assert_readable("a/B$C", "<init>", "(IJ[[D)V", "a.B$C.<init>(int, long, double[][])");
	assert_readable("Main", "run", "()V", "Main.run()");
	assert_readable("java/lang/invoke/LambdaForm$DMH+0x00007f0b1c0d2c00", "invokeStatic",
			"(Ljava/lang/Object;)V",
			"java.lang.invoke.LambdaForm$DMH.invokeStatic(java.lang.Object)");
	/* What is no signature. */
	assert_readable("A", "b", "(Ljava/lang/Object", "A.b(...)");
	assert_readable("A", "b", "(IX)V", "A.b(int, ...)");
	assert_readable("", "", "", ".()");
	assert_readable("A\n", "b\x1b[", "()V", "A?.b?[()");
}

static void test_long_names_are_cut(void **state)
{
	char got[32];

	(void)state;
	hotspot_readable_name("org/example/a/class/with/a/long/name", "m", "()V", got, sizeof(got));
	assert_string_equal(got, "org.example.a.class.with.a.l...");
}

static void test_lines(void **state)
{
	/* bci 0 line 10; bci 5 line 12; a large step: bci +40, line -5; end. */
	static const uint8_t old[] = {0xff, 0, 20, 5 << 3 | 2, 0xff, 80, 9, 0};
	/* The same from 20 on: no byte of a number is 0. */
	static const uint8_t now[] = {0xff, 1, 21, 5 << 3 | 2, 0xff, 81, 10, 0};

	(void)state;
	for (uint32_t version = 17; version <= 21; version += 4) {
		const uint8_t *t = version < 20 ? old : now;

		assert_int_equal(hotspot_line(t, sizeof(old), version, 0), 10);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 4), 10);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 5), 12);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 44), 12);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 45), 7);
		assert_int_equal(hotspot_line(t, sizeof(old), version, 65535), 7);
		/* A table that ends early says what it can. */
		assert_int_equal(hotspot_line(t, 4, version, 65535), 12);
		assert_int_equal(hotspot_line(t, 0, version, 0), 0);
	}
	assert_int_equal(hotspot_line(NULL, 0, 17, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_names_are_cut),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
