/* SPDX-License-Identifier: Apache-2.0 */
/* Lists that become arrays and objects, and what objects share. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/config/value.h"

static struct value *text_of(const char *name, unsigned int i)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%s %u", name, i);
	return value_cstr(text);
}

static const char *get(const struct value *object, const char *key)
{
	const struct value *v = value_get(object, key);

	return v ? v->s : "none";
}

/* Of the i-th field of n: in no order. */
static unsigned int key_of(unsigned int i, unsigned int n)
{
	return i * 7919 % n / 2;
}

/* Few fields are sorted where they are, many elsewhere. */
static void fields_are_sorted_and_the_last_of_a_key_counts(void **state)
{
	static const unsigned int sizes[] = {1, 2, VALUE_LIST_FEW, VALUE_LIST_FEW + 1, 1000};

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		_cleanup_value_ struct value *v = NULL;
		struct value_list l = {0};
		char key[16];

		for (unsigned int i = 0; i < sizes[s]; i++) {
			(void)snprintf(key, sizeof(key), "%u", key_of(i, sizes[s]));
			value_list_add(&l, key, text_of(key, i));
		}
		v = value_object(&l);
		assert_non_null(v);
		assert_int_equal(v->n_fields, (sizes[s] + 1) / 2);
		for (size_t i = 1; i < v->n_fields; i++)
			assert_true(strcmp(v->fields[i - 1].key, v->fields[i].key) < 0);
		/* Every key comes twice; the text ends in when. */
		for (size_t i = 0; i < v->n_fields; i++) {
			unsigned int when = (unsigned int)atoi(strchr(v->fields[i].value->s, ' '));

			for (unsigned int later = when + 1; later < sizes[s]; later++)
				assert_int_not_equal(key_of(later, sizes[s]),
						     atoi(v->fields[i].key));
			assert_int_equal(key_of(when, sizes[s]), atoi(v->fields[i].key));
		}
	}
}

static void elements_keep_their_order(void **state)
{
	for (unsigned int n = 0; n < 4 * VALUE_LIST_FEW; n++) {
		_cleanup_value_ struct value *v = NULL;
		struct value_list l = {0};

		for (unsigned int i = 0; i < n; i++)
			value_list_add(&l, NULL, value_int(i));
		v = value_array(&l);
		assert_non_null(v);
		assert_int_equal(v->n_items, n);
		for (unsigned int i = 0; i < n; i++)
			assert_int_equal(v->items[i]->n.i, i);
		assert_int_equal(l.n, 0);
	}
}

/* What two objects have in common outlives each of them. */
static void shared_fields_live_as_long_as_anyone_has_them(void **state)
{
	_cleanup_value_ struct value *rest = NULL;
	struct value *whole, *other;
	struct value_list l = {0};

	value_list_add(&l, "copied", value_cstr("a"));
	value_list_put(&l, VALUE_KEY("literal"), value_cstr("b"));
	value_list_add(&l, "gone", value_cstr("c"));
	whole = value_object(&l);
	assert_non_null(whole);
	value_list_share(&l, &whole->fields[0]);
	other = value_object(&l);
	assert_non_null(other);
	assert_ptr_equal(other->fields[0].key, whole->fields[0].key);
	assert_ptr_equal(other->fields[0].value, whole->fields[0].value);
	value_list_share_all(&l, whole);
	value_list_put(&l, VALUE_KEY("gone"), value_cstr("d"));
	rest = value_object(&l);
	value_unref(whole);
	value_unref(other);
	assert_string_equal(get(rest, "copied"), "a");
	assert_string_equal(get(rest, "literal"), "b");
	assert_string_equal(get(rest, "gone"), "d");
}

static void of_two_merged_objects_the_second_one_wins(void **state)
{
	_cleanup_value_ struct value *a = NULL, *b = NULL, *both = NULL;
	struct value_list l = {0};

	value_list_add(&l, "x", value_cstr("a"));
	value_list_add(&l, "y", value_cstr("a"));
	a = value_object(&l);
	value_list_add(&l, "y", value_cstr("b"));
	value_list_add(&l, "z", value_cstr("b"));
	b = value_object(&l);
	both = value_merge(a, b);
	assert_int_equal(both->n_fields, 3);
	assert_string_equal(get(both, "x"), "a");
	assert_string_equal(get(both, "y"), "b");
	assert_string_equal(get(both, "z"), "b");
}

static void a_failed_list_makes_nothing_and_can_be_used_again(void **state)
{
	_cleanup_value_ struct value *v = NULL;
	struct value_list l = {0};

	value_list_add(&l, "a", value_cstr("kept"));
	value_list_add(&l, "b", NULL);
	value_list_add(&l, "c", value_cstr("late"));
	assert_true(l.failed);
	assert_null(value_object(&l));
	value_list_add(&l, "a", value_cstr("again"));
	v = value_object(&l);
	assert_string_equal(get(v, "a"), "again");
}

static void there_is_a_limit_of_elements(void **state)
{
	_cleanup_value_ struct value *v = NULL, *one = value_int(1);
	struct value_list l = {0};

	for (unsigned int i = 0; i < VALUE_MAX_ITEMS; i++)
		value_list_add(&l, NULL, value_ref(one));
	v = value_array(&l);
	assert_non_null(v);
	assert_int_equal(v->n_items, VALUE_MAX_ITEMS);
	for (unsigned int i = 0; i <= VALUE_MAX_ITEMS; i++)
		value_list_add(&l, NULL, value_ref(one));
	assert_null(value_array(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_sorted_and_the_last_of_a_key_counts),
		cmocka_unit_test(elements_keep_their_order),
		cmocka_unit_test(shared_fields_live_as_long_as_anyone_has_them),
		cmocka_unit_test(of_two_merged_objects_the_second_one_wins),
		cmocka_unit_test(a_failed_list_makes_nothing_and_can_be_used_again),
		cmocka_unit_test(there_is_a_limit_of_elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
