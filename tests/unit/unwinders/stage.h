/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct stage: one process on hand-made memory, with one file of code, a stack and up to 64
 * rules. Tests lay out what a compiler, the dynamic linker or the kernel would leave on the stack,
 * give the rules of the code and say which frames must come out.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "unwinders/native.h"

#define CODE	   0x400000ull
#define CODE_BYTES 0x10000ull
#define FILE_ID	   20
#define STACK	   0x7ffc00001000ull
#define WORDS	   512
#define MAX_RULES  64
#define AT(word)   (STACK + 8 * (uint64_t)(word))

#define CFA(reg, off) RULE_BASE(RULE_CFA, DWARF_##reg, off)

struct stage {
	uint64_t stack[WORDS];
	struct range range;
	struct {
		uint64_t from; /* offset in the code; holds up to the next one */
		uint64_t rule;
		int error; /* returned instead of the rule, when not 0 */
	} rules[MAX_RULES];
	size_t n_rules;
	uint64_t frames[FRAMES_ROOM];
	struct native_walk w;
	int calls;
};

static inline int stage_rule(void *data, uint64_t frame, uint64_t *ret_rule)
{
	struct stage *s = data;
	uint64_t off = FRAME_OFFSET(frame);

	s->calls++;
	assert_int_equal(FRAME_KIND(frame), FRAME_NATIVE);
	assert_int_equal(FRAME_FILE(frame), FILE_ID);
	for (size_t i = s->n_rules; i-- > 0;) {
		if (off < s->rules[i].from)
			continue;
		if (s->rules[i].error)
			return s->rules[i].error;
		*ret_rule = s->rules[i].rule;
		return 0;
	}
	return -ENODATA;
}

static const struct native_ops stage_ops = {.rule = stage_rule};

static inline void stage_init(struct stage *s)
{
	memset(s, 0, sizeof(*s));
	s->range = (struct range){.start = CODE,
				  .size = CODE_BYTES,
				  .first_frame = FRAME_OF_FILE(FILE_ID, 0),
				  .state = RANGE_ROWS,
				  .file = FILE_ID};
	s->w = (struct native_walk){.ranges = &s->range,
				    .n_ranges = 1,
				    .stack = (const uint8_t *)s->stack,
				    .stack_start = STACK,
				    .stack_bytes = sizeof(s->stack),
				    .frames = s->frames,
				    .max_frames = FRAMES_ROOM - 1,
				    .limit = STACK_MAX_USER};
	s->w.regs.is_leaf = 1;
	s->w.regs.sp = s->w.regs.leaf[DWARF_RSP] = STACK;
	s->w.regs.saved[SLOT_NONE] = SAVED_LOST;
}

/* Rules are given in ascending order of `from`. */
static inline void code(struct stage *s, uint64_t from, uint64_t rule)
{
	s->rules[s->n_rules].from = from;
	s->rules[s->n_rules++].rule = rule;
}

static inline void reg(struct stage *s, uint32_t dwarf, uint64_t value)
{
	s->w.regs.leaf[dwarf] = value;
	if (dwarf == DWARF_RSP)
		s->w.regs.sp = value;
	else if (SLOT_OF(dwarf) != SLOT_NONE)
		s->w.regs.regs[SLOT_OF(dwarf)] = value;
}

static inline int walk(struct stage *s, uint64_t pc)
{
	s->w.regs.pc = CODE + pc;
	return native_walk(&s->w, &stage_ops, s);
}

/* The offsets of the frames, leaf first; ends with 0. */
static inline void expect_frames(const struct stage *s, const uint64_t *offsets)
{
	size_t n = 0;

	for (; offsets[n]; n++) {
		assert_true(n < s->w.n_frames);
		assert_int_equal(s->w.frames[n], FRAME_OF_FILE(FILE_ID, offsets[n]));
	}
	assert_int_equal(s->w.n_frames, n);
}
#define EXPECT_FRAMES(s, ...) expect_frames(s, (const uint64_t[]){__VA_ARGS__, 0})
