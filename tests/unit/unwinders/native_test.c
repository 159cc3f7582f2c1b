/* SPDX-License-Identifier: Apache-2.0 */
/* Whole walks on hand-made memory: frame pointer chains, how walks end and how they go on. */
#include "bpf/runtimes.h"
#include "tests/unit/unwinders/stage.h"

/* ---- Frame pointers ---- */

static void a_frame_pointer_chain_ends_at_zero(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_FP, 0, 0));
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(10);
	s.stack[5] = CODE + 0x110;
	s.stack[10] = 0;
	s.stack[11] = CODE + 0x210;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x10f, 0x20f);
}

static void a_known_frame_pointer_may_lead_to_a_lower_stack(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_FP, 0, 0));
	reg(&s, DWARF_RSP, AT(100));
	reg(&s, DWARF_RBP, AT(110));
	s.stack[110] = AT(4);
	s.stack[111] = CODE + 0x110;
	s.stack[4] = 0;
	s.stack[5] = CODE + 0x120;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x10f, 0x11f);
}

static void a_guessed_frame_pointer_that_leads_down_is_refused(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_FP_GUESS);
	reg(&s, DWARF_RSP, AT(100));
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(200);
	s.stack[5] = CODE + 0x110;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_BAD_FRAME_POINTER);
	EXPECT_FRAMES(&s, 0x120);
}

static void an_odd_frame_pointer_is_none(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_FP, 0, 0));
	reg(&s, DWARF_RBP, AT(4) + 1);
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_BAD_FRAME_POINTER);
}

static void a_frame_pointer_out_of_a_full_copy_that_is_odd_is_still_bad(void **state)
{
	static uint64_t big[LATE_STACK_BYTES / 8];
	struct stage s;

	/* More copied stack would not make an odd number a frame pointer. */
	stage_init(&s);
	code(&s, 0x100, RULE_FP_GUESS);
	s.w.stack = (const uint8_t *)big;
	s.w.stack_bytes = sizeof(big);
	reg(&s, DWARF_RBP, 0x1234567);
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_BAD_FRAME_POINTER);
	s.w.n_frames = 0;
	reg(&s, DWARF_RBP, STACK + sizeof(big) + 64);
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_COPY_TOO_SHORT);
}

static void code_without_information_is_left_by_the_frame_pointer(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_INVALID);
	code(&s, 0x200, RULE_INVALID);
	s.rules[1].error = -ENODATA;
	code(&s, 0x300, RULE_END);
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(10);
	s.stack[5] = CODE + 0x210;
	s.stack[10] = AT(20);
	s.stack[11] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f);
}

static void a_guess_that_leads_to_no_code_is_shown_as_such(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_INVALID);
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(10);
	s.stack[5] = 0x123456789; /* data */
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_NO_MAPPING);
	EXPECT_FRAMES(&s, 0x120);
}

static void a_range_without_rows_asks_for_no_rule(void **state)
{
	struct stage s;

	stage_init(&s);
	s.range.state = RANGE_FP;
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = 0;
	s.stack[5] = CODE + 0x210;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f);
	assert_int_equal(s.calls, 0);
}

/* ---- RULE_RA_REG, RULE_END ---- */

static void a_return_address_in_a_register_is_used(void **state)
{
	struct stage s;

	/* vfork() of glibc: pop rdi; syscall; push rdi; ret */
	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_RA_REG, DWARF_RSP, 0) | (uint64_t)DWARF_RDI << 60);
	code(&s, 0x200, CFA(RSP, 2));
	code(&s, 0x300, RULE_END);
	reg(&s, DWARF_RDI, CODE + 0x210);
	s.stack[1] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f);
}

static void a_return_address_register_means_nothing_in_a_caller(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	code(&s, 0x200, RULE_BASE(RULE_RA_REG, DWARF_RSP, 0) | (uint64_t)DWARF_RDI << 60);
	reg(&s, DWARF_RDI, CODE + 0x310);
	s.stack[0] = CODE + 0x210;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_UNTRACKED_REGISTER);
}

static void a_zero_return_address_completes_the_stack(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	s.stack[0] = CODE + 0x110;
	s.stack[1] = 0;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x10f);
}

static void a_rule_kind_nobody_knows_has_a_reason(void **state)
{
	for (uint32_t kind = RULE_LOOP + 1; kind < 16; kind++) {
		struct stage s;

		stage_init(&s);
		code(&s, 0x100, RULE_BASE(kind, DWARF_RSP, 1));
		s.stack[0] = CODE + 0x110;
		assert_int_equal(walk(&s, 0x120), 0);
		assert_int_equal(s.w.reason, REASON_NO_RULE);
	}
}

/* ---- Where walks end ---- */

static void memory_that_is_not_there_is_unreadable(void **state)
{
	static const uint64_t sps[] = {STACK - 8, AT(WORDS), AT(WORDS) - 7, 0, UINT64_MAX - 15};

	for (size_t i = 0; i < ARRAY_SIZE(sps); i++) {
		struct stage s;

		stage_init(&s);
		code(&s, 0x100, CFA(RSP, 1));
		reg(&s, DWARF_RSP, sps[i]);
		assert_int_equal(walk(&s, 0x120), 0);
		assert_int_equal(s.w.reason, REASON_STACK_UNREADABLE);
		EXPECT_FRAMES(&s, 0x120);
	}
}

static void the_end_of_a_full_copy_is_called_so(void **state)
{
	static uint64_t big[LATE_STACK_BYTES / 8];
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	s.w.stack = (const uint8_t *)big;
	s.w.stack_bytes = sizeof(big);
	reg(&s, DWARF_RSP, STACK + sizeof(big));
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_COPY_TOO_SHORT);
}

static void a_missing_mapping_is_told_from_one_that_found_no_room(void **state)
{
	struct range full[WALK_RANGES];
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	s.stack[0] = CODE + CODE_BYTES + 0x1000;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_NO_MAPPING);

	/* The record holds no more: the address may well be code. */
	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	s.stack[0] = CODE + CODE_BYTES + 0x1000;
	for (int i = 0; i < WALK_RANGES; i++)
		full[i] = s.range;
	s.w.ranges = full;
	s.w.n_ranges = WALK_RANGES;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_COPY_TOO_SHORT);
}

static void the_last_byte_of_a_mapping_is_in_it_and_the_next_is_not(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_END);
	s.w.regs.pc = CODE + CODE_BYTES; /* a return address: the call is the last instruction */
	s.w.regs.is_leaf = 0;
	assert_int_equal(native_walk(&s.w, &stage_ops, &s), 1);
	EXPECT_FRAMES(&s, CODE_BYTES - 1);
	s.w.n_frames = 0;
	s.w.regs.is_leaf = 1;
	assert_int_equal(native_walk(&s.w, &stage_ops, &s), 0);
	assert_int_equal(s.w.reason, REASON_NO_MAPPING);
}

static void a_frame_pointer_that_points_at_itself_ends(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_FP, 0, 0));
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(4);
	s.stack[5] = CODE + 0x110;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_TOO_DEEP);
	assert_int_equal(s.w.n_frames, STACK_MAX_USER);
}

static void a_stack_is_cut_at_the_limit_and_not_before(void **state)
{
	struct stage s;

	for (uint64_t limit = 9; limit <= 10; limit++) {
		stage_init(&s);
		code(&s, 0x100, CFA(RSP, 1));
		for (int i = 0; i < 9; i++)
			s.stack[i] = CODE + 0x110;
		s.w.limit = (uint32_t)limit;
		if (limit == 10) {
			assert_int_equal(walk(&s, 0x120), 1);
		} else {
			assert_int_equal(walk(&s, 0x120), 0);
			assert_int_equal(s.w.reason, REASON_TOO_DEEP);
		}
		assert_int_equal(s.w.n_frames, limit);
	}
}

static void a_room_smaller_than_the_limit_is_never_left(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_FP, 0, 0));
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(4);
	s.stack[5] = CODE + 0x110;
	s.w.max_frames = 3;
	s.frames[3] = 0x5555;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.n_frames, 3);
	assert_int_equal(s.frames[3], 0x5555);
}

static void a_stack_that_lacks_a_frame_is_not_complete(void **state)
{
	struct stage s;

	/* Of three frames of a runtime the last finds no room for its two words, and then one of
	 * native code does for its own. */
	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	s.w.max_frames = 5;
	for (uint64_t i = 1; i <= 3; i++)
		native_push(&s.w, 1, i, i);
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_TOO_DEEP);
	assert_int_equal(s.w.n_frames, 4);
}

static void a_walk_goes_on_where_it_had_to_wait(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_WITH_SLOT(CFA(RSP, 2), SLOT_RBX, 2));
	code(&s, 0x200, CFA(RBX, 1));
	s.rules[1].error = -EAGAIN;
	code(&s, 0x300, RULE_END);
	s.stack[0] = AT(20);
	s.stack[1] = CODE + 0x210;
	s.stack[20] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), -EAGAIN);
	EXPECT_FRAMES(&s, 0x120);
	assert_int_equal(s.w.blocked, FRAME_OF_FILE(FILE_ID, 0x20f));
	assert_int_equal(native_walk(&s.w, &stage_ops, &s), -EAGAIN);
	EXPECT_FRAMES(&s, 0x120);
	s.rules[1].error = 0;
	assert_int_equal(native_walk(&s.w, &stage_ops, &s), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f);
}

static void frames_behind_others_are_appended(void **state)
{
	struct stage s;

	/* Kernel frames and what the kernel walked stand before. */
	stage_init(&s);
	code(&s, 0x100, RULE_END);
	s.frames[0] = 0xffffffff81000000;
	s.w.n_frames = 1;
	assert_int_equal(walk(&s, 0x120), 1);
	assert_int_equal(s.w.n_frames, 2);
	assert_int_equal(s.frames[0], 0xffffffff81000000);
	assert_int_equal(s.frames[1], FRAME_OF_FILE(FILE_ID, 0x120));
}

/* ---- Interpreters and code without a file ---- */

#define LOOP	    0x200 /* in the code */
#define INTERPRETER 3
#define PYTHON(v)   FRAME_OF_RUNTIME(INTERPRETER, v), FRAME(FRAME_MORE, (v) + 1)
#define EXPECT(s, ...)                                                  \
	do {                                                            \
		static const uint64_t words[] = {__VA_ARGS__};          \
                                                                        \
		assert_int_equal((s)->w.n_frames, ARRAY_SIZE(words));   \
		assert_memory_equal((s)->frames, words, sizeof(words)); \
	} while (0)

static uint32_t loop_runtime(void *data, uint64_t frame)
{
	return INTERPRETER;
}

/* leaf -> loop -> C function -> loop -> main */
static void stage_loops(struct stage *s)
{
	stage_init(s);
	code(s, 0x100, CFA(RSP, 1));
	code(s, LOOP, RULE_BASE(RULE_LOOP, DWARF_RSP, 1));
	code(s, 0x300, CFA(RSP, 1));
	code(s, 0x400, RULE_END);
	s->stack[0] = CODE + LOOP + 0x10;
	s->stack[1] = CODE + 0x310;
	s->stack[2] = CODE + LOOP + 0x20;
	s->stack[3] = CODE + 0x410;
	s->w.regs.pc = CODE + 0x120;
}

static const struct native_ops loop_ops = {.rule = stage_rule, .runtime_of = loop_runtime};
#define NATIVE(offset) FRAME_OF_FILE(FILE_ID, offset)

static void captured_frames_stand_for_the_loops_that_ran_them(void **state)
{
	static const uint64_t loops[] = {PYTHON(1), PYTHON(2), 0, PYTHON(3), 0};
	struct stage s;

	stage_loops(&s);
	s.w.loops = loops;
	s.w.n_loops = ARRAY_SIZE(loops);
	assert_int_equal(native_walk(&s.w, &loop_ops, &s), 1);
	EXPECT(&s, NATIVE(0x120), PYTHON(1), PYTHON(2), NATIVE(0x30f), PYTHON(3), NATIVE(0x40f));
	assert_false(s.w.gap);
	assert_int_equal(s.w.depth, 6);
}

static void loops_whose_frames_were_not_captured_say_so(void **state)
{
	static const uint64_t loops[] = {PYTHON(1), 0};
	struct stage s;

	stage_loops(&s);
	s.w.loops = loops;
	s.w.n_loops = ARRAY_SIZE(loops);
	assert_int_equal(native_walk(&s.w, &loop_ops, &s), 1);
	EXPECT(&s, NATIVE(0x120), PYTHON(1), NATIVE(0x30f),
	       RUNTIME_REASON(INTERPRETER, RUNTIME_REASON_UNSEEN), NATIVE(0x40f));
	assert_true(s.w.gap);
}

/* The interrupted one may have linked no frame yet, or its frames may be gone already. */
static void captured_frames_of_another_native_frame_wait_for_it(void **state)
{
	struct stage s;
	uint64_t loops[] = {PYTHON(1), 0};

	stage_loops(&s);
	loops[2] = FRAME(FRAME_NONE, s.w.regs.sp + 24);
	s.w.loops = loops;
	s.w.n_loops = ARRAY_SIZE(loops);
	assert_int_equal(native_walk(&s.w, &loop_ops, &s), 1);
	EXPECT(&s, NATIVE(0x120), NATIVE(0x30f), PYTHON(1), NATIVE(0x40f));
	assert_false(s.w.gap);
}

static void loops_of_a_runtime_that_is_not_wanted_are_frames(void **state)
{
	struct stage s;

	stage_loops(&s);
	assert_int_equal(native_walk(&s.w, &stage_ops, &s), 1);
	EXPECT(&s, NATIVE(0x120), NATIVE(LOOP + 0xf), NATIVE(0x30f), NATIVE(LOOP + 0x1f),
	       NATIVE(0x40f));
	assert_false(s.w.gap);
}

static int code_step_result;

/* A frame of a word, whose caller is the code with rules. */
static int one_code_step(void *data, struct native_walk *w)
{
	uint64_t ra;

	if (code_step_result == -EIO)
		native_push_reason(w, INTERPRETER, 7);
	if (code_step_result < 0)
		return code_step_result;
	native_push(w, INTERPRETER, 5, 6);
	assert_int_equal(native_read(w, w->regs.sp, &ra, sizeof(ra)), 0);
	w->regs.pc = ra;
	w->regs.sp += 8;
	w->regs.is_leaf = 0;
	return 0;
}

static void code_without_a_file_is_left_by_its_runtime(void **state)
{
	static const struct native_ops ops = {.rule = stage_rule, .code_step = one_code_step};
	struct range ranges[2];
	struct stage s;

	for (int i = 0; i < 3; i++) {
		code_step_result = (int[]){0, -EIO, -ENOENT}[i];
		stage_init(&s);
		code(&s, 0x400, RULE_END);
		s.stack[0] = CODE + 0x410;
		ranges[0] = s.range;
		ranges[1] = (struct range){.start = 0x7000,
					   .size = 0x1000,
					   .first_frame = FRAME(FRAME_ANON, 0x7000),
					   .state = RANGE_FP,
					   .file = FILE_ID_ANON};
		s.w.ranges = ranges;
		s.w.n_ranges = 2;
		s.w.regs.pc = 0x7010;
		assert_int_equal(native_walk(&s.w, &ops, &s), i == 1 ? 0 : 1);
		if (i == 0)
			EXPECT(&s, FRAME_OF_RUNTIME(INTERPRETER, 5), FRAME(FRAME_MORE, 6),
			       NATIVE(0x40f));
		else if (i == 1)
			EXPECT(&s, RUNTIME_REASON(INTERPRETER, 7));
		else
			EXPECT(&s, FRAME(FRAME_ANON, 0x7010));
		assert_int_equal(s.w.gap, i == 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(a_frame_pointer_chain_ends_at_zero),
		T(a_known_frame_pointer_may_lead_to_a_lower_stack),
		T(a_guessed_frame_pointer_that_leads_down_is_refused),
		T(an_odd_frame_pointer_is_none),
		T(a_frame_pointer_out_of_a_full_copy_that_is_odd_is_still_bad),
		T(code_without_information_is_left_by_the_frame_pointer),
		T(a_guess_that_leads_to_no_code_is_shown_as_such),
		T(a_range_without_rows_asks_for_no_rule),
		T(a_return_address_in_a_register_is_used),
		T(a_return_address_register_means_nothing_in_a_caller),
		T(a_zero_return_address_completes_the_stack),
		T(a_rule_kind_nobody_knows_has_a_reason),
		T(memory_that_is_not_there_is_unreadable),
		T(the_end_of_a_full_copy_is_called_so),
		T(a_missing_mapping_is_told_from_one_that_found_no_room),
		T(the_last_byte_of_a_mapping_is_in_it_and_the_next_is_not),
		T(a_frame_pointer_that_points_at_itself_ends),
		T(a_stack_is_cut_at_the_limit_and_not_before),
		T(a_room_smaller_than_the_limit_is_never_left),
		T(a_stack_that_lacks_a_frame_is_not_complete),
		T(a_walk_goes_on_where_it_had_to_wait),
		T(frames_behind_others_are_appended),
		T(captured_frames_stand_for_the_loops_that_ran_them),
		T(loops_whose_frames_were_not_captured_say_so),
		T(captured_frames_of_another_native_frame_wait_for_it),
		T(loops_of_a_runtime_that_is_not_wanted_are_frames),
		T(code_without_a_file_is_left_by_its_runtime),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
