/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of unwind rule on hand-made memory: registers, where they are saved, signal frames. */
#include <ucontext.h>

#include "tests/unit/unwinders/stage.h"

/* ---- RULE_CFA ---- */

static void the_interrupted_instruction_is_the_frame_and_callers_are_one_before(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	code(&s, 0x200, CFA(RSP, 3));
	code(&s, 0x300, RULE_END);
	s.stack[0] = CODE + 0x210;
	s.stack[3] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f);
}

static void a_call_as_the_last_instruction_belongs_to_its_function(void **state)
{
	struct stage s;

	/* The return address is the first byte of the next function. */
	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	code(&s, 0x200, RULE_END);
	code(&s, 0x300, CFA(RSP, 1));
	s.stack[0] = CODE + 0x300;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x2ff);
}

static void rbp_saved_below_the_return_address_leads_on(void **state)
{
	struct stage s;

	stage_init(&s);
	/* push rbp; mov rbp, rsp */
	code(&s, 0x100, RULE_WITH_SLOT(CFA(RBP, 2), SLOT_RBP, 2));
	code(&s, 0x300, RULE_END);
	reg(&s, DWARF_RBP, AT(4));
	s.stack[4] = AT(10);
	s.stack[5] = CODE + 0x180;
	s.stack[10] = AT(30);
	s.stack[11] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x17f, 0x30f);
	assert_int_equal(s.w.regs.regs[SLOT_RBP], AT(30));
}

static void the_frame_may_be_found_through_any_register_in_a_leaf(void **state)
{
	static const uint32_t regs[] = {DWARF_RAX, DWARF_RCX, DWARF_RDX, DWARF_RSI, DWARF_RDI,
					DWARF_R8,  DWARF_R9,  DWARF_R10, DWARF_R11, DWARF_RBX,
					DWARF_RBP, DWARF_R12, DWARF_R13, DWARF_R14, DWARF_R15};

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		struct stage s;

		stage_init(&s);
		code(&s, 0x100, RULE_BASE(RULE_CFA, regs[i], 2));
		code(&s, 0x300, RULE_END);
		reg(&s, regs[i], AT(20));
		s.stack[21] = CODE + 0x310;
		assert_int_equal(walk(&s, 0x120), 1);
		EXPECT_FRAMES(&s, 0x120, 0x30f);
	}
}

static void a_register_that_calls_clobber_is_unknown_in_a_caller(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	code(&s, 0x200, CFA(R10, 2));
	reg(&s, DWARF_R10, AT(20));
	s.stack[0] = CODE + 0x210;
	s.stack[21] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_UNTRACKED_REGISTER);
	EXPECT_FRAMES(&s, 0x120, 0x20f);
}

static void a_saved_register_is_found_many_frames_later(void **state)
{
	struct stage s;

	stage_init(&s);
	/* The leaf saves rbx, two functions leave it alone, the fourth needs it. */
	code(&s, 0x100, RULE_WITH_SLOT(CFA(RSP, 3), SLOT_RBX, 2));
	code(&s, 0x200, CFA(RSP, 1));
	code(&s, 0x300, CFA(RBX, 2));
	code(&s, 0x400, RULE_END);
	reg(&s, DWARF_RBX, 0xdead);
	s.stack[1] = AT(40);
	s.stack[2] = CODE + 0x210;
	s.stack[3] = CODE + 0x220;
	s.stack[4] = CODE + 0x310;
	s.stack[41] = CODE + 0x410;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x21f, 0x30f, 0x40f);
}

static void a_register_saved_twice_has_the_value_of_the_outer_save(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_WITH_SLOT(CFA(RSP, 2), SLOT_R12, 2));
	code(&s, 0x200, RULE_WITH_SLOT(CFA(RSP, 2), SLOT_R12, 2));
	code(&s, 0x300, CFA(R12, 1));
	code(&s, 0x400, RULE_END);
	s.stack[0] = AT(7); /* r12 in the second function: of no use */
	s.stack[1] = CODE + 0x210;
	s.stack[2] = AT(50);
	s.stack[3] = CODE + 0x310;
	s.stack[50] = CODE + 0x410;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f, 0x40f);
}

static void every_saved_register_has_its_own_slot(void **state)
{
	static const uint32_t dwarf[SLOT_MAX] = {DWARF_RBP, DWARF_RBX, DWARF_R12,
						 DWARF_R13, DWARF_R14, DWARF_R15};

	for (int i = 0; i < SLOT_MAX; i++) {
		uint64_t rule = CFA(RSP, 10);
		struct stage s;

		stage_init(&s);
		for (int k = 0; k < SLOT_MAX; k++)
			rule = RULE_WITH_SLOT(rule, k, 3 + k);
		code(&s, 0x100, rule);
		code(&s, 0x200, RULE_BASE(RULE_CFA, dwarf[i], 1));
		code(&s, 0x300, RULE_END);
		s.stack[9] = CODE + 0x210;
		for (int k = 0; k < SLOT_MAX; k++)
			s.stack[10 - 3 - k] = AT(100 + k);
		s.stack[100 + i] = CODE + 0x310 + i;
		assert_int_equal(walk(&s, 0x120), 1);
		EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f + i);
	}
}

static void a_lost_register_is_not_guessed(void **state)
{
	for (int slot = 0; slot < SLOT_MAX; slot++) {
		static const uint32_t dwarf[SLOT_MAX] = {DWARF_RBP, DWARF_RBX, DWARF_R12,
							 DWARF_R13, DWARF_R14, DWARF_R15};
		struct stage s;

		stage_init(&s);
		code(&s, 0x100, RULE_WITH_SLOT(CFA(RSP, 1), slot, RULE_SLOT_LOST));
		code(&s, 0x200, RULE_BASE(RULE_CFA, dwarf[slot], 1));
		reg(&s, dwarf[slot], AT(20));
		s.stack[0] = CODE + 0x210;
		s.stack[20] = CODE + 0x310;
		assert_int_equal(walk(&s, 0x120), 0);
		assert_int_equal(s.w.reason, REASON_UNTRACKED_REGISTER);
		EXPECT_FRAMES(&s, 0x120, 0x20f);
	}
}

static void a_negative_offset_of_the_base_register_is_one(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RBP, -4));
	code(&s, 0x300, RULE_END);
	reg(&s, DWARF_RBP, AT(20));
	s.stack[15] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x30f);
}

static void a_frame_below_the_stack_pointer_is_a_loop(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RBP, 2));
	reg(&s, DWARF_RSP, AT(10));
	reg(&s, DWARF_RBP, AT(8)); /* CFA == rsp: the walk would stand still */
	s.stack[9] = CODE + 0x110;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_STACK_LOOP);
	EXPECT_FRAMES(&s, 0x120);
}

/* ---- RULE_CFA_FAR ---- */

static void a_frame_of_a_megabyte_keeps_rbp_and_rbx(void **state)
{
	uint64_t rule = RULE_BASE(RULE_CFA_FAR, DWARF_RSP, 300) | 200ull << 28 | 250ull << 46;
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, rule);
	code(&s, 0x200, RULE_WITH_SLOT(CFA(RBX, 1), SLOT_RBP, 0));
	code(&s, 0x300, CFA(RBP, 1));
	code(&s, 0x400, RULE_END);
	s.stack[299] = CODE + 0x210;
	s.stack[300 - 200] = AT(400);
	s.stack[300 - 250] = AT(350);
	s.stack[350] = CODE + 0x310;
	s.stack[400] = CODE + 0x410;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f, 0x40f);
}

static void a_far_frame_loses_the_other_registers(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_CFA_FAR, DWARF_RSP, 300) | (uint64_t)RULE_FAR_LOST << 28);
	code(&s, 0x200, CFA(R13, 1));
	code(&s, 0x210, CFA(RBP, 1));
	code(&s, 0x220, CFA(RBX, 1));
	for (uint64_t at = 0x208; at < 0x230; at += 0x10) {
		s.w.n_frames = 0;
		s.w.regs.is_leaf = 1;
		memset(s.w.regs.saved, 0, sizeof(s.w.regs.saved));
		s.w.regs.saved[SLOT_NONE] = SAVED_LOST;
		reg(&s, DWARF_RSP, AT(0));
		reg(&s, DWARF_R13, AT(400));
		reg(&s, DWARF_RBP, AT(400));
		reg(&s, DWARF_RBX, AT(400));
		s.stack[299] = CODE + at;
		s.stack[400] = CODE + 0x110;
		assert_int_equal(walk(&s, 0x120), 0);
		assert_int_equal(s.w.reason, REASON_UNTRACKED_REGISTER);
	}
}

/* ---- RULE_DEREF ---- */

static void a_realigned_stack_is_left_through_the_saved_pointer(void **state)
{
	struct stage s;

	/* GCC: lea r10, [rsp+8]; and rsp, -32; push [r10-8]; push rbp; mov rbp, rsp; ... push r10:
	 * the CFA is what lies at rbp - 8, rbp of the caller at rbp. */
	stage_init(&s);
	code(&s, 0x100,
	     RULE_WITH_SLOT(RULE_BASE(RULE_DEREF, DWARF_RBP, -1), SLOT_RBP, RULE_DEREF_AT_BASE));
	code(&s, 0x200, CFA(RBP, 2));
	code(&s, 0x300, RULE_END);
	reg(&s, DWARF_RBP, AT(10));
	s.stack[9] = AT(21);
	s.stack[10] = AT(30);
	s.stack[20] = CODE + 0x210;
	s.stack[31] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f);
}

static void bytes_are_added_after_the_load(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_DEREF, DWARF_RSP, 2) | 16ull << 34);
	code(&s, 0x200, RULE_BASE(RULE_DEREF, DWARF_RSP, 0) | (uint64_t)-8 << 34);
	code(&s, 0x300, RULE_END);
	s.stack[2] = AT(10);
	s.stack[11] = CODE + 0x210; /* CFA = 12 */
	s.stack[12] = AT(21);
	s.stack[19] = CODE + 0x310; /* CFA = 20 */
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x20f, 0x30f);
}

static void a_dereferenced_frame_that_leads_down_is_refused(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, RULE_BASE(RULE_DEREF, DWARF_RSP, 0));
	reg(&s, DWARF_RSP, AT(10));
	s.stack[10] = AT(5);
	s.stack[4] = CODE + 0x110;
	assert_int_equal(walk(&s, 0x120), 0);
	assert_int_equal(s.w.reason, REASON_STACK_LOOP);
}

/* ---- RULE_PLT ---- */

static void a_binding_stub_is_left_before_and_after_its_push(void **state)
{
	static const struct {
		uint64_t pc;
		int word;
	} cases[] = {{0x100, 0}, {0x105, 0}, {0x10a, 0}, {0x10b, 1}, {0x10f, 1}, {0x11b, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stage s;

		stage_init(&s);
		code(&s, 0x100, RULE_BASE(RULE_PLT, DWARF_RSP, 11));
		code(&s, 0x300, RULE_END);
		s.stack[0] = s.stack[1] = 7; /* the pushed relocation index */
		s.stack[cases[i].word] = CODE + 0x310;
		assert_int_equal(walk(&s, cases[i].pc), 1);
		EXPECT_FRAMES(&s, cases[i].pc, 0x30f);
		assert_int_equal(s.w.regs.sp, AT(cases[i].word + 1));
	}
}

/* ---- RULE_SIGNAL ---- */

/* What the kernel pushes: the restorer's address, then a ucontext (struct rt_sigframe). */
static void push_signal_frame(struct stage *s, int word, const greg_t *regs)
{
	ucontext_t uc = {0};

	memcpy(uc.uc_mcontext.gregs, regs, sizeof(gregset_t));
	s->stack[word] = CODE + 0x900; /* __restore_rt */
	memcpy(&s->stack[word + 1], &uc, MIN(sizeof(uc), 8u * (WORDS - 1 - (size_t)word)));
}

static void a_signal_frame_gives_back_every_register_of_the_interrupted_code(void **state)
{
	static const struct {
		uint32_t dwarf;
		int greg;
	} regs[] = {{DWARF_RAX, REG_RAX}, {DWARF_RBX, REG_RBX}, {DWARF_RCX, REG_RCX},
		    {DWARF_RDX, REG_RDX}, {DWARF_RSI, REG_RSI}, {DWARF_RDI, REG_RDI},
		    {DWARF_RBP, REG_RBP}, {DWARF_R8, REG_R8},	{DWARF_R9, REG_R9},
		    {DWARF_R10, REG_R10}, {DWARF_R11, REG_R11}, {DWARF_R12, REG_R12},
		    {DWARF_R13, REG_R13}, {DWARF_R14, REG_R14}, {DWARF_R15, REG_R15}};

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		gregset_t g = {0};
		struct stage s;

		stage_init(&s);
		code(&s, 0x100, CFA(RSP, 1));
		code(&s, 0x200, RULE_BASE(RULE_CFA, regs[i].dwarf, 1));
		code(&s, 0x300, RULE_END);
		code(&s, 0x8f0, RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
		g[REG_RIP] = (greg_t)(CODE + 0x234);
		g[REG_RSP] = (greg_t)AT(400);
		g[regs[i].greg] = (greg_t)AT(450);
		push_signal_frame(&s, 0, g);
		s.stack[450] = CODE + 0x310;
		assert_int_equal(walk(&s, 0x120), 1);
		/* The interrupted instruction itself, not the one before it. */
		EXPECT_FRAMES(&s, 0x120, 0x8ff, 0x234, 0x30f);
	}
}

static void a_handler_on_its_own_stack_leads_back_to_the_lower_one(void **state)
{
	gregset_t g = {0};
	struct stage s;

	stage_init(&s);
	code(&s, 0x100, CFA(RSP, 1));
	code(&s, 0x200, CFA(RSP, 2));
	code(&s, 0x300, RULE_END);
	code(&s, 0x8f0, RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
	g[REG_RIP] = (greg_t)(CODE + 0x234);
	g[REG_RSP] = (greg_t)AT(20);
	reg(&s, DWARF_RSP, AT(100));
	push_signal_frame(&s, 100, g);
	s.stack[21] = CODE + 0x310;
	assert_int_equal(walk(&s, 0x120), 1);
	EXPECT_FRAMES(&s, 0x120, 0x8ff, 0x234, 0x30f);
}

static void inside_the_restorer_the_ucontext_is_at_the_stack_pointer(void **state)
{
	gregset_t g = {0};
	struct stage s;

	stage_init(&s);
	code(&s, 0x300, RULE_END);
	code(&s, 0x8f0, RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
	g[REG_RIP] = (greg_t)(CODE + 0x310);
	g[REG_RSP] = (greg_t)AT(200);
	push_signal_frame(&s, 0, g);
	reg(&s, DWARF_RSP, AT(1));
	assert_int_equal(walk(&s, 0x902), 1);
	EXPECT_FRAMES(&s, 0x902, 0x310);
}

static void a_signal_frame_at_the_end_of_the_memory_is_unreadable(void **state)
{
	struct stage s;

	stage_init(&s);
	code(&s, 0x8f0, RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
	reg(&s, DWARF_RSP, AT(WORDS - 8));
	assert_int_equal(walk(&s, 0x902), 0);
	assert_int_equal(s.w.reason, REASON_STACK_UNREADABLE);
	EXPECT_FRAMES(&s, 0x902);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(the_interrupted_instruction_is_the_frame_and_callers_are_one_before),
		T(a_call_as_the_last_instruction_belongs_to_its_function),
		T(rbp_saved_below_the_return_address_leads_on),
		T(the_frame_may_be_found_through_any_register_in_a_leaf),
		T(a_register_that_calls_clobber_is_unknown_in_a_caller),
		T(a_saved_register_is_found_many_frames_later),
		T(a_register_saved_twice_has_the_value_of_the_outer_save),
		T(every_saved_register_has_its_own_slot),
		T(a_lost_register_is_not_guessed),
		T(a_negative_offset_of_the_base_register_is_one),
		T(a_frame_below_the_stack_pointer_is_a_loop),
		T(a_frame_of_a_megabyte_keeps_rbp_and_rbx),
		T(a_far_frame_loses_the_other_registers),
		T(a_realigned_stack_is_left_through_the_saved_pointer),
		T(bytes_are_added_after_the_load),
		T(a_dereferenced_frame_that_leads_down_is_refused),
		T(a_binding_stub_is_left_before_and_after_its_push),
		T(a_signal_frame_gives_back_every_register_of_the_interrupted_code),
		T(a_handler_on_its_own_stack_leads_back_to_the_lower_one),
		T(inside_the_restorer_the_ucontext_is_at_the_stack_pointer),
		T(a_signal_frame_at_the_end_of_the_memory_is_unreadable),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
