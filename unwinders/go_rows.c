/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds in Go's x86-64 code (cmd/internal/obj/x86/obj6.go, preprocess(), read in 1.19; the
 * prologue of 1.21 on: push rbp; mov rbp, rsp; sub rsp):
 *
 *   - At every pc, CFA = rsp + pcsp + 8. The assembler computes pcsp from its own pushes, pops and
 *     ADJSP in functions written in Go and in assembly alike.
 *   - A function with a frame saves rbp at CFA - 16. Until 1.20: "sub rsp, N; mov [rsp + N - 8],
 *     rbp", and before the end "mov rbp, [rsp + N - 8]; add rsp, N". From 1.21 on: "push rbp" and
 *     "pop rbp". NOFRAME functions, frameless leaves and (until 1.20) frameless NOSPLIT functions
 * do not. Which it is, is visible in the code where pcsp changes for the first time.
 *   - Other callee-saved registers do not exist in Go's ABI; nobody may rely on them across a call.
 *   - pcsp is wrong behind any other change of rsp in assembly (the linker flags such functions
 *     SPWRITE): they switch stacks, or align rsp for C.
 *
 * Stack switches (runtime/asm_amd64.s): systemstack, asmcgocall, nanotime1 and the like leave rbp
 * alone, so that on the new stack it still points into the old one. With a frame of its own (any
 * frameless function with a call from 1.21 on; nanotime1 always) rbp is the function's own frame
 * pointer, and the chain is complete. Until 1.20, systemstack and asmcgocall have none: rbp is
 * that of their caller, which is therefore missing in the stack (its caller follows).
 * mcall, morestack and gogo never come back: behind their switch the stack of g0 ends.
 *
 * TOPFRAME (flag 1, from 1.17 on: goexit, mstart, rt0_go) ends the stack; by name in older
 * releases. sigtramp has the flag too, but is called by the kernel: behind it is sigreturn, the
 * restorer.
 */
#include "unwinders/go_rows.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "bpf/types.h"
#include "symbolizer/gopclntab.h"
#include "symbolizer/objfile.h"
#include "unwinders/x86_insn.h"

enum { GO_TOPFRAME = 1, GO_SPWRITE = 2 };

struct go_function {
	struct gopclntab_func f;
	const uint8_t *code;
	uint64_t offset; /* of code in the file */
	uint64_t saved;	 /* address from which rbp is at CFA - 16; 0: never */
	bool no_return;	 /* behind its stack switch */
};

static bool name_in(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static bool is_restorer(const struct gopclntab_func *f)
{
	static const char *const names[] = {"runtime.sigreturn", "runtime.sigreturn__sigaction"};

	return name_in(f->name, names, ARRAY_SIZE(names));
}

static bool is_outermost(const struct gopclntab_func *f)
{
	static const char *const names[] = {
		"runtime.goexit",   "runtime.mstart", "runtime.rt0_go",
		"_rt0_amd64_linux", "_rt0_amd64",     "_rt0_amd64_lib_go",
	};

	if (name_in(f->name, names, ARRAY_SIZE(names)))
		return true;
	/* runtime.sigtramp and its relatives */
	return (f->flag & GO_TOPFRAME) && !strstr(f->name, "igtramp");
}

static bool never_returns(const char *name)
{
	static const char *const names[] = {"runtime.mcall", "runtime.morestack", "runtime.gogo",
					    "gogo"};

	return name_in(name, names, ARRAY_SIZE(names));
}

/* Is there "mov [rsp + size - 8], rbp" at p? Its length, or 0. */
static unsigned int saves_rbp(const uint8_t *p, uint64_t n, int32_t size)
{
	struct x86_insn i;

	if (n > 15)
		n = 15;
	if (!x86_insn_decode(p, n, &i) || i.op != X86_STORE_RSP || i.reg != X86_RBP ||
	    i.value != size - 8)
		return 0;
	return i.bytes;
}

/* Looks at the first change of pcsp: does the function save rbp there? */
static void find_saved_rbp(const struct gopclntab *t, struct go_function *g)
{
	struct gopclntab_iter it;
	uint64_t start, end, at;
	int32_t sp;

	gopclntab_pcvalue(t, &g->f, g->f.pcsp, &it);
	while (gopclntab_pcvalue_next(&it, &start, &end, &sp)) {
		if (sp <= 0)
			continue;
		at = start - g->f.entry;
		if (at >= 1 && sp == 8 && g->code[at - 1] == 0x55)
			g->saved = start;
		else if (saves_rbp(g->code + at, g->f.end - start, sp))
			g->saved = start + saves_rbp(g->code + at, g->f.end - start, sp);
		return;
	}
}

static uint64_t rule_of(const struct go_function *g, int32_t sp, bool saved)
{
	if (sp < 0 || sp % 8)
		return RULE_INVALID;
	return RULE_WITH_SLOT(RULE_BASE(RULE_CFA, DWARF_RSP, sp / 8 + 1), SLOT_RBP, saved ? 2 : 0);
}

/* The rows of a range of equal pcsp; cut where rbp has been stored, or loaded again. */
static int add_range(struct row_list *list, const struct go_function *g, uint64_t start,
		     uint64_t end, int32_t sp)
{
	uint64_t delta = g->f.entry - g->offset;
	bool saved = g->saved && start >= g->saved && sp >= 8;
	int r = row_list_add(list, start - delta, rule_of(g, sp, saved));

	if (r == 0 && g->saved > start && g->saved < end && sp >= 8)
		r = row_list_add(list, g->saved - delta, rule_of(g, sp, true));
	return r;
}

static int add_by_pcsp(const struct gopclntab *t, struct row_list *list,
		       const struct go_function *g)
{
	struct gopclntab_iter it;
	uint64_t start, end;
	int32_t sp;
	int r = 0;

	gopclntab_pcvalue(t, &g->f, g->f.pcsp, &it);
	while (r == 0 && gopclntab_pcvalue_next(&it, &start, &end, &sp))
		r = add_range(list, g, start, end, sp);
	return r;
}

/* ---- functions that write rsp ---- */

/* pcsp by address, for a walk over instructions. */
struct pcsp {
	struct gopclntab_iter it;
	uint64_t end;
	int32_t sp;
	bool known;
};

static void pcsp_move_to(struct pcsp *p, uint64_t pc)
{
	uint64_t start;

	while (p->known && pc >= p->end)
		p->known = gopclntab_pcvalue_next(&p->it, &start, &p->end, &p->sp);
}

static uint64_t switched_rule(const struct go_function *g)
{
	return RULE_BASE(g->no_return ? RULE_END : RULE_FP, 0, 0);
}

/* Where a walk over the instructions of such a function is. */
struct away {
	bool framed, has_frame; /* rbp is the function's frame pointer: now, in its body */
	bool away;		/* frameless, and rsp is not what pcsp says */
};

static void away_step(struct away *a, const struct go_function *g, const struct x86_insn *i,
		      const uint8_t *code, bool counted)
{
	bool load = code[1] == 0x8b; /* mov from memory, behind REX.W */

	if (i->op == X86_RET || i->op == X86_JMP || i->op == X86_JMP_INDIRECT) {
		/* What follows is reached from the body, before the switch. */
		a->away = false;
		a->framed = a->has_frame;
	} else if (i->op == X86_REG_FROM_RSP && i->reg == X86_RBP && g->saved) {
		a->framed = a->has_frame = true;
	} else if ((i->op == X86_POP && i->reg == X86_RBP) || (i->writes == X86_RBP && load)) {
		a->framed = false;
	} else if (i->op == X86_RSP_FROM_REG || i->op == X86_RSP_LOST) {
		/* "and rsp, -16" stays away, a load of rsp goes back. */
		a->away = !a->away || (i->op == X86_RSP_LOST && !load);
	} else if (i->op == X86_ADD_RSP) {
		a->away |= !counted;
	}
}

/*
 * With a frame the frame pointer leads, wherever rsp is. A frameless function is followed by
 * pcsp until rsp is written otherwise, and again once it has been loaded.
 */
static int add_switching(const struct gopclntab *t, struct row_list *list,
			 const struct go_function *g)
{
	struct pcsp p = {.known = true};
	uint64_t size = g->f.end - g->f.entry, at = 0;
	struct away a = {0};
	struct x86_insn i;

	gopclntab_pcvalue(t, &g->f, g->f.pcsp, &p.it);
	pcsp_move_to(&p, g->f.entry);
	for (; at < size; at += i.bytes) {
		uint64_t pc = g->f.entry + at;
		bool saved = g->saved && pc >= g->saved && p.sp >= 8;
		int32_t sp = p.sp;
		int r = row_list_add(list, g->offset + at,
				     a.framed || a.away || !p.known ? switched_rule(g)
								    : rule_of(g, sp, saved));

		if (r < 0)
			return r;
		if (!x86_insn_decode(g->code + at, size - at, &i))
			return row_list_add(list, g->offset + at, RULE_INVALID);
		pcsp_move_to(&p, pc + i.bytes);
		away_step(&a, g, &i, g->code + at, p.sp != sp);
	}
	return 0;
}

static int add_function(const struct gopclntab *t, struct row_list *list, struct go_function *g)
{
	int r;

	if (is_restorer(&g->f))
		/* Its address is a return address, which is looked up one byte before. */
		return row_list_block(list, g->offset - 1, g->offset + (g->f.end - g->f.entry),
				      RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
	row_list_begin(list, g->offset, g->offset + (g->f.end - g->f.entry));
	if (is_outermost(&g->f)) {
		r = row_list_add(list, g->offset, RULE_BASE(RULE_END, 0, 0));
	} else {
		find_saved_rbp(t, g);
		g->no_return = never_returns(g->f.name);
		if ((g->f.flag & GO_SPWRITE) || g->no_return)
			r = add_switching(t, list, g);
		else
			r = add_by_pcsp(t, list, g);
	}
	return r < 0 ? r : row_list_end(list);
}

/* Restorers in a pass of their own: their block begins in the padding of another function. */
static int add_all(struct objfile *o, const struct gopclntab *t, struct row_list *list,
		   bool restorers)
{
	int n = 0;

	for (size_t i = 0; i < gopclntab_count(t); i++) {
		struct go_function g = {0};
		int r = gopclntab_func(t, i, &g.f);

		if (r == -ENOENT)
			break;
		if (r < 0 || is_restorer(&g.f) != restorers)
			continue;
		g.code = objfile_at_vaddr(o, g.f.entry, g.f.end - g.f.entry);
		if (!g.code || objfile_vaddr_to_offset(o, g.f.entry, &g.offset) < 0)
			continue;
		r = add_function(t, list, &g);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

int go_rows_add(struct objfile *o, struct row_list *list)
{
	_cleanup_(gopclntab_freep) struct gopclntab *t = NULL;
	int r, n;

	if (objfile_machine(o) != EM_X86_64)
		return -EOPNOTSUPP;
	r = gopclntab_open(o, &t);
	if (r < 0)
		return r;
	n = add_all(o, t, list, true);
	r = n < 0 ? n : row_list_seal(list);
	if (r < 0)
		return r;
	n += r = add_all(o, t, list, false);
	if (r < 0)
		return r;
	r = row_list_seal(list);
	return r < 0 ? r : n;
}
