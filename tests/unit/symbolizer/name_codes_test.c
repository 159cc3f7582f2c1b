/* SPDX-License-Identifier: Apache-2.0 */
/* Names come back as they were, whatever they are, and what was tampered with does no harm. */
#include "symbolizer/name_codes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/symbolizer/fixture.h"

#define NAMES 2000
#define LONG  4096

struct coded {
	struct name_trainer *t;
	struct buf bytes;
	size_t at[NAMES + 1];
	uint8_t lengths[NAME_CODES_MAX];
	struct name_codes_view view;
};

static void code(struct coded *c, const struct name_piece *names, size_t n)
{
	const struct name_codes *codes;

	c->t = name_trainer_new(names, n);
	assert_non_null(c->t);
	c->bytes = BUF_INIT(1u << 26);
	for (size_t i = 0; i < n; i++) {
		c->at[i] = c->bytes.len;
		name_encode(c->t, names[i].s, names[i].bytes, &c->bytes);
		buf_add_u8(&c->bytes, 0);
	}
	assert_int_equal(c->bytes.failed, 0);
	codes = name_trainer_codes(c->t);
	memcpy(c->lengths, codes->lengths, sizeof(c->lengths));
	c->view = (struct name_codes_view){codes->n, (const uint8_t *)codes->words, c->lengths};
}

static void done(struct coded *c)
{
	name_trainer_free(c->t);
	buf_done(&c->bytes);
}

static int decode(const struct coded *c, size_t at, char *to, size_t size)
{
	return name_decode(&c->view, c->bytes.data + at, c->bytes.len - at, to, size);
}

static void comes_back(const struct name_piece *names, size_t n, double at_most)
{
	static char name[LONG + 16];
	struct coded c = {0};
	size_t plain = 0;

	code(&c, names, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(decode(&c, c.at[i], name, sizeof(name)), 0);
		assert_int_equal(strlen(name), names[i].bytes);
		assert_memory_equal(name, names[i].s, names[i].bytes);
		plain += names[i].bytes + 1;
	}
	assert_true((double)c.bytes.len <= at_most * (double)plain);
	done(&c);
}

/* Methods of classes in namespaces, mangled. */
static size_t mangled(char text[NAMES][96], struct name_piece *names)
{
	static const char *const verbs[] = {"read", "write", "insert", "erase", "find", "clear"};

	for (size_t i = 0; i < NAMES; i++) {
		int n = snprintf(text[i], 96, "_ZNSt6vectorI%zuWidget%zuSaIS0_EE%zu%sEmRKS0_",
				 i % 37, i % 91, strlen(verbs[i % 6]), verbs[i % 6]);

		names[i] = (struct name_piece){text[i], (size_t)n};
	}
	return NAMES;
}

static void names_of_cxx_become_less_than_half(void **state)
{
	static char text[NAMES][96];
	static struct name_piece names[NAMES];

	comes_back(names, mangled(text, names), 0.5);
}

static void few_names_and_none(void **state)
{
	const struct name_piece names[] = {{"main", 4}, {"", 0}, {"x", 1}};

	comes_back(names, 0, 1);
	comes_back(names, 1, 1);
	comes_back(names, ARRAY_SIZE(names), 1);
}

static void any_bytes_and_the_longest_name(void **state)
{
	static char text[300][LONG];
	static struct name_piece names[300];
	uint64_t seed = 3;

	for (size_t i = 0; i < 300; i++) {
		size_t n = i ? fixture_random(&seed) % 60 : LONG;

		for (size_t k = 0; k < n; k++)
			text[i][k] = (char)(1 + fixture_random(&seed) % 255);
		names[i] = (struct name_piece){text[i], n};
	}
	/* Noise grows, by an escape a byte at the worst. */
	comes_back(names, 300, 2);
}

static void does_not_write_behind_its_room(void **state)
{
	static char text[NAMES][96];
	static struct name_piece names[NAMES];
	char name[64];
	struct coded c = {0};

	code(&c, names, mangled(text, names));
	for (size_t size = 0; size < sizeof(name); size++) {
		memset(name, 'x', sizeof(name));
		if (decode(&c, c.at[7], name, size) == 0)
			assert_true(strlen(name) == names[7].bytes && strlen(name) < size);
		for (size_t k = size; k < sizeof(name); k++)
			assert_int_equal(name[k], 'x');
	}
	done(&c);
}

static void what_is_not_sound_is_refused(void **state)
{
	static char text[NAMES][96];
	static struct name_piece names[NAMES];
	char name[256];
	struct coded c = {0};
	uint64_t seed = 5;

	code(&c, names, mangled(text, names));
	/* Without its end. */
	assert_int_equal(name_decode(&c.view, c.bytes.data, c.at[1] - 1, name, sizeof(name)),
			 -EBADMSG);
	/* An escape with nothing behind it, and one of the end. */
	assert_int_equal(name_decode(&c.view, (const uint8_t *)"\xff", 1, name, sizeof(name)),
			 -EBADMSG);
	assert_int_equal(name_decode(&c.view, (const uint8_t *)"\xff\0", 2, name, sizeof(name)),
			 -EBADMSG);
	/* A code that there is not; a string that is too long. */
	c.view.n = 1;
	assert_int_equal(name_decode(&c.view, (const uint8_t *)"\x02", 2, name, sizeof(name)),
			 -EBADMSG);
	c.lengths[0] = NAME_CODE_BYTES + 1;
	assert_int_equal(name_decode(&c.view, (const uint8_t *)"\x01", 2, name, sizeof(name)),
			 -EBADMSG);
	/* Anything at all. */
	c.view.n = NAME_CODES_MAX;
	for (size_t i = 0; i < 20000; i++) {
		c.bytes.data[fixture_random(&seed) % c.bytes.len] = (uint8_t)fixture_random(&seed);
		c.lengths[fixture_random(&seed) % NAME_CODES_MAX] =
			(uint8_t)(fixture_random(&seed) % 12);
		if (decode(&c, fixture_random(&seed) % c.bytes.len, name, sizeof(name)) == 0)
			assert_true(strlen(name) < sizeof(name));
	}
	done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_cxx_become_less_than_half),
		cmocka_unit_test(few_names_and_none),
		cmocka_unit_test(any_bytes_and_the_longest_name),
		cmocka_unit_test(does_not_write_behind_its_room),
		cmocka_unit_test(what_is_not_sound_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
