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
#define CASES_MAX   (1u << 20) /* of one file */
#define TABLE_MAX   1024       /* cases of one switch */

/* In a range's state[]: not the first byte of its instruction, and: a function starts here. */
#define INSIDE	 INT32_MAX
#define FUNCTION (1u << 31)

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

void prologue_init(struct prologue *p)
{
	*p = (struct prologue){
		.states = BUF_INIT(STATES_MAX * sizeof(struct prologue_state)),
		.work = BUF_INIT(WORK_MAX * sizeof(struct prologue_work)),
		.later = BUF_INIT(WORK_MAX * sizeof(struct prologue_work)),
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
	size_t at = PARTITION_POINT(mid, 0, p->n_ranges,
				    p->ranges[mid].vaddr + p->ranges[mid].bytes <= vaddr);

	return at < p->n_ranges && p->ranges[at].vaddr <= vaddr ? &p->ranges[at] : NULL;
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

	if (r && !(r->state[vaddr - r->vaddr] & ~FUNCTION))
		buf_add(list, &w, sizeof(w));
}

static const struct prologue_state at_entry = {.height = 1};
static const struct prologue_state at_root = {.height = 1, .flags = FLAG_END};

static void mark_function(struct prologue *p, uint64_t vaddr)
{
	const struct prologue_range *r = find_range(p, vaddr);

	if (r)
		r->state[vaddr - r->vaddr] |= FUNCTION;
}

void prologue_add_entry(struct prologue *p, uint64_t vaddr)
{
	if (!find_range(p, vaddr))
		return;
	mark_function(p, vaddr);
	push_work(p, &p->work, vaddr, state_intern(p, &at_entry), false);
}

void prologue_add_root(struct prologue *p, uint64_t vaddr)
{
	mark_function(p, vaddr);
	push_work(p, &p->work, vaddr, state_intern(p, &at_root), false);
}

/* Linear decoding loses its step in data, and finds it again. */
static void scan(struct prologue *p, const uint8_t *code, uint64_t vaddr, uint64_t bytes,
		 bool other)
{
	struct x86_insn i;

	for (uint64_t at = 0; at < bytes; at += i.bytes) {
		if (!x86_insn_decode(code + at, bytes - at, &i)) {
			i.bytes = 1;
			continue;
		}
		if (i.op == X86_CALL || i.op == X86_LEA_CODE || (other && i.op == X86_JMP))
			prologue_add_entry(p, vaddr + at + (uint64_t)i.value);
		else if (other && i.op == X86_MOV_IMM32 && p->position_dependent)
			prologue_add_entry(p, (uint64_t)i.value);
	}
}

void prologue_find_calls(struct prologue *p)
{
	for (size_t k = 0; k < p->n_ranges; k++)
		scan(p, p->ranges[k].code, p->ranges[k].vaddr, p->ranges[k].bytes, false);
}

void prologue_find_calls_in(struct prologue *p, const uint8_t *code, uint64_t vaddr, uint64_t bytes)
{
	scan(p, code, vaddr, bytes, true);
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
	case X86_CMP_IMM:
		break;
	}
}

/* What a straight run has seen that may belong to the switch at its end. */
struct hints {
	uint64_t table; /* address that was last taken of data */
	int64_t cases;	/* the last comparison's constant, plus 1 */
	bool compared;	/* not long ago */
};

/*
 * The targets of a switch: 32-bit offsets from the table (position independent) or 64-bit
 * addresses. false: not recognised. Too long a table ends where an entry leads nowhere.
 */
static bool follow_table(struct prologue *p, const struct x86_insn *i, const struct hints *h,
			 uint32_t state)
{
	uint64_t table = i->value ? (uint64_t)i->value : h->table;
	unsigned int size = i->value ? 8 : 4;

	if (!table || !h->compared || h->cases < 2 || h->cases > TABLE_MAX || !p->data_at ||
	    p->cases_followed > CASES_MAX)
		return false;
	p->cases_followed += (uint32_t)h->cases;
	for (int64_t k = 0; k < h->cases; k++) {
		const uint8_t *e = p->data_at(table + (uint64_t)k * size, size, p->userdata);
		uint64_t to = 0;
		int32_t offset;

		if (!e)
			return k > 0;
		memcpy(&to, e, size);
		memcpy(&offset, e, sizeof(offset));
		to = size == 4 ? table + (uint64_t)(int64_t)offset : to;
		if (!find_range(p, to))
			return k > 0;
		push_work(p, &p->work, to, state, false);
	}
	return true;
}

/* What an instruction leads to besides the next one. */
static void follow(struct prologue *p, const struct x86_insn *i, uint64_t at, uint32_t state,
		   struct hints *h)
{
	if (i->op == X86_JMP || i->op == X86_JCC) {
		push_work(p, &p->work, at + (uint64_t)i->value, state, false);
	} else if (i->op == X86_CALL) {
		prologue_add_entry(p, at + (uint64_t)i->value);
	} else if (i->op == X86_LEA_CODE) {
		prologue_add_entry(p, at + (uint64_t)i->value);
		h->table = at + (uint64_t)i->value;
	} else if (i->op == X86_MOV_IMM32 && p->position_dependent) {
		prologue_add_entry(p, (uint64_t)i->value);
	} else if (i->op == X86_CMP_IMM) {
		h->cases = i->value + 1;
		h->compared = true;
	}
}

static bool ends_block(enum x86_op op)
{
	return op == X86_JMP || op == X86_JMP_INDIRECT || op == X86_RET || op == X86_TRAP;
}

/* The bytes of an instruction get its state; false when some belong to another one already. */
static bool claim(struct prologue_range *r, uint64_t at, unsigned int bytes, uint32_t state)
{
	for (unsigned int k = 1; k < bytes; k++)
		if (r->state[at + k])
			return false;
	r->state[at] = (r->state[at] & FUNCTION) | (state + 1);
	for (unsigned int k = 1; k < bytes; k++)
		r->state[at + k] = INSIDE;
	r->reached += bytes;
	return true;
}

/* Behind a block: the cases of a switch whose table was not found follow its jump. */
static void end_block(struct prologue *p, const struct prologue_work *w, const struct x86_insn *i,
		      uint64_t next, uint32_t state, const struct hints *h)
{
	const struct prologue_state *s = (const struct prologue_state *)p->states.data + state;

	if (i->op == X86_JMP_INDIRECT) {
		if (!follow_table(p, i, h, state) && (s->height > 1 || h->compared))
			push_work(p, &p->later, next, state, true);
	} else if (w->later) {
		push_work(p, &p->later, next, w->state, true);
	}
}

/* Code that is reached by a guess only: does it begin as functions do? */
static bool looks_like_function(const uint8_t *code, uint64_t n)
{
	struct x86_insn i;

	/* endbr64 */
	if (n >= 4 && !memcmp(code, "\xf3\x0f\x1e\xfa", 4))
		return true;
	/* Before the first push of a saved register, arguments may be moved. */
	for (unsigned int k = 0; k < 6 && x86_insn_decode(code, n, &i); k++) {
		if (i.op == X86_PUSH)
			return slot_index(i.reg) >= 0;
		if (i.op == X86_ADD_RSP)
			return i.value < 0;
		if (i.op != X86_OTHER && i.op != X86_MOV_IMM32 && i.op != X86_LEA_CODE)
			return false;
		code += i.bytes;
		n -= i.bytes;
	}
	return false;
}

/* The length of the nops at p; functions are aligned by them, and loops. */
static uint64_t nops(const uint8_t *p, uint64_t n)
{
	uint64_t k = 0;
	struct x86_insn i;

	while (k < n && x86_insn_decode(p + k, n - k, &i) && x86_is_padding(p + k, i.bytes))
		k += i.bytes;
	return k;
}

/*
 * Behind a call there may be the padding before the next function, if the call does not return:
 * then this code waits until it is clear that nothing else leads there.
 */
static bool call_may_not_return(struct prologue *p, const struct prologue_range *r, uint64_t at,
				uint32_t state)
{
	uint64_t n = nops(r->code + at, MIN(r->bytes - at, 16));

	if (!n || (r->vaddr + at + n) % 16 || at + n >= r->bytes)
		return false;
	push_work(p, &p->later, r->vaddr + at, state, false);
	return true;
}

/* Follows one straight run of instructions. */
static void run_from(struct prologue *p, const struct prologue_work *w)
{
	struct prologue_range *r = find_range(p, w->vaddr);
	uint64_t at = w->vaddr - r->vaddr;
	uint32_t state = w->state;
	struct hints h = {0};
	struct prologue_state s;
	struct x86_insn i;

	/* Where a function starts, nothing falls into it: the call before did not return. */
	for (bool first = true; at < r->bytes; first = false) {
		if (first ? r->state[at] & ~FUNCTION : r->state[at])
			return;
		if (!x86_insn_decode(r->code + at, r->bytes - at, &i) ||
		    !claim(r, at, i.bytes, state))
			return;
		memcpy(&s, (const struct prologue_state *)p->states.data + state, sizeof(s));
		apply(&s, &i);
		state = state_intern(p, &s);
		if (p->states.failed)
			return;
		follow(p, &i, r->vaddr + at, state, &h);
		at += i.bytes;
		if (ends_block(i.op)) {
			end_block(p, w, &i, r->vaddr + at, state, &h);
			return;
		}
		if (i.op == X86_CALL && call_may_not_return(p, r, at, state))
			return;
	}
}

/* Continues with a guess, unless what is there is a function of its own. */
static void run_guess(struct prologue *p, struct prologue_work w)
{
	const struct prologue_range *r = find_range(p, w.vaddr);
	uint64_t at = w.vaddr - r->vaddr, next = at + nops(r->code + at, r->bytes - at);

	if ((r->state[at] & FUNCTION) || next >= r->bytes || r->state[next])
		return;
	if (looks_like_function(r->code + next, r->bytes - next)) {
		prologue_add_entry(p, r->vaddr + next);
		return;
	}
	run_from(p, &w);
}

static int failed(const struct prologue *p)
{
	return p->work.failed	 ? p->work.failed
	       : p->later.failed ? p->later.failed
				 : p->states.failed;
}

static int run_all(struct prologue *p)
{
	struct prologue_work w;

	while (p->work.len || p->later.len) {
		bool guess = !p->work.len;
		struct buf *list = guess ? &p->later : &p->work;

		list->len -= sizeof(w);
		memcpy(&w, list->data + list->len, sizeof(w));
		if (guess)
			run_guess(p, w);
		else
			run_from(p, &w);
		if (failed(p))
			return failed(p);
	}
	return 0;
}

/* Functions that are only known to code or data which was not understood. */
static int sweep(struct prologue *p, const struct prologue_range *r)
{
	uint64_t at = 0;
	int result = 0;

	while (at < r->bytes && result == 0) {
		uint64_t from = at;

		while (at < r->bytes && r->state[at])
			at++;
		at += nops(r->code + at, r->bytes - at);
		if (at < r->bytes && !r->state[at] &&
		    looks_like_function(r->code + at, r->bytes - at)) {
			prologue_add_entry(p, r->vaddr + at);
			result = run_all(p);
		}
		/* Not understood: on with the next boundary of 16 bytes. */
		if (at < r->bytes && !r->state[at])
			at += 16 - (r->vaddr + at) % 16;
		at = MAX(at, from + 1);
	}
	return result;
}

int prologue_run(struct prologue *p)
{
	int r = failed(p) ? failed(p) : run_all(p);

	for (size_t i = 0; r == 0 && i < p->n_ranges; i++)
		r = sweep(p, &p->ranges[i]);
	return r;
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
		uint32_t s = range->state[i] & ~FUNCTION;

		if (s == INSIDE || s == last)
			continue;
		/* Padding stays with the row before it. */
		if (!s && i) {
			uint64_t n = nops(range->code + i, range->bytes - i);

			if (n && (i + n == range->bytes || range->state[i + n] & ~FUNCTION)) {
				i += n - 1;
				continue;
			}
		}
		last = s;
		r = emit(range->vaddr + i, s ? rule_of(&states[s - 1]) : RULE_INVALID, userdata);
		if (r < 0)
			return r;
	}
	return 0;
}
