/* SPDX-License-Identifier: Apache-2.0 */
/* When the child is asked for lines: the real child, about this program. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/clock.h"
#include "agent/base/loop.h"
#include "agent/debug_file.h"
#include "agent/line_cache.h"
#include "agent/parser/build.h"
#include "agent/parser/child.h"
#include "agent/parser/parser.h"
#include "agent/verbs.h"

#define WAIT_MS	 20000
#define QUIET_MS 200
#define NEW	 8 /* addresses, of which each comes alone */

struct fixture {
	struct loop *loop;
	struct parser *parser;
	struct line_cache *lines;
	struct debug_file debug;
	uint64_t next; /* an address that was not asked for */
};

static int setup(void **state)
{
	static const char *const argv[] = {"line_cache_test", PARSER_CHILD_VERB, NULL};
	static struct fixture f;

	f.debug = (struct debug_file){.state = DEBUG_READY, .alt_fd = -1, .root_fd = -1};
	f.debug.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	f.next = 0x1000;
	assert_true(f.debug.fd >= 0);
	assert_int_equal(loop_new(&f.loop), 0);
	assert_int_equal(parser_new(f.loop, argv, NULL, &f.parser), 0);
	assert_int_equal(line_cache_new(f.loop, f.parser, 0, &f.lines), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	line_cache_free(f->lines);
	parser_free(f->parser);
	loop_free(f->loop);
	close(f->debug.fd);
	return 0;
}

static struct line_cache_stats stats_of(const struct fixture *f)
{
	struct line_cache_stats s;

	line_cache_get_stats(f->lines, &s);
	return s;
}

static void ask_one(struct fixture *f)
{
	struct line_frame frames[LINE_FRAMES_MAX];

	assert_int_equal(line_cache_get(f->lines, &f->debug, f->next++, frames), -EAGAIN);
}

/* As an interval that ends does. */
static void wait_for_answers(struct fixture *f)
{
	uint64_t until = clock_ms() + WAIT_MS;

	for (;;) {
		line_cache_flush(f->lines);
		if (!line_cache_pending(f->lines))
			return;
		assert_true(clock_ms() < until);
		assert_true(loop_once(f->loop, 10) >= 0);
	}
}

static void run(struct fixture *f, uint64_t ms)
{
	uint64_t until = clock_ms() + ms;

	while (clock_ms() < until)
		assert_true(loop_once(f->loop, 10) >= 0);
}

static void the_first_addresses_are_asked_for_soon(void **state)
{
	struct fixture *f = *state;
	uint64_t until = clock_ms() + WAIT_MS;

	ask_one(f);
	ask_one(f);
	while (line_cache_pending(f->lines)) {
		assert_true(clock_ms() < until);
		assert_true(loop_once(f->loop, 10) >= 0);
	}
	assert_int_equal(stats_of(f).requests, 1);
	assert_int_equal(stats_of(f).failed, 0);
}

/* Constant new code in a file with debug information would be a request for each address. */
static void a_file_that_has_cost_much_gathers_until_somebody_waits(void **state)
{
	struct fixture *f = *state;
	uint64_t until = clock_ms() + WAIT_MS, before;
	struct line_frame frames[LINE_FRAMES_MAX];

	while (stats_of(f).child_us <= 300 * 1000) {
		assert_true(clock_ms() < until);
		for (int i = 0; i < 64; i++)
			ask_one(f);
		wait_for_answers(f);
	}
	before = stats_of(f).requests;
	for (int i = 0; i < NEW; i++) {
		ask_one(f);
		run(f, QUIET_MS / NEW);
	}
	assert_int_equal(stats_of(f).requests, before);
	assert_int_equal(line_cache_pending(f->lines), NEW);
	wait_for_answers(f);
	assert_int_equal(stats_of(f).requests, before + 1);
	assert_int_not_equal(line_cache_get(f->lines, &f->debug, f->next - 1, frames), -EAGAIN);
}

int main(int argc, char **argv)
{
	static const struct child_options child = {.build = build_table};
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_addresses_are_asked_for_soon, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_file_that_has_cost_much_gathers_until_somebody_waits, setup, teardown),
	};

	if (argc == 2 && !strcmp(argv[1], PARSER_CHILD_VERB))
		return child_main(CHILD_SOCKET, &child);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
