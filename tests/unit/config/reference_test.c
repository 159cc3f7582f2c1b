/* SPDX-License-Identifier: Apache-2.0 */
/* The reference: every argument is explained, and docs/reference.md is what the program prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/components/registry.h"
#include "agent/config/reference.h"
#include "agent/config/source.h"

static const char *page;

static void every_argument_has_a_line_of_help(void **state)
{
	const struct component_type *const *types;
	char missing[256];
	size_t n, wrong = 0;

	types = component_registry(&n);
	for (size_t i = 0; i < n; i++) {
		if (!reference_missing(types[i], missing, sizeof(missing)))
			continue;
		print_error("without help: %s\n", missing);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void the_page_is_what_the_program_prints(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4u << 20);
	_cleanup_(source_freep) struct source *s = NULL;
	const struct component_type *const *types;
	size_t n, same = 0;

	types = component_registry(&n);
	assert_int_equal(reference_page(types, n, &b), 0);
	assert_int_equal(source_open(page, &s), 0);
	while (same < s->len && same < b.len && s->text[same] == buf_cstr(&b)[same])
		same++;
	if (same != s->len || same != b.len)
		fail_msg("docs/reference.md is stale: tephra reference > docs/reference.md; it "
			 "differs at '%.60s'",
			 buf_cstr(&b) + same);
}

static void a_component_shows_what_it_takes_and_gives(void **state)
{
	static const char *const want[] = {
		"# pyroscope.write\n\nSends profiles to Pyroscope servers.\n",
		"| `external_labels` | `map(string)` |  | ",
		"**`endpoint`** (optional, may be repeated) ",
		"| `url` | `string` | required | ",
		"| `remote_timeout` | `duration` | `\"10s\"` | ",
		"**`endpoint > basic_auth`** (optional) ",
		"Exports: `receiver` (receiver).\n",
	};
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	const struct component_type *const *types;
	size_t n, i = 0;

	types = component_registry(&n);
	while (strcmp(types[i]->name, "pyroscope.write") != 0)
		i++;
	assert_int_equal(reference_component(types[i], 1, &b), 0);
	for (size_t k = 0; k < ARRAY_SIZE(want); k++) {
		if (!strstr(buf_cstr(&b), want[k]))
			fail_msg("not there: %s", want[k]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_argument_has_a_line_of_help),
		cmocka_unit_test(the_page_is_what_the_program_prints),
		cmocka_unit_test(a_component_shows_what_it_takes_and_gives),
	};

	if (argc < 2)
		return 2;
	page = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
