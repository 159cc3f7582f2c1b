/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step of aarch64 on any machine: stacks made by hand, one rule at a time. Whole stacks of real
 * programs are walked by tests/aarch64/self_walk.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/types.h"

#define STACK 0x0000fffff0000000ULL
#define WORDS 128
#define CODE  0x0000aaaaaaaa1000ULL
#define PAC   0x007f000000000000ULL
#define SIGN  0x002a000000000000ULL

struct memory {
	uint64_t words[WORDS]; /* from STACK on */
};

#define WALK_ENV const struct memory

static int walk_read8(const struct memory *m, __u64 addr, __u64 *v)
{
	if (addr < STACK || addr - STACK > 8 * (WORDS - 1))
		return 1;
	memcpy(v, (const char *)m->words + (addr - STACK), 8);
	return 0;
}

static int walk_read16(const struct memory *m, __u64 addr, __u64 *v)
{
	return walk_read8(m, addr, &v[0]) || walk_read8(m, addr + 8, &v[1]);
}

#include "bpf/walk.h"

#ifndef ARCH_ARM64
#error "compile with -D__TARGET_ARCH_arm64"
#endif

static struct walk_regs leaf(uint64_t sp, uint64_t x29, uint64_t x30)
{
	struct walk_regs r = {.pc = CODE, .sp = sp, .is_leaf = 1};

	r.regs[SLOT_X29] = x29;
	r.regs[SLOT_X30] = x30;
	r.saved[SLOT_NONE] = SAVED_LOST;
	r.pac_mask = PAC;
	return r;
}

static uint64_t near_rule(unsigned int base, int off8, unsigned int x29, unsigned int x30)
{
	return RULE_WITH_SLOT(RULE_WITH_SLOT(RULE_BASE(RULE_CFA, base, off8), SLOT_X29, x29),
			      SLOT_X30, x30);
}

static void leaves_a_leaf_by_its_link_register(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, STACK + 64, CODE + 8);

	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 0, 0, 0)), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 8);
	assert_int_equal(r.sp, STACK);
	assert_int_equal(r.regs[SLOT_X29], STACK + 64);
	assert_false(r.is_leaf);
	/* The call has overwritten x30: a second frame without it must not be guessed. */
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 2, 0, 0)),
			 -REASON_UNTRACKED_REGISTER);
}

static void strips_the_authentication_code(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, 0, (CODE + 8) | SIGN);

	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 0, 0, 0) | RULE_ARM_SIGNED),
			 WALK_NEXT);
	assert_int_equal(r.pc, CODE + 8);
	m.words[2] = STACK + 80;
	m.words[3] = (CODE + 16) | SIGN;
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 4, 2, 1)), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 16);
	assert_int_equal(r.sp, STACK + 32);
	assert_int_equal(r.regs[SLOT_X29], STACK + 80);
}

static void finds_a_frame_record_far_below_the_cfa(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, 1, CODE);
	uint64_t rule = RULE_BASE(RULE_CFA_FAR, RULE_ARM_SP, 100) | 100ULL << 28 | 99ULL << 46;

	m.words[0] = STACK + 900;
	m.words[1] = CODE + 24;
	assert_int_equal(walk_rule(&m, &r, rule), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 24);
	assert_int_equal(r.sp, STACK + 800);
	assert_int_equal(r.regs[SLOT_X29], STACK + 900);
}

static void fetches_x29_only_when_a_rule_needs_it(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, 1, CODE);

	m.words[1] = STACK + 48;
	m.words[3] = CODE + 32;
	m.words[5] = CODE + 40;
	/* x29 and x30 apart: no frame record. */
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 4, 3, 1)), WALK_NEXT);
	assert_int_equal(r.saved[SLOT_X29], STACK + 8);
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_X29, 0, 0, 1)), WALK_NEXT);
	assert_int_equal(r.sp, STACK + 48);
	assert_int_equal(r.pc, CODE + 40);
	/* Lost is lost. */
	m.words[7] = CODE + 48;
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 2, RULE_SLOT_LOST, 1)),
			 WALK_NEXT);
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_X29, 8, 2, 1)),
			 -REASON_UNTRACKED_REGISTER);
}

/* A frame pointer does not tell the caller's sp; its frame record does, where there is one. */
static void does_not_take_the_place_of_a_record_for_the_stack_pointer(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, STACK + 16, CODE), again;

	m.words[2] = STACK + 64; /* the record of the interrupted function */
	m.words[3] = CODE + 8;
	m.words[8] = STACK + 160; /* and of its caller, whose CFA is 32 above it */
	m.words[9] = CODE + 16;
	assert_int_equal(walk_rule(&m, &r, RULE_INVALID), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 8);
	assert_true(r.sp_is_bound);
	again = r;
	assert_int_equal(walk_rule(&m, &again, near_rule(RULE_ARM_SP, 2, 0, 1)),
			 -REASON_UNTRACKED_REGISTER);
	again = r;
	assert_int_equal(walk_rule(&m, &again, RULE_BASE(RULE_SIGNAL, 0, 0)),
			 -REASON_UNTRACKED_REGISTER);
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 6, 4, 3)), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 16);
	assert_int_equal(r.sp, STACK + 64 + 32);
	assert_false(r.sp_is_bound);
}

static void refuses_frame_pointers_that_lead_nowhere(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK + 64, STACK + 8, CODE);

	assert_int_equal(walk_rule(&m, &r, RULE_FP_GUESS), -REASON_BAD_FRAME_POINTER);
	r = leaf(STACK, STACK + 12, CODE);
	assert_int_equal(walk_rule(&m, &r, RULE_FP_GUESS), -REASON_BAD_FRAME_POINTER);
	r = leaf(STACK, STACK + 8 * WORDS, CODE);
	assert_int_equal(walk_rule(&m, &r, RULE_FP_GUESS), -REASON_BAD_FRAME_POINTER);
	r = leaf(STACK, 0, CODE);
	assert_int_equal(walk_rule(&m, &r, RULE_FP_GUESS), WALK_END);
	/* Where no rule says that there is a chain, its end is not the end of the stack. */
	r = leaf(STACK, 0, CODE);
	assert_int_equal(walk_rule(&m, &r, RULE_INVALID), -REASON_NO_RULE);
}

static void must_move_towards_the_base_of_the_stack(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK + 64, STACK, CODE);

	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_X29, 2, 2, 1)), -REASON_STACK_LOOP);
	r = leaf(STACK + 64, STACK, CODE);
	r.is_leaf = 0;
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 0, 0, 0)), -REASON_STACK_LOOP);
}

static void restores_what_a_signal_interrupted(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, 1, CODE);

	m.words[SIGFRAME_X29 / 8] = STACK + 700;
	m.words[SIGFRAME_X29 / 8 + 1] = (CODE + 56) | SIGN;
	m.words[SIGFRAME_SP / 8] = STACK + 640;
	m.words[SIGFRAME_SP / 8 + 1] = CODE + 64;
	r.is_leaf = 0;
	r.saved[SLOT_X30] = SAVED_LOST;
	assert_int_equal(walk_rule(&m, &r, RULE_BASE(RULE_SIGNAL, 0, 0)), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 64);
	assert_int_equal(r.sp, STACK + 640);
	assert_true(r.is_leaf);
	/* x30 is good again: the interrupted function may be a leaf. */
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 0, 0, 0)), WALK_NEXT);
	assert_int_equal(r.pc, CODE + 56);
}

static void ends_at_a_zero_return_address_and_at_unknown_kinds(void **state)
{
	struct memory m = {{0}};
	struct walk_regs r = leaf(STACK, 1, CODE);

	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 2, 2, 1)), WALK_END);
	assert_int_equal(walk_rule(&m, &r, RULE_BASE(RULE_END, 0, 0)), WALK_END);
	r = leaf(STACK, 1, CODE);
	assert_int_equal(walk_rule(&m, &r, RULE_BASE(RULE_PLT, DWARF_RSP, 11)), -REASON_NO_RULE);
	r = leaf(STACK + 8 * WORDS, 1, CODE);
	assert_int_equal(walk_rule(&m, &r, near_rule(RULE_ARM_SP, 2, 2, 1)),
			 -REASON_STACK_UNREADABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_a_leaf_by_its_link_register),
		cmocka_unit_test(strips_the_authentication_code),
		cmocka_unit_test(finds_a_frame_record_far_below_the_cfa),
		cmocka_unit_test(fetches_x29_only_when_a_rule_needs_it),
		cmocka_unit_test(does_not_take_the_place_of_a_record_for_the_stack_pointer),
		cmocka_unit_test(refuses_frame_pointers_that_lead_nowhere),
		cmocka_unit_test(must_move_towards_the_base_of_the_stack),
		cmocka_unit_test(restores_what_a_signal_interrupted),
		cmocka_unit_test(ends_at_a_zero_return_address_and_at_unknown_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
