/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worklist over instructions. The first state that reaches an instruction stays: compilers keep
 * the height of the stack a function of the address, and where they do not (code reached with a
 * wrong guess) a second opinion would be no better.
 */
#include "unwinders/prologue.h"

#include <errno.h>
#include <string.h>

#include "bpf/types.h"
#include "unwinders/x86_insn.h"

#define HEIGHT_LOST INT32_MIN
#define HEIGHT_MAX  (1 << 18) /* of a stack frame, in units of 8 bytes */
#define STATES_MAX  (1u << 20)
#define WORK_MAX    (4u << 20)
#define INSIDE	    UINT32_MAX /* in a range's state[]: not the first byte of its instruction */

enum { FLAG_END = 1, FLAG_RA_IN_REG = 2 };

/* Heights are in units of 8 bytes below the CFA: at a function's entry rsp is CFA - 8, height 1. */
struct prologue_state {
	int32_t height; /* of rsp */
	int32_t frame;	/* of rbp while it is a frame pointer, else 0 */
	uint8_t slot[SLOT_MAX];
	uint8_t flags;
	uint8_t ra_reg; /* DWARF number */
};
_Static_assert(sizeof(struct prologue_state) == 16, "hashed as bytes");

struct prologue_work {
	uint64_t vaddr;
	uint32_t state; /* index */
	uint32_t later; /* came from `later` */
};

void prologue_init(struct prologue *p, bool position_dependent)
{
	*p = (struct prologue){
		.states = BUF_INIT(STATES_MAX * sizeof(struct prologue_state)),
		.work = BUF_INIT(WORK_MAX * sizeof(struct prologue_work)),
		.later = BUF_INIT(WORK_MAX * sizeof(struct prologue_work)),
		.position_dependent = position_dependent,
	};
}

void prologue_done(struct prologue *p)
{
	for (size_t i = 0; i < p->n_ranges; i++)
		free(p->ranges[i].state);
	free(p->ranges);
	buf_done(&p->states);
	buf_done(&p->work);
	buf_done(&p->later);
	hash_done(&p->state_index);
}

int prologue_add_range(struct prologue *p, const uint8_t *code, uint64_t vaddr, uint64_t bytes)
{
	struct prologue_range r = {.code = code, .vaddr = vaddr, .bytes = bytes};
	struct prologue_range *ranges;

	if (bytes > PROLOGUE_BYTES_MAX || p->bytes + bytes > PROLOGUE_BYTES_MAX)
		return -E2BIG;
	ranges = realloc(p->ranges, (p->n_ranges + 1) * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	p->ranges = ranges;
	r.state = calloc(bytes, sizeof(*r.state));
	if (!r.state)
		return -ENOMEM;
	ranges[p->n_ranges++] = r;
	p->bytes += bytes;
	return 0;
}

static struct prologue_range *find_range(const struct prologue *p, uint64_t vaddr)
{
	size_t lo = 0, hi = p->n_ranges;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->ranges[mid].vaddr + p->ranges[mid].bytes <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n_ranges && p->ranges[lo].vaddr <= vaddr ? &p->ranges[lo] : NULL;
}

static uint32_t state_intern(struct prologue *p, const struct prologue_state *s)
{
	uint64_t key = hash_bytes(s, sizeof(*s)), i = hash_get(&p->state_index, key);
	const struct prologue_state *all = (const struct prologue_state *)p->states.data;

	if (i != HASH_NONE && !memcmp(&all[i], s, sizeof(*s)))
		return (uint32_t)i;
	i = p->states.len / sizeof(*s);
	buf_add(&p->states, s, sizeof(*s));
	if (!p->states.failed)
		(void)hash_put(&p->state_index, key, i);
	return (uint32_t)i;
}

static void push_work(struct prologue *p, struct buf *list, uint64_t vaddr, uint32_t state,
		      bool later)
{
	struct prologue_work w = {.vaddr = vaddr, .state = state, .later = later};
	const struct prologue_range *r = find_range(p, vaddr);

	if (r && !r->state[vaddr - r->vaddr])
		buf_add(list, &w, sizeof(w));
}

static const struct prologue_state at_entry = {.height = 1};
static const struct prologue_state at_root = {.height = 1, .flags = FLAG_END};

void prologue_add_entry(struct prologue *p, uint64_t vaddr)
{
	push_work(p, &p->work, vaddr, state_intern(p, &at_entry), false);
}

void prologue_add_root(struct prologue *p, uint64_t vaddr)
{
	push_work(p, &p->work, vaddr, state_intern(p, &at_root), false);
}

static int slot_index(unsigned int reg)
{
	switch (reg) {
	case X86_RBP:
		return SLOT_RBP;
	case X86_RBX:
		return SLOT_RBX;
	case 12:
	case 13:
	case 14:
	case 15:
		return SLOT_R12 + (int)reg - 12;
	default:
		return -1;
	}
}

/* rsp gets the height h, and what is below it is no longer saved. */
static void set_height(struct prologue_state *s, int64_t h)
{
	if (h > HEIGHT_MAX || h < 1) {
		s->height = HEIGHT_LOST;
		return;
	}
	s->height = (int32_t)h;
	for (int i = 0; i < SLOT_MAX; i++)
		if (s->slot[i] != RULE_SLOT_LOST && s->slot[i] > h)
			s->slot[i] = 0;
}

static void save_reg(struct prologue_state *s, unsigned int reg, int64_t height)
{
	int i = slot_index(reg);

	/* Only the first time: later the register holds something of this function. */
	if (i >= 0 && !s->slot[i] && height > 1 && !(i == SLOT_RBP && s->frame))
		s->slot[i] = height < RULE_SLOT_LOST ? (uint8_t)height : RULE_SLOT_LOST;
}

static void do_push(struct prologue_state *s, unsigned int reg)
{
	if (s->flags & FLAG_RA_IN_REG) {
		/* vfork: the return address goes back to its place. */
		s->flags &= (uint8_t)~FLAG_RA_IN_REG;
		s->height = reg != X86_NO_REG && x86_dwarf_reg(reg) == s->ra_reg ? 1 : HEIGHT_LOST;
		s->ra_reg = 0;
		return;
	}
	if (s->height == HEIGHT_LOST)
		return;
	set_height(s, (int64_t)s->height + 1);
	if (s->height != HEIGHT_LOST && reg != X86_NO_REG)
		save_reg(s, reg, s->height);
}

static void do_pop(struct prologue_state *s, unsigned int reg)
{
	int i = slot_index(reg);

	if (reg == X86_RBP)
		s->frame = 0;
	if (s->height == HEIGHT_LOST)
		return;
	if (s->height == 1 && reg != X86_NO_REG && !(s->flags & FLAG_RA_IN_REG)) {
		s->flags |= FLAG_RA_IN_REG;
		s->ra_reg = (uint8_t)x86_dwarf_reg(reg);
		return;
	}
	if (i >= 0 && s->slot[i] == s->height)
		s->slot[i] = 0;
	set_height(s, (int64_t)s->height - 1);
}

/* rsp = CFA - height * 8 + bytes */
static void do_move(struct prologue_state *s, int64_t height, int64_t bytes)
{
	if (height == HEIGHT_LOST || height == 0 || bytes % 8 || bytes / 8 > HEIGHT_MAX ||
	    bytes / 8 < -HEIGHT_MAX)
		s->height = HEIGHT_LOST;
	else
		set_height(s, height - bytes / 8);
}

static void do_zero_rbp(struct prologue_state *s)
{
	/* A function that clears rbp without having saved it has no caller (System V psABI, 3.4.1:
	 * the outermost frame is marked by rbp = 0): _start, and the child's side of clone. */
	if (!s->slot[SLOT_RBP])
		s->flags |= FLAG_END;
	s->frame = 0;
}

static void apply(struct prologue_state *s, const struct x86_insn *i)
{
	if (i->writes == X86_RBP)
		s->frame = 0;
	switch (i->op) {
	case X86_PUSH:
		do_push(s, i->reg);
		break;
	case X86_POP:
		if (i->reg == X86_RSP)
			s->height = HEIGHT_LOST;
		else
			do_pop(s, i->reg);
		break;
	case X86_ADD_RSP:
		do_move(s, s->height, i->value);
		break;
	case X86_RSP_FROM_REG:
		do_move(s, i->reg == X86_RBP ? s->frame : 0, i->value);
		break;
	case X86_RSP_LOST:
		s->height = HEIGHT_LOST;
		break;
	case X86_REG_FROM_RSP:
		if (i->reg == X86_RBP && s->height != HEIGHT_LOST && i->value % 8 == 0 &&
		    s->height - i->value / 8 > 0 && s->slot[SLOT_RBP])
			s->frame = (int32_t)(s->height - i->value / 8);
		break;
	case X86_STORE_RSP:
		if (s->height != HEIGHT_LOST && i->value % 8 == 0 && i->value / 8 < s->height)
			save_reg(s, i->reg, s->height - i->value / 8);
		break;
	case X86_LEAVE:
		do_move(s, s->frame, 0);
		do_pop(s, X86_RBP);
		break;
	case X86_ZERO_RBP:
		do_zero_rbp(s);
		break;
	case X86_CALL:
	case X86_CALL_INDIRECT:
		/* The return address was popped and nobody will return to it. */
		if (s->flags & FLAG_RA_IN_REG)
			s->flags |= FLAG_END;
		break;
	case X86_OTHER:
	case X86_RET:
	case X86_JMP:
	case X86_JCC:
	case X86_JMP_INDIRECT:
	case X86_TRAP:
	case X86_LEA_CODE:
	case X86_MOV_IMM32:
		break;
	}
}

/* What an instruction leads to besides the next one. */
static void follow(struct prologue *p, const struct x86_insn *i, uint64_t at, uint32_t state)
{
	if (i->op == X86_JMP || i->op == X86_JCC)
		push_work(p, &p->work, at + (uint64_t)i->value, state, false);
	else if (i->op == X86_CALL || i->op == X86_LEA_CODE)
		prologue_add_entry(p, at + (uint64_t)i->value);
	else if (i->op == X86_MOV_IMM32 && p->position_dependent)
		prologue_add_entry(p, (uint64_t)i->value);
}

static bool ends_block(enum x86_op op)
{
	return op == X86_JMP || op == X86_JMP_INDIRECT || op == X86_RET || op == X86_TRAP;
}

/* Follows one straight run of instructions. */
static void run_from(struct prologue *p, const struct prologue_work *w)
{
	struct prologue_range *r = find_range(p, w->vaddr);
	uint64_t at = w->vaddr - r->vaddr;
	uint32_t state = w->state;
	struct prologue_state s;
	struct x86_insn i;

	while (at < r->bytes && !r->state[at]) {
		if (!x86_insn_decode(r->code + at, r->bytes - at, &i))
			return;
		for (unsigned int k = 1; k < i.bytes; k++)
			if (r->state[at + k])
				return; /* would begin inside what was read as something else */
		r->state[at] = state + 1;
		for (unsigned int k = 1; k < i.bytes; k++)
			r->state[at + k] = INSIDE;
		r->reached += i.bytes;
		memcpy(&s, (const struct prologue_state *)p->states.data + state, sizeof(s));
		apply(&s, &i);
		state = state_intern(p, &s);
		if (p->states.failed)
			return;
		follow(p, &i, r->vaddr + at, state);
		at += i.bytes;
		if (ends_block(i.op)) {
			/* The cases of a switch have the height of its jump; they follow it. */
			if (i.op == X86_JMP_INDIRECT ? s.height != 1 : w->later)
				push_work(p, &p->later, r->vaddr + at,
					  w->later && i.op != X86_JMP_INDIRECT ? w->state : state,
					  true);
			return;
		}
	}
}

int prologue_run(struct prologue *p)
{
	struct prologue_work w;

	while (p->work.len || p->later.len) {
		struct buf *list = p->work.len ? &p->work : &p->later;
		const struct prologue_range *r;

		if (p->work.failed || p->later.failed || p->states.failed)
			return -ENOMEM;
		list->len -= sizeof(w);
		memcpy(&w, list->data + list->len, sizeof(w));
		r = find_range(p, w.vaddr);
		if (!r->state[w.vaddr - r->vaddr])
			run_from(p, &w);
	}
	return p->work.failed || p->later.failed || p->states.failed ? -ENOMEM : 0;
}

static uint64_t rule_of(const struct prologue_state *s)
{
	uint64_t rule;

	if (s->flags & FLAG_END)
		return RULE_BASE(RULE_END, 0, 0);
	if (s->flags & FLAG_RA_IN_REG)
		return RULE_WITH_SLOT(RULE_BASE(RULE_RA_REG, DWARF_RSP, 0), SLOT_RBP,
				      s->slot[SLOT_RBP]) |
		       (uint64_t)s->ra_reg << 60;
	if (s->height != HEIGHT_LOST)
		rule = RULE_BASE(RULE_CFA, DWARF_RSP, s->height);
	else if (s->frame)
		rule = RULE_BASE(RULE_CFA, DWARF_RBP, s->frame);
	else
		return RULE_INVALID;
	for (int i = 0; i < SLOT_MAX; i++)
		rule = RULE_WITH_SLOT(rule, i, s->slot[i]);
	return rule;
}

int prologue_rows(const struct prologue *p, const struct prologue_range *range,
		  int (*emit)(uint64_t vaddr, uint64_t rule, void *userdata), void *userdata)
{
	const struct prologue_state *states = (const struct prologue_state *)p->states.data;
	uint32_t last = INSIDE;
	int r;

	for (uint64_t i = 0; i < range->bytes; i++) {
		uint32_t s = range->state[i];

		if (s == INSIDE || s == last)
			continue;
		last = s;
		r = emit(range->vaddr + i, s ? rule_of(&states[s - 1]) : RULE_INVALID, userdata);
		if (r < 0)
			return r;
	}
	return 0;
}
