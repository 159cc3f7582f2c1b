/* SPDX-License-Identifier: Apache-2.0 */
/* Small pieces of machine code and the rules that must come out of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/types.h"
#include "unwinders/prologue.h"
#include "unwinders/x86_insn.h"

#define BASE 0x1000

static uint64_t rules[256];
static size_t n_code;

static int on_row(uint64_t vaddr, uint64_t rule, void *userdata)
{
	for (uint64_t i = vaddr - BASE; i < n_code; i++)
		rules[i] = rule;
	return 0;
}

static void analyse(const uint8_t *code, size_t n, bool root)
{
	_cleanup_(prologue_done) struct prologue p;

	n_code = n;
	prologue_init(&p);
	assert_int_equal(prologue_add_range(&p, code, BASE, n), 0);
	prologue_find_calls(&p);
	if (root)
		prologue_add_root(&p, BASE);
	else
		prologue_add_entry(&p, BASE);
	assert_int_equal(prologue_run(&p), 0);
	assert_int_equal(prologue_rows(&p, &p.ranges[0], on_row, NULL), 0);
}

#define ANALYSE(...) \
	analyse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), false)
#define CFA(n) RULE_BASE(RULE_CFA, DWARF_RSP, n)

static void pushes_and_pops_move_the_cfa(void **state)
{
	/* push rbx; sub rsp, 32; add rsp, 32; pop rbx; ret */
	ANALYSE(0x53, 0x48, 0x83, 0xec, 0x20, 0x48, 0x83, 0xc4, 0x20, 0x5b, 0xc3);
	assert_int_equal(rules[0], CFA(1));
	assert_int_equal(rules[1], RULE_WITH_SLOT(CFA(2), SLOT_RBX, 2));
	assert_int_equal(rules[5], RULE_WITH_SLOT(CFA(6), SLOT_RBX, 2));
	assert_int_equal(rules[9], RULE_WITH_SLOT(CFA(2), SLOT_RBX, 2));
	assert_int_equal(rules[10], CFA(1));
}

static void the_height_behind_an_early_return_is_that_of_the_branch(void **state)
{
	/* push rbp; test edi, edi; je +2; pop rbp; ret; pop rbp; ret */
	ANALYSE(0x55, 0x85, 0xff, 0x74, 0x02, 0x5d, 0xc3, 0x5d, 0xc3);
	assert_int_equal(rules[6], CFA(1));
	assert_int_equal(rules[7], RULE_WITH_SLOT(CFA(2), SLOT_RBP, 2));
	assert_int_equal(rules[8], CFA(1));
}

static void a_frame_pointer_takes_over_when_the_height_is_lost(void **state)
{
	/* push rbp; mov rbp, rsp; sub rsp, rax; nop; leave; ret */
	ANALYSE(0x55, 0x48, 0x89, 0xe5, 0x48, 0x29, 0xc4, 0x90, 0xc9, 0xc3);
	assert_int_equal(rules[7], RULE_WITH_SLOT(RULE_BASE(RULE_CFA, DWARF_RBP, 2), SLOT_RBP, 2));
	assert_int_equal(rules[9], CFA(1));
}

static void without_either_the_rule_is_unknown(void **state)
{
	/* sub rsp, rax; ret */
	ANALYSE(0x48, 0x29, 0xc4, 0xc3);
	assert_int_equal(rules[3], RULE_INVALID);
}

static void a_popped_return_address_is_in_its_register(void **state)
{
	/* vfork of musl: pop rdx; syscall; push rdx; ret */
	ANALYSE(0x5a, 0x0f, 0x05, 0x52, 0xc3);
	assert_int_equal(RULE_KIND(rules[1]), RULE_RA_REG);
	assert_int_equal(RULE_RA_REGNO(rules[1]), DWARF_RDX);
	assert_int_equal(rules[4], CFA(1));
}

static void the_entry_point_and_new_threads_are_the_end(void **state)
{
	/* xor ebp, ebp; mov rdi, rsp; call 0x1010; hlt */
	static const uint8_t start[] = {0x31, 0xed, 0x48, 0x89, 0xe7, 0xe8, 6,	  0,	0,   0,
					0xf4, 0x90, 0x90, 0x90, 0x90, 0x90, 0x50, 0x58, 0xc3};

	analyse(start, sizeof(start), true);
	assert_int_equal(rules[0], RULE_END);
	assert_int_equal(rules[10], RULE_END);
	/* what it calls is a function like others */
	assert_int_equal(rules[16], CFA(1));
	assert_int_equal(rules[17], CFA(2));
	/* clone: test eax, eax; jnz +7; xor ebp, ebp; pop rdi; call *r9; nop; ret */
	ANALYSE(0x85, 0xc0, 0x75, 0x07, 0x31, 0xed, 0x5f, 0x41, 0xff, 0xd1, 0xf4, 0xc3);
	assert_int_equal(rules[4], CFA(1));
	assert_int_equal(rules[6], RULE_END);
	assert_int_equal(rules[9], RULE_END);
	assert_int_equal(rules[11], CFA(1));
}

static void nothing_falls_from_a_call_into_the_next_function(void **state)
{
	/* sub rsp, 24; call 0x1020 (which does not return); the next function: push rbx; call; pop
	 */
	ANALYSE(0x48, 0x83, 0xec, 0x18, 0xe8, 0x17, 0, 0, 0, 0x0f, 0x1f, 0x80, 0, 0, 0, 0,
		/* 10 */ 0x53, 0xe8, 0x0a, 0, 0, 0, 0x5b, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
		0xcc, 0xcc,
		/* 20 */ 0xf4);
	assert_int_equal(rules[4], CFA(4));
	assert_int_equal(rules[16], CFA(1));
	assert_int_equal(rules[17], RULE_WITH_SLOT(CFA(2), SLOT_RBX, 2));
}

static void instructions_have_the_length_that_the_processor_sees(void **state)
{
	static const struct {
		uint8_t bytes, code[15];
	} list[] = {
		{1, {0x90}},
		{4, {0xf3, 0x0f, 0x1e, 0xfa}},
		{10, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}},
		{5, {0xb8, 1, 2, 3, 4}},
		{4, {0x66, 0xb8, 1, 2}},
		{8, {0x48, 0x8b, 0x84, 0x24, 1, 2, 3, 4}},
		{8, {0xf6, 0x84, 0x24, 1, 2, 3, 4, 5}},
		{11, {0xc7, 0x04, 0x25, 1, 2, 3, 4, 5, 6, 7, 8}},
		{5, {0xc5, 0xf9, 0x6f, 0x45, 0x10}},	/* VEX, 2 bytes */
		{6, {0xc4, 0xe3, 0x79, 0x14, 0xc0, 1}}, /* VEX, 3 bytes, map 0f 3a */
		{7, {0x62, 0xf1, 0x7c, 0x48, 0x10, 0x45, 1}},
		{6, {0x0f, 0x84, 1, 2, 3, 4}},
		{15, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
		{13, {0x64, 0x48, 0xc7, 0x04, 0x25, 0, 0, 0, 0, 1, 2, 3, 4}},
	};
	struct x86_insn i;

	for (size_t k = 0; k < ARRAY_SIZE(list); k++) {
		assert_true(x86_insn_decode(list[k].code, 15, &i));
		assert_int_equal(i.bytes, list[k].bytes);
		/* and not a byte beyond its end is read */
		assert_false(x86_insn_decode(list[k].code, list[k].bytes - 1u, &i));
	}
}

static void padding_is_told_from_code(void **state)
{
	static const uint8_t nops[] = {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0,	  0,
				       0,    0,	   0,	 0x66, 0x90, 0xcc};
	static const uint8_t code[] = {0x90, 0x55, 0x90};

	assert_true(x86_is_padding(nops, sizeof(nops)));
	assert_false(x86_is_padding(code, sizeof(code)));
	assert_true(x86_is_padding(code, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pushes_and_pops_move_the_cfa),
		cmocka_unit_test(the_height_behind_an_early_return_is_that_of_the_branch),
		cmocka_unit_test(a_frame_pointer_takes_over_when_the_height_is_lost),
		cmocka_unit_test(without_either_the_rule_is_unknown),
		cmocka_unit_test(a_popped_return_address_is_in_its_register),
		cmocka_unit_test(the_entry_point_and_new_threads_are_the_end),
		cmocka_unit_test(nothing_falls_from_a_call_into_the_next_function),
		cmocka_unit_test(instructions_have_the_length_that_the_processor_sees),
		cmocka_unit_test(padding_is_told_from_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
