/* SPDX-License-Identifier: Apache-2.0 */
/* Whole walks on hand-made memory: frame pointer chains, how walks end and how they go on. */
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
	for (uint32_t kind = RULE_RA_REG + 1; kind < 16; kind++) {
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
	assert_int_equal(native_walk(&s.w, stage_rule, &s), 1);
	EXPECT_FRAMES(&s, CODE_BYTES - 1);
	s.w.n_frames = 0;
	s.w.regs.is_leaf = 1;
	assert_int_equal(native_walk(&s.w, stage_rule, &s), 0);
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
	assert_int_equal(native_walk(&s.w, stage_rule, &s), -EAGAIN);
	EXPECT_FRAMES(&s, 0x120);
	s.rules[1].error = 0;
	assert_int_equal(native_walk(&s.w, stage_rule, &s), 1);
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
		T(a_walk_goes_on_where_it_had_to_wait),
		T(frames_behind_others_are_appended),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
