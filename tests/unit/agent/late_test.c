/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Late unwinding: samples whose rules come later, or never. The records are as the kernel sends
 * them, of a process with two files; rules are given by the test, per file.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/late.h"

#define FIRST	   20 /* file of the leaf */
#define SECOND	   21 /* file of the caller */
#define CODE	   0x400000ull
#define STACK	   0x7ffc00001000ull
#define KERNEL	   0xffffffff81234567ull
#define CFA_RSP(n) RULE_BASE(RULE_CFA, DWARF_RSP, n)

struct fixture {
	struct stacks stacks;
	struct late *late;
	int first, second; /* -EAGAIN: not there yet; -ENODATA: none */
	int asked;
};

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	struct fixture *f = ((struct late_walk *)data)->data;
	int r = FRAME_FILE(frame) == FIRST ? f->first : f->second;

	f->asked++;
	if (r >= 0)
		*ret_rule = FRAME_FILE(frame) == FIRST ? CFA_RSP(1) : RULE_END;
	return r;
}

static const struct native_ops ops = {.rule = rule_of};

static void setup(struct fixture *f, size_t max_bytes)
{
	struct late_options o = {
		.ops = &ops,
		.data = f,
		.stacks = &f->stacks,
		.max_bytes = max_bytes,
		.max_frames = STACK_MAX_USER,
	};

	*f = (struct fixture){.first = -EAGAIN, .second = -EAGAIN};
	stacks_init(&f->stacks, 1 << 20);
	assert_int_equal(late_new(&o, &f->late), 0);
}

static void teardown(struct fixture *f)
{
	f->late = late_free(f->late);
	stacks_done(&f->stacks);
}

/* A leaf in FIRST at offset 0x100 that was called from SECOND, with n_kernel kernel frames. */
static struct event_late *record(uint32_t tgid, uint32_t n_kernel, uint32_t stack_bytes)
{
	static struct event_late_large record;
	struct event_late *e = &record.late;
	uint64_t word = CODE + 0x100000 + 0x210, frame = KERNEL;

	memset(&record, 0, sizeof(record));
	e->h.kind = EVENT_LATE;
	e->id = (struct task_id){.tgid = tgid, .mm = 1};
	e->n_kernel = n_kernel;
	e->n_ranges = 2;
	e->ranges[0] = (struct range){.start = CODE,
				      .size = 0x10000,
				      .first_frame = FRAME_OF_FILE(FIRST, 0),
				      .file = FIRST};
	e->ranges[1] = (struct range){.start = CODE + 0x100000,
				      .size = 0x10000,
				      .first_frame = FRAME_OF_FILE(SECOND, 0),
				      .file = SECOND};
	e->regs.is_leaf = 1;
	e->regs.pc = CODE + 0x100;
	e->regs.sp = STACK;
	e->regs.saved[SLOT_NONE] = SAVED_LOST;
	for (uint32_t i = 0; i < n_kernel; i++)
		e->frames[i] = frame;
	e->stack_bytes = stack_bytes;
	if (stack_bytes >= 8)
		memcpy(record.stack, &word, 8);
	e->h.bytes = (uint32_t)sizeof(*e) + stack_bytes;
	return e;
}

static void expect_stack(const struct fixture *f, size_t sample, const uint64_t *frames, size_t n)
{
	const struct stack *st = f->stacks.samples[sample].stack;

	assert_non_null(st);
	assert_int_equal(st->n_kernel + st->n_user, n);
	assert_memory_equal(st->frames, frames, 8 * n);
	assert_int_equal(st->hash, stacks_hash(frames, n));
}
#define EXPECT_STACK(f, sample, ...)                             \
	expect_stack(f, sample, (const uint64_t[]){__VA_ARGS__}, \
		     sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
#define LEAF   FRAME_OF_FILE(FIRST, 0x100)
#define CALLER FRAME_OF_FILE(SECOND, 0x20f)

static void a_sample_whose_rules_are_there_is_finished_at_once(void **state)
{
	struct late_stats stats;
	struct fixture f;

	setup(&f, 1 << 20);
	f.first = f.second = 0;
	late_add(f.late, record(1, 1, 4096));
	assert_int_equal(late_waiting(f.late), 0);
	EXPECT_STACK(&f, 0, KERNEL, LEAF, CALLER);
	assert_true(f.stacks.samples[0].stack->complete);
	assert_int_equal(f.stacks.samples[0].stack->n_kernel, 1);
	assert_int_equal(f.stacks.samples[0].id.tgid, 1);
	late_get_stats(f.late, &stats);
	assert_int_equal(stats.samples, 1);
	assert_int_equal(stats.finished, 1);
	assert_int_equal(stats.complete, 1);
	assert_int_equal(stats.dropped, 0);
	teardown(&f);
}

static void a_sample_waits_for_one_file_after_the_other(void **state)
{
	struct fixture f;

	setup(&f, 1 << 20);
	late_add(f.late, record(1, 2, 4096));
	assert_int_equal(late_waiting(f.late), 1);
	assert_int_equal(f.stacks.n_samples, 0);
	f.first = 0;
	late_resume(f.late);
	assert_int_equal(late_waiting(f.late), 1);
	f.second = 0;
	late_resume(f.late);
	assert_int_equal(late_waiting(f.late), 0);
	EXPECT_STACK(&f, 0, KERNEL, KERNEL, LEAF, CALLER);
	teardown(&f);
}

static void what_need_not_wait_overtakes_what_waits(void **state)
{
	struct fixture f;

	setup(&f, 1 << 20);
	for (uint32_t tgid = 1; tgid <= 3; tgid++)
		late_add(f.late, record(tgid, 0, 4096));
	assert_int_equal(late_waiting(f.late), 3);
	f.first = f.second = 0;
	late_add(f.late, record(4, 0, 4096));
	assert_int_equal(f.stacks.samples[0].id.tgid, 4);
	late_resume(f.late);
	assert_int_equal(late_waiting(f.late), 0);
	assert_int_equal(f.stacks.n_samples, 4);
	/* The others in the order they came. */
	for (uint32_t i = 1; i < 4; i++)
		assert_int_equal(f.stacks.samples[i].id.tgid, i);
	/* And the queue can be used again. */
	f.first = -EAGAIN;
	late_add(f.late, record(5, 0, 4096));
	assert_int_equal(late_waiting(f.late), 1);
	teardown(&f);
}

static void over_the_budget_samples_are_cut_and_say_so(void **state)
{
	struct late_stats stats;
	struct fixture f;

	setup(&f, 3 * LATE_STACK_BYTES);
	for (uint32_t tgid = 1; tgid <= 10; tgid++)
		late_add(f.late, record(tgid, 1, LATE_STACK_BYTES));
	assert_in_range(late_waiting(f.late), 2, 4);
	late_get_stats(f.late, &stats);
	assert_int_equal(stats.dropped, 10 - late_waiting(f.late));
	assert_int_equal(f.stacks.n_samples, stats.dropped);
	EXPECT_STACK(&f, 0, KERNEL, FRAME(FRAME_REASON, REASON_LATE_DROPPED));
	assert_false(f.stacks.samples[0].stack->complete);
	/* What was finished makes room. */
	f.first = f.second = 0;
	late_resume(f.late);
	f.first = -EAGAIN;
	late_add(f.late, record(11, 1, LATE_STACK_BYTES));
	assert_int_equal(late_waiting(f.late), 1);
	teardown(&f);
}

static void giving_up_keeps_the_frames_so_far(void **state)
{
	struct fixture f;

	setup(&f, 1 << 20);
	f.first = 0;
	late_add(f.late, record(1, 1, 4096));
	late_add(f.late, record(2, 0, 4096));
	assert_int_equal(late_waiting(f.late), 2);
	late_give_up(f.late, REASON_FILE_BAD);
	assert_int_equal(late_waiting(f.late), 0);
	EXPECT_STACK(&f, 0, KERNEL, LEAF, FRAME(FRAME_REASON, REASON_FILE_BAD));
	EXPECT_STACK(&f, 1, LEAF, FRAME(FRAME_REASON, REASON_FILE_BAD));
	late_give_up(f.late, REASON_FILE_BAD);
	assert_int_equal(f.stacks.n_samples, 2);
	teardown(&f);
}

static void a_file_without_rules_is_left_by_the_frame_pointer(void **state)
{
	struct event_late *e;
	struct fixture f;
	uint64_t pair[] = {0, CODE + 0x100000 + 0x310};

	setup(&f, 1 << 20);
	f.first = -ENODATA;
	f.second = 0;
	e = record(1, 0, 4096);
	e->regs.regs[SLOT_RBP] = e->regs.leaf[DWARF_RBP] = STACK + 64;
	memcpy((uint8_t *)(e + 1) + 64, pair, 16);
	late_add(f.late, e);
	EXPECT_STACK(&f, 0, LEAF, FRAME_OF_FILE(SECOND, 0x30f));
	teardown(&f);
}

static void a_stack_that_is_not_there_says_so(void **state)
{
	struct fixture f;

	setup(&f, 1 << 20);
	f.first = f.second = 0;
	late_add(f.late, record(1, 0, 0));
	EXPECT_STACK(&f, 0, LEAF, FRAME(FRAME_REASON, REASON_STACK_UNREADABLE));
	teardown(&f);
}

static void a_stack_of_the_greatest_depth_has_room(void **state)
{
	struct event_late *e;
	struct fixture f;
	uint64_t ra = CODE + 0x110;

	/* 127 kernel frames, the most user frames of a record, and a chain that never ends. */
	setup(&f, 1 << 20);
	f.first = 0;
	e = record(1, STACK_MAX_KERNEL - 1, LATE_STACK_BYTES);
	for (size_t i = 0; i < LATE_STACK_BYTES; i += 8)
		memcpy((uint8_t *)(e + 1) + i, &ra, 8);
	late_add(f.late, e);
	assert_int_equal(f.stacks.samples[0].stack->n_user, STACK_MAX_USER + 1);
	assert_int_equal(f.stacks.samples[0].stack->frames[STACK_MAX_KERNEL - 1 + STACK_MAX_USER],
			 FRAME(FRAME_REASON, REASON_TOO_DEEP));
	teardown(&f);
}

static void a_record_whose_numbers_do_not_fit_is_not_read(void **state)
{
	struct fixture f;

	for (int i = 0; i < 6; i++) {
		struct event_late *e = record(1, 1, 4096);

		setup(&f, 1 << 20);
		f.first = f.second = 0;
		if (i == 0)
			e->n_kernel = STACK_MAX_KERNEL;
		if (i == 1)
			e->n_user = LATE_FRAMES_MAX;
		if (i == 2)
			e->n_ranges = WALK_RANGES + 1;
		if (i == 3)
			e->stack_bytes = LATE_STACK_BYTES + 8;
		if (i == 4)
			e->h.bytes -= 8;
		if (i == 5)
			e->n_user = UINT32_MAX;
		late_add(f.late, e);
		assert_int_equal(f.asked, 0);
		assert_int_equal(late_waiting(f.late), 0);
		teardown(&f);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sample_whose_rules_are_there_is_finished_at_once),
		cmocka_unit_test(a_sample_waits_for_one_file_after_the_other),
		cmocka_unit_test(what_need_not_wait_overtakes_what_waits),
		cmocka_unit_test(over_the_budget_samples_are_cut_and_say_so),
		cmocka_unit_test(giving_up_keeps_the_frames_so_far),
		cmocka_unit_test(a_file_without_rules_is_left_by_the_frame_pointer),
		cmocka_unit_test(a_stack_that_is_not_there_says_so),
		cmocka_unit_test(a_stack_of_the_greatest_depth_has_room),
		cmocka_unit_test(a_record_whose_numbers_do_not_fit_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
