/* SPDX-License-Identifier: Apache-2.0 */
/* Sections written by hand: every encoding and every shape of rule, and what must be refused. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/buf.h"
#include "unwinders/eh_frame.h"

#define VADDR 0x2000
#define TEXT  0x1000

struct row {
	uint64_t at, rule;
	enum cfi_reason reason;
};

struct result {
	struct row rows[64];
	unsigned int n_rows, n_functions;
	uint64_t start, end;
	struct eh_frame_stats stats;
	uint64_t budget;
	uint16_t machine;
	int r;
};

static int on_function(uint64_t start, uint64_t end, void *userdata)
{
	struct result *t = userdata;

	t->n_functions++;
	t->start = start;
	t->end = end;
	return 1;
}

static int on_row(uint64_t at, const struct cfi_row *row, void *userdata)
{
	struct result *t = userdata;

	if (t->n_rows == ARRAY_SIZE(t->rows))
		return -E2BIG;
	t->rows[t->n_rows].at = at;
	t->rows[t->n_rows].rule =
		cfi_rule(cfi_machine(t->machine), row, &t->rows[t->n_rows].reason);
	t->n_rows++;
	return 0;
}

/* ---- writing sections ---- */

static void add(struct buf *b, const void *p, size_t n)
{
	buf_add(b, p, n);
}

static void add_int(struct buf *b, uint64_t v, unsigned int bytes)
{
	add(b, &v, bytes);
}

/* An entry with its length; wide: in the 64-bit form. */
static void add_entry(struct buf *section, const struct buf *body, bool wide)
{
	if (wide)
		add_int(section, UINT32_MAX, 4);
	add_int(section, body->len, wide ? 8 : 4);
	add(section, body->data, body->len);
}

struct shape {
	const char *augmentation;
	uint8_t version, encoding;
	bool wide, debug;
	uint8_t ra;
};

static const struct shape usual = {.augmentation = "zR", .version = 1, .encoding = 0x1b, .ra = 16};

static void add_cie(struct buf *section, const struct shape *s, const void *code, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT(4096);

	add_int(&b, s->debug ? UINT64_MAX : 0, s->debug && s->wide ? 8 : 4);
	add_int(&b, s->version, 1);
	add(&b, s->augmentation, strlen(s->augmentation) + 1);
	if (s->version == 4)
		add_int(&b, 8, 2); /* address size, no segments */
	add_int(&b, 1, 1);	   /* code alignment */
	add_int(&b, 0x78, 1);	   /* data alignment -8 */
	add_int(&b, s->ra, 1);
	if (s->augmentation[0] == 'z') {
		bool personality = strchr(s->augmentation, 'P');
		bool lsda = strchr(s->augmentation, 'L');

		add_int(&b, (uint64_t)1 + (personality ? 5 : 0) + lsda, 1);
		if (personality) {
			add_int(&b, 0x9b, 1);
			add_int(&b, 0x1234, 4);
		}
		if (lsda)
			add_int(&b, 0x1b, 1);
		add_int(&b, s->encoding, 1);
	}
	add(&b, code, n);
	add_entry(section, &b, s->wide);
}

static void add_fde(struct buf *section, const struct shape *s, uint64_t start, uint64_t size,
		    const void *code, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT(65536);
	size_t head = section->len + (s->wide ? 12 : 4);
	unsigned int id = s->debug && s->wide ? 8 : 4;
	unsigned int size_of = (s->encoding & 15) == 0x0b || (s->encoding & 15) == 3 ? 4 : 8;

	add_int(&b, s->debug ? 0 : head, id);
	add_int(&b, s->encoding & 0x10 ? start - (VADDR + head + id) : start, size_of);
	add_int(&b, size, size_of);
	if (s->augmentation[0] == 'z')
		add_int(&b, 0, 1);
	add(&b, code, n);
	add_entry(section, &b, s->wide);
}

/* CFA = rsp + 8, the return address below it: how every x86-64 CIE begins. */
static const uint8_t cie_code[] = {0x0c, 7, 8, 0x90, 1};

static struct result walk(const struct buf *section, const struct shape *s)
{
	struct result t = {.budget = 10000, .machine = EM_X86_64};
	struct eh_frame e = {
		.data = section->data,
		.bytes = section->len,
		.vaddr = s->debug ? 0 : VADDR,
		.machine = EM_X86_64,
		.debug = s->debug,
	};
	struct eh_frame_sink sink = {on_function, on_row, &t};

	t.r = eh_frame_walk(&e, &sink, &t.budget, &t.stats);
	return t;
}

static struct result walk_one(const struct shape *s, const void *code, size_t n)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1 << 20);

	add_cie(&b, s, cie_code, sizeof(cie_code));
	add_fde(&b, s, TEXT, 0x100, code, n);
	return walk(&b, s);
}

#define WALK(...) \
	walk_one(&usual, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define CFA_RSP(n) RULE_BASE(RULE_CFA, DWARF_RSP, n)

/* ---- tests ---- */

static void follows_a_prologue_and_an_epilogue(void **state)
{
	/* push rbp; mov rbp, rsp; ...; leave */
	struct result t =
		WALK(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x02, 0x50, 0xc6, 0x0c, 7, 8);

	assert_int_equal(t.r, 0);
	assert_int_equal(t.start, TEXT);
	assert_int_equal(t.end, TEXT + 0x100);
	assert_int_equal(t.n_rows, 4);
	assert_int_equal(t.rows[0].rule, CFA_RSP(1));
	assert_int_equal(t.rows[1].at, TEXT + 1);
	assert_int_equal(t.rows[1].rule, RULE_WITH_SLOT(CFA_RSP(2), SLOT_RBP, 2));
	assert_int_equal(t.rows[2].at, TEXT + 4);
	assert_int_equal(t.rows[2].rule,
			 RULE_WITH_SLOT(RULE_BASE(RULE_CFA, DWARF_RBP, 2), SLOT_RBP, 2));
	assert_int_equal(t.rows[3].at, TEXT + 0x54);
	assert_int_equal(t.rows[3].rule, CFA_RSP(1));
}

static void reads_every_layout_of_entries(void **state)
{
	static const struct shape shapes[] = {
		{.augmentation = "", .version = 1, .encoding = 0, .ra = 16},
		{.augmentation = "zR", .version = 1, .encoding = 0x1b, .ra = 16},
		{.augmentation = "zR", .version = 3, .encoding = 0x03, .ra = 16},
		{.augmentation = "zR", .version = 1, .encoding = 0x1c, .ra = 16},
		{.augmentation = "zPLR", .version = 1, .encoding = 0x1b, .ra = 16},
		{.augmentation = "zR", .version = 1, .encoding = 0x1b, .wide = true, .ra = 16},
		{.augmentation = "", .version = 4, .debug = true, .ra = 16},
		{.augmentation = "", .version = 3, .debug = true, .wide = true, .ra = 16},
		{.augmentation = "zRB", .version = 1, .encoding = 0x1b, .ra = 16},
	};
	static const uint8_t code[] = {0x44, 0x0e, 32};

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct result t = walk_one(&shapes[i], code, sizeof(code));

		assert_int_equal(t.r, 0);
		assert_int_equal(t.stats.bad, 0);
		assert_int_equal(t.start, TEXT);
		assert_int_equal(t.n_rows, 2);
		assert_int_equal(t.rows[1].at, TEXT + 4);
		assert_int_equal(t.rows[1].rule, CFA_RSP(4));
	}
}

static void goes_on_behind_a_terminator_and_a_malformed_entry(void **state)
{
	static const uint8_t garbage[] = {8, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f,
					  1, 2, 3, 4, 0,    0,	  0,	0};
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	struct shape other = usual;
	struct result t;

	add_cie(&b, &usual, cie_code, sizeof(cie_code));
	add(&b, garbage, sizeof(garbage));
	/* The FDE refers to the section's start by its distance. */
	add_fde(&b, &other, TEXT, 16, NULL, 0);
	t = walk(&b, &usual);
	assert_int_equal(t.r, 0);
	assert_int_equal(t.stats.bad, 1);
	assert_int_equal(t.n_functions, 1);
	assert_int_equal(t.n_rows, 1);
}

static void remembers_states_to_a_bounded_depth(void **state)
{
	struct result t = WALK(0x0a, 0x41, 0x0e, 16, 0x0a, 0x41, 0x0e, 24, 0x41, 0x0b, 0x41, 0x0b);
	uint8_t deep[17];

	assert_int_equal(t.n_rows, 5);
	assert_int_equal(t.rows[2].rule, CFA_RSP(3));
	assert_int_equal(t.rows[3].rule, CFA_RSP(2));
	assert_int_equal(t.rows[4].rule, CFA_RSP(1));
	memset(deep, 0x0a, sizeof(deep));
	assert_int_equal(walk_one(&usual, deep, 16).stats.bad, 0);
	assert_int_equal(walk_one(&usual, deep, 17).stats.bad, 1);
	/* and there must be something to restore */
	assert_int_equal(WALK(0x0b).stats.bad, 1);
}

static void recognises_lazy_binding_stubs(void **state)
{
	struct result t =
		WALK(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22);

	assert_int_equal(t.n_rows, 1);
	assert_int_equal(t.rows[0].rule, RULE_BASE(RULE_PLT, DWARF_RSP, 11));
	/* the same with IBT */
	t = WALK(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x39, 0x2a, 0x33, 0x24, 0x22);
	assert_int_equal(t.rows[0].rule, RULE_BASE(RULE_PLT, DWARF_RSP, 9));
	/* another function of rip is not guessed */
	t = WALK(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x34, 0x24, 0x22);
	assert_int_equal(t.rows[0].rule, RULE_INVALID);
	assert_int_equal(t.rows[0].reason, CFI_CFA_EXPRESSION);
}

static void recognises_realigned_frames(void **state)
{
	/* CFA = *(rbp - 8); rbp is saved at *rbp */
	struct result t = WALK(0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0);

	assert_int_equal(t.rows[0].rule, RULE_WITH_SLOT(RULE_BASE(RULE_DEREF, DWARF_RBP, -1),
							SLOT_RBP, RULE_DEREF_AT_BASE));
	assert_int_equal(RULE_OFF(t.rows[0].rule), -1);
	/* OpenSSL: CFA = *(rsp + 64) + 8 */
	t = WALK(0x0f, 6, 0x77, 0xc0, 0, 0x06, 0x23, 8);
	assert_int_equal(RULE_KIND(t.rows[0].rule), RULE_DEREF);
	assert_int_equal(RULE_OFF(t.rows[0].rule), 8);
	assert_int_equal(RULE_DEREF_ADD(t.rows[0].rule), 8);
}

static void ends_where_there_is_no_return_address(void **state)
{
	struct result t = WALK(0x07, 16);

	assert_int_equal(t.rows[0].rule, RULE_END);
}

static void takes_the_return_address_from_a_register(void **state)
{
	/* vfork: pop rdi */
	struct result t = WALK(0x41, 0x0e, 0, 0x09, 16, 5);

	assert_int_equal(RULE_KIND(t.rows[1].rule), RULE_RA_REG);
	assert_int_equal(RULE_RA_REGNO(t.rows[1].rule), DWARF_RDI);
	assert_int_equal(RULE_OFF(t.rows[1].rule), 0);
	/* longjmp: rsp in r8, rip in rdx, the CFA is the jmp_buf */
	t = WALK(0x0c, 5, 0, 0x09, 7, 8, 0x09, 6, 9, 0x09, 16, 1);
	assert_int_equal(RULE_KIND(t.rows[0].rule), RULE_RA_REG);
	assert_int_equal(RULE_REG(t.rows[0].rule), DWARF_R8);
	assert_int_equal(RULE_RA_REGNO(t.rows[0].rule), DWARF_RDX);
	assert_int_equal(RULE_SLOT(t.rows[0].rule, SLOT_RBP), RULE_SLOT_LOST);
}

static void recognises_signal_frames(void **state)
{
	struct shape s = usual;
	static const uint8_t code[] = {0x0f, 4, 0x77, 0xa0, 1, 0x06, 0x10, 6, 3, 0x77, 0xf8, 0};
	struct result t;

	s.augmentation = "zRS";
	t = walk_one(&s, code, sizeof(code));
	assert_int_equal(t.rows[0].rule, RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
}

static void keeps_registers_that_are_far_away(void **state)
{
	/* CFA = rsp + 4096, rbp at CFA - 1024, rbx at CFA - 1032, r12 at CFA - 16 */
	struct result t = WALK(0x0e, 0x80, 0x20, 0x86, 0x80, 1, 0x83, 0x81, 1, 0x8c, 2);

	assert_int_equal(RULE_KIND(t.rows[0].rule), RULE_CFA_FAR);
	assert_int_equal(RULE_OFF(t.rows[0].rule), 512);
	assert_int_equal(RULE_FAR_RBP(t.rows[0].rule), 128);
	assert_int_equal(RULE_FAR_RBX(t.rows[0].rule), 129);
	/* only r12 is far: the others matter more */
	t = WALK(0x0e, 0x80, 0x20, 0x86, 2, 0x8c, 0x80, 1);
	assert_int_equal(RULE_KIND(t.rows[0].rule), RULE_CFA);
	assert_int_equal(RULE_SLOT(t.rows[0].rule, SLOT_RBP), 2);
	assert_int_equal(RULE_SLOT(t.rows[0].rule, SLOT_R12), RULE_SLOT_LOST);
}

static void says_why_a_row_can_not_be_expressed(void **state)
{
	assert_int_equal(WALK(0x0e, 12).rows[0].reason, CFI_CFA_UNALIGNED);
	assert_int_equal(WALK(0x0e, 0x80, 0x80, 0x80, 0x80, 1).rows[0].reason, CFI_CFA_FAR);
	assert_int_equal(WALK(0x0d, 17).rows[0].reason, CFI_CFA_REGISTER);
	assert_int_equal(WALK(0x90, 2).rows[0].reason, CFI_RETURN_ADDRESS);
	assert_int_equal(WALK(0x90, 2).rows[0].rule, RULE_INVALID);
	assert_int_equal(WALK(0x0f, 1, 0x96).rows[0].reason, CFI_CFA_EXPRESSION);
	assert_int_equal(WALK(0x0a, 0x09, 7, 0).rows[0].reason, CFI_STACK_POINTER);
}

static void stops_a_program_that_leaves_the_section(void **state)
{
	/* an expression longer than its entry, an unknown instruction, a cut operand */
	assert_int_equal(WALK(0x0f, 0x7f, 0x77).stats.bad, 1);
	assert_int_equal(WALK(0x3f).stats.bad, 1);
	assert_int_equal(WALK(0x04, 1, 2).stats.bad, 1);
	/* what came before has been delivered */
	assert_int_equal(WALK(0x44, 0x0e, 16, 0x44, 0x3f).n_rows, 2);
}

static void spends_no_more_than_its_budget(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1 << 20);
	uint8_t slow[20000];
	struct result t;

	/* 10000 times "one byte further" and a new offset */
	for (size_t i = 0; i < sizeof(slow); i += 2) {
		slow[i] = 0x2e;
		slow[i + 1] = 0;
	}
	add_cie(&b, &usual, cie_code, sizeof(cie_code));
	add_fde(&b, &usual, TEXT, 1 << 20, slow, sizeof(slow));
	t = walk(&b, &usual);
	assert_int_equal(t.r, -E2BIG);
	assert_int_equal(t.budget, 0);
}

static void runs_the_program_of_a_shared_cie_once(void **state)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1 << 20);
	uint8_t code[1000] = {0};
	struct result t;

	memcpy(code, cie_code, sizeof(cie_code));
	add_cie(&b, &usual, code, sizeof(code));
	for (unsigned int i = 0; i < 50; i++)
		add_fde(&b, &usual, TEXT + i * 16, 16, NULL, 0);
	t = walk(&b, &usual);
	assert_int_equal(t.r, 0);
	assert_int_equal(t.n_functions, 50);
	assert_true(t.budget > 10000 - 1100);
}

static void follows_aarch64_frames_and_signed_return_addresses(void **state)
{
	/* sub sp, 32; stp x29, x30, [sp, 16]: CIE with CFA = sp + 0 */
	static const uint8_t cie[] = {0x0c, 31, 0};
	static const uint8_t code[] = {0x2d, 0x44, 0x0e, 32, 0x9d, 2, 0x9e, 1};
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	struct shape s = usual;
	struct result t = {.budget = 100, .machine = EM_AARCH64};
	struct eh_frame_sink sink = {on_function, on_row, &t};
	struct eh_frame e = {.vaddr = VADDR, .machine = EM_AARCH64};

	s.ra = 30;
	add_cie(&b, &s, cie, sizeof(cie));
	add_fde(&b, &s, TEXT, 0x40, code, sizeof(code));
	e.data = b.data;
	e.bytes = b.len;
	assert_int_equal(eh_frame_walk(&e, &sink, &t.budget, &t.stats), 0);
	assert_int_equal(t.n_rows, 2);
	assert_int_equal(RULE_SLOT(t.rows[0].rule, SLOT_RBX), 0);
	assert_int_equal(RULE_OFF(t.rows[1].rule), 4);
	assert_int_equal(RULE_SLOT(t.rows[1].rule, SLOT_RBP), 2);
	assert_int_equal(RULE_SLOT(t.rows[1].rule, SLOT_RBX), 1);
	assert_int_equal(t.rows[1].rule >> 63, 1);
}

static void finds_an_aarch64_frame_record_below_large_locals(void **state)
{
	static const uint8_t cie[] = {0x0c, 31, 0};
	/* sub sp, 1040; stp x29, x30, [sp] */
	static const uint8_t code[] = {0x44, 0x0e, 0x90, 0x08, 0x9d, 0x82, 0x01, 0x9e, 0x81, 0x01};
	_cleanup_buf_ struct buf b = BUF_INIT(4096);
	struct shape s = usual;
	struct result t = {.budget = 100, .machine = EM_AARCH64};
	struct eh_frame_sink sink = {on_function, on_row, &t};
	struct eh_frame e = {.vaddr = VADDR, .machine = EM_AARCH64};

	s.ra = 30;
	add_cie(&b, &s, cie, sizeof(cie));
	add_fde(&b, &s, TEXT, 0x40, code, sizeof(code));
	e.data = b.data;
	e.bytes = b.len;
	assert_int_equal(eh_frame_walk(&e, &sink, &t.budget, &t.stats), 0);
	assert_int_equal(t.n_rows, 2);
	assert_int_equal(RULE_KIND(t.rows[1].rule), RULE_CFA_FAR);
	assert_int_equal(RULE_OFF(t.rows[1].rule), 130);
	assert_int_equal(RULE_FAR_RBP(t.rows[1].rule), 130);
	assert_int_equal(RULE_FAR_RBX(t.rows[1].rule), 129);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_a_prologue_and_an_epilogue),
		cmocka_unit_test(reads_every_layout_of_entries),
		cmocka_unit_test(goes_on_behind_a_terminator_and_a_malformed_entry),
		cmocka_unit_test(remembers_states_to_a_bounded_depth),
		cmocka_unit_test(recognises_lazy_binding_stubs),
		cmocka_unit_test(recognises_realigned_frames),
		cmocka_unit_test(ends_where_there_is_no_return_address),
		cmocka_unit_test(takes_the_return_address_from_a_register),
		cmocka_unit_test(recognises_signal_frames),
		cmocka_unit_test(keeps_registers_that_are_far_away),
		cmocka_unit_test(says_why_a_row_can_not_be_expressed),
		cmocka_unit_test(stops_a_program_that_leaves_the_section),
		cmocka_unit_test(spends_no_more_than_its_budget),
		cmocka_unit_test(runs_the_program_of_a_shared_cie_once),
		cmocka_unit_test(follows_aarch64_frames_and_signed_return_addresses),
		cmocka_unit_test(finds_an_aarch64_frame_record_below_large_locals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
