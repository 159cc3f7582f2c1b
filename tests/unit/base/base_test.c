/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "agent/base/cursor.h"
#include "agent/base/hash.h"
#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"

static void buf_refuses_to_grow_past_its_maximum(void **state)
{
	struct buf b = BUF_INIT(10);

	buf_adds(&b, "12345");
	assert_string_equal(buf_cstr(&b), "12345");
	buf_adds(&b, "67890");
	assert_int_equal(b.failed, 0);
	buf_add_u8(&b, 'x');
	assert_int_equal(b.failed, -E2BIG);
	assert_null(b.data);
	buf_adds(&b, "more");
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
}

static void cursor_never_reads_past_its_end(void **state)
{
	const uint8_t bytes[] = {0x34, 0x12, 0xe5, 0x8e, 0x26, 0x7f, 'a', 'b', 0, 'c'};
	struct cursor c = cursor_of(bytes, sizeof(bytes));

	assert_int_equal(cursor_u16(&c), 0x1234);
	assert_int_equal(cursor_uleb128(&c), 624485);
	assert_int_equal(cursor_sleb128(&c), -1);
	assert_string_equal(cursor_cstr(&c, 10), "ab");
	assert_null(cursor_cstr(&c, 10));
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0);
}

static void cursor_rejects_endless_leb128(void **state)
{
	uint8_t bytes[16];
	struct cursor c = cursor_of(bytes, sizeof(bytes));

	memset(bytes, 0x80, sizeof(bytes));
	assert_int_equal(cursor_uleb128(&c), 0);
	assert_true(c.bad);
}

static void hash_keeps_what_was_put_through_growth_and_deletion(void **state)
{
	struct hash h = {0};

	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(hash_put(&h, i * 7, i), 0);
	for (uint64_t i = 0; i < 5000; i += 2)
		assert_int_equal(hash_del(&h, i * 7), i);
	for (uint64_t i = 0; i < 5000; i++)
		assert_true(hash_get(&h, i * 7) == (i % 2 ? i : HASH_NONE));
	assert_int_equal(h.count, 2500);
	hash_done(&h);
}

static void intern_gives_one_id_per_string(void **state)
{
	struct intern t = {0};
	uint32_t a, b;

	a = intern_str(&t, "alpha");
	b = intern_bytes(&t, "alphabet", 5);
	assert_int_equal(a, b);
	assert_int_not_equal(a, intern_str(&t, "alphabet"));
	assert_int_equal(intern_str(&t, ""), 0);
	for (int i = 0; i < 10000; i++) {
		char s[32];

		(void)snprintf(s, sizeof(s), "s%d", i);
		assert_string_equal(intern_get(&t, intern_str(&t, s)), s);
	}
	assert_string_equal(intern_get(&t, a), "alpha");
	assert_string_equal(intern_get(&t, 1u << 30), "");
	intern_done(&t);
}

struct loop_fixture {
	struct loop *loop;
	struct loop_source *timer;
	int ticks;
};

static void on_tick(void *data)
{
	struct loop_fixture *f = data;

	if (++f->ticks == 3) {
		f->timer = loop_remove(f->timer);
		raise(SIGUSR1);
	}
}

static void on_signal(int signo, void *data)
{
	struct loop_fixture *f = data;

	loop_quit(f->loop, signo);
}

static void loop_runs_timers_and_signals(void **state)
{
	struct loop_fixture f = {0};

	assert_int_equal(loop_new(&f.loop), 0);
	f.timer = loop_add_timer(f.loop, on_tick, &f);
	loop_set_timer(f.timer, 1, 1);
	assert_non_null(loop_add_signal(f.loop, SIGUSR1, on_signal, &f));
	assert_int_equal(loop_run(f.loop), SIGUSR1);
	assert_int_equal(f.ticks, 3);
	loop_free(f.loop);
}

static void log_quotes_what_logfmt_needs_quoted(void **state)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	log_quote(f, "plain");
	fputc(' ', f);
	log_quote(f, "two \"words\"\n");
	fclose(f);
	assert_string_equal(text, "plain \"two \\\"words\\\"\\n\"");
	free(text);
}

static void log_quotes_json_whatever_the_bytes_are(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	log_quote_json(f, "a\"\\\n\x01\xc3\xa4\xff\xc0\x80\xed\xa0\x80\xf4\x90\xe2\x82");
	fclose(f);
	assert_string_equal(text, "\"a\\\"\\\\\\n\\u0001\xc3\xa4\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
				  "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

static void log_finds_the_component_of_a_message(void **state)
{
	static const char *const none[] = {"config.alloy: gone", "pyroscope.write.w", "",
					   "pyroscope.write.w was here", "x: pyroscope.write.w: y"};
	struct log_component c = log_component("pyroscope.write.w: no answer");

	assert_true(c.id == 0 && c.end == 17 && c.text == 19);
	c = log_component("p.one/discovery.http.h: x");
	assert_true(c.id == 6 && c.end == 22 && c.text == 24);
	c = log_component("pyroscope.write.w is unhealthy: x");
	assert_true(c.id == 0 && c.end == 17 && c.text == 0);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(log_component(none[i]).end, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_refuses_to_grow_past_its_maximum),
		cmocka_unit_test(cursor_never_reads_past_its_end),
		cmocka_unit_test(cursor_rejects_endless_leb128),
		cmocka_unit_test(hash_keeps_what_was_put_through_growth_and_deletion),
		cmocka_unit_test(intern_gives_one_id_per_string),
		cmocka_unit_test(loop_runs_timers_and_signals),
		cmocka_unit_test(log_quotes_what_logfmt_needs_quoted),
		cmocka_unit_test(log_quotes_json_whatever_the_bytes_are),
		cmocka_unit_test(log_finds_the_component_of_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
