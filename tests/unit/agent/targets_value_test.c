/* SPDX-License-Identifier: Apache-2.0 */
/* Building and reading target lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/components/targets_value.h"

static void a_label_without_a_value_is_left_out(void **state)
{
	struct value_list one = {0}, all = {0};
	_cleanup_value_ struct value *exports = NULL;
	const struct value *v;

	targets_value_put(&one, "b", "2");
	targets_value_put(&one, "empty", "");
	targets_value_put(&one, "none", NULL);
	targets_value_put_bytes(&one, "nothing", "", 0);
	targets_value_add(&all, &one);
	targets_value_put(&one, "a", "1");
	targets_value_add(&all, &one);
	exports = targets_value_exports("targets", targets_value_array(&all));
	assert_non_null(exports);
	v = exports->fields[0].value;
	assert_int_equal(v->n_items, 2);
	assert_int_equal(v->items[0]->n_fields, 1);
	assert_string_equal(targets_value_get(v->items[0], "b"), "2");
	assert_string_equal(targets_value_get(v->items[0], "empty"), "");
	assert_string_equal(targets_value_get(v->items[1], "a"), "1");
}

static void foreign_names_become_label_names(void **state)
{
	static const char *const table[][2] = {
		{"app.kubernetes.io/name", "p_app_kubernetes_io_name"},
		{"a-b c", "p_a_b_c"},
		{"\xc3\xa4\xe2\x82\xac"
		 "x",
		 "p___x"}, /* one "_" a character */
		{"0", "p_0"},
		{"", "p_"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *name = targets_value_label_name("p_", table[i][0]);

		assert_string_equal(name, table[i][1]);
	}
}

static void a_nul_byte_in_a_value_is_replaced(void **state)
{
	struct value_list one = {0};
	_cleanup_value_ struct value *v = NULL;

	targets_value_put_bytes(&one, "x", "a\0b", 3);
	targets_value_put_named(&one, "p_", "k/ey", "v");
	v = value_object(&one);
	assert_string_equal(targets_value_get(v, "x"), "a\xef\xbf\xbd"
						       "b");
	assert_string_equal(targets_value_get(v, "p_k_ey"), "v");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_label_without_a_value_is_left_out),
		cmocka_unit_test(foreign_names_become_label_names),
		cmocka_unit_test(a_nul_byte_in_a_value_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
