/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle of the unwind rows: runs a program instruction by instruction (ptrace) and keeps a
 * shadow stack of what its calls and returns really did. At every instruction the rule of that
 * place must yield the return address, the CFA and the registers of the caller as they were at the
 * call; every 61 instructions the whole stack is unwound and compared down to its end.
 *
 *   rows_step [-l] [-n STEPS] [-m MIN_PERCENT] [-v] [-s SKIP] PROGRAM [ARG...]
 *
 * It starts at the program's entry point, with -l in the dynamic loader; -s: steps that are run
 * without a check first; -v: prints each place that disagrees, once. Exit status 1: fewer than
 * MIN_PERCENT agree.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "agent/base/buf.h"
#include "symbolizer/objfile.h"
#include "unwinders/rows.h"
#include "unwinders/x86_insn.h"

#define MAPS_MAX   256
#define SHADOW_MAX 4096
#define STACKS_MAX 64
#define EVERY	   61

enum { REG_COUNT = DWARF_X86_REGS };

struct regs {
	uint64_t r[REG_COUNT]; /* DWARF numbers */
	uint64_t rip;
};

struct map {
	uint64_t start, end, offset;
	char path[256];
	struct table *table; /* owned; NULL: no rows */
	bool is_go;
};

/* What one call did. */
struct shadow {
	uint64_t ra, cfa;
	struct regs caller; /* at the call; rsp is the CFA */
	bool signal;	    /* the kernel's doing: caller is what was interrupted */
};

/* Go has many stacks; the entries of one, innermost last. */
struct stack {
	struct shadow *e;
	size_t n;
	uint64_t low, high; /* of rsp, as far as seen */
	bool from_start;    /* every call since the process started is in it */
};

struct counts {
	uint64_t steps, checked, good, kinds[16], bad_kinds[16];
	uint64_t whole, whole_good;
};

struct tracee {
	pid_t pid;
	int mem;
	struct map maps[MAPS_MAX];
	size_t n_maps;
	struct stack stacks[STACKS_MAX];
	size_t n_stacks, current;
	struct counts counts;
	struct buf seen; /* places that were printed */
	bool verbose;
	bool complained;
};

static bool read_mem(const struct tracee *t, uint64_t at, void *out, size_t n)
{
	return pread(t->mem, out, n, (off_t)at) == (ssize_t)n;
}

static bool read_u64(const struct tracee *t, uint64_t at, uint64_t *ret)
{
	return read_mem(t, at, ret, sizeof(*ret));
}

static struct regs get_regs(pid_t pid)
{
	struct user_regs_struct u = {0};
	struct regs r;

	(void)ptrace(PTRACE_GETREGS, pid, NULL, &u);
	r = (struct regs){
		.r = {u.rax, u.rdx, u.rcx, u.rbx, u.rsi, u.rdi, u.rbp, u.rsp, u.r8, u.r9, u.r10,
		      u.r11, u.r12, u.r13, u.r14, u.r15},
		.rip = u.rip,
	};
	return r;
}

/* ---- files ---- */

static struct table *table_of(struct objfile *o)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	struct table_writer w;
	struct table *t = NULL;
	uint32_t flags = 0;
	int r;

	table_writer_init(&w, 256u << 20);
	r = rows_write(o, &w, &flags);
	if (r == 0)
		r = objfile_write_info(o, flags, &w);
	if (r == 0)
		r = table_write(&w, fd);
	if (r == 0)
		r = table_open(fd, true, &t);
	table_writer_done(&w);
	return t;
}

static void load_file(struct tracee *t, struct map *m)
{
	_cleanup_close_ int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_free_ uint8_t *image = NULL;
	struct objfile_section s;

	if (fd >= 0) {
		if (objfile_open(fd, &o) < 0)
			return;
	} else {
		if (strcmp(m->path, "[vdso]"))
			return;
		image = malloc(m->end - m->start);
		if (!image || !read_mem(t, m->start, image, m->end - m->start) ||
		    objfile_open_memory(image, m->end - m->start, &o) < 0)
			return;
	}
	m->is_go = objfile_section_by_name(o, ".gopclntab", &s) == 0;
	m->table = table_of(o);
}

static void read_maps(struct tracee *t)
{
	char path[64], line[512];
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	f = fopen(path, "re");
	for (size_t i = 0; i < t->n_maps; i++)
		t->maps[i].table = table_free(t->maps[i].table);
	t->n_maps = 0;
	while (f && fgets(line, sizeof(line), f) && t->n_maps < MAPS_MAX) {
		struct map m = {0};
		char perms[8];
		int at = 0;

		/* The kernel's text, not a stranger's. */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &m.start,
			   &m.end, perms, &m.offset, &at) < 4 ||
		    perms[2] != 'x')
			continue;
		line[strcspn(line, "\n")] = 0;
		(void)snprintf(m.path, sizeof(m.path), "%s", line + at);
		load_file(t, &m);
		t->maps[t->n_maps++] = m;
	}
}

static const struct map *find_map(struct tracee *t, uint64_t pc)
{
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < t->n_maps; i++)
			if (pc >= t->maps[i].start && pc < t->maps[i].end)
				return &t->maps[i];
		if (!again)
			read_maps(t);
	}
	return NULL;
}

static uint64_t rule_at(struct tracee *t, uint64_t pc, const struct map **ret_map)
{
	const struct map *m = find_map(t, pc);
	const struct rows_page *p;
	uint64_t offset;
	size_t bytes;

	*ret_map = m;
	if (!m || !m->table)
		return RULE_INVALID;
	offset = pc - m->start + m->offset;
	p = rows_page_get(m->table, offset >> ROWS_PAGE_SHIFT, &bytes);
	return p ? rows_lookup(p, (uint16_t)offset) : RULE_INVALID;
}

/* ---- one step of unwinding, as bpf/types.h defines the rules ---- */

static bool load_slot(const struct tracee *t, uint64_t cfa, uint32_t slot, uint64_t *reg,
		      uint32_t *lost, unsigned int bit)
{
	if (slot == RULE_SLOT_LOST) {
		*lost |= 1u << bit;
		return true;
	}
	return !slot || read_u64(t, cfa - 8 * (uint64_t)slot, reg);
}

static bool unwind_signal(const struct tracee *t, const struct regs *r, uint64_t rule,
			  struct regs *out)
{
	/* struct sigcontext: r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip at ucontext + 40
	 */
	static const uint8_t order[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7};
	uint64_t g[17];

	if (!read_mem(t, r->r[DWARF_RSP] + (uint64_t)RULE_OFF(rule) * 8 + 40, g, sizeof(g)))
		return false;
	for (int i = 0; i < 16; i++)
		out->r[order[i]] = g[i];
	out->rip = g[16];
	return true;
}

static bool unwind_slots(const struct tracee *t, uint64_t cfa, uint64_t rule, struct regs *out,
			 uint32_t *lost)
{
	static const uint8_t regs[] = {DWARF_RBP, DWARF_RBX, DWARF_R12,
				       DWARF_R13, DWARF_R14, DWARF_R15};

	if (RULE_KIND(rule) == RULE_CFA_FAR) {
		uint32_t rbp = RULE_FAR_RBP(rule), rbx = RULE_FAR_RBX(rule);

		*lost |= 0xf000;
		if (rbp == RULE_FAR_LOST)
			*lost |= 1u << DWARF_RBP;
		if (rbx == RULE_FAR_LOST)
			*lost |= 1u << DWARF_RBX;
		return (!rbp || rbp == RULE_FAR_LOST ||
			read_u64(t, cfa - 8ull * rbp, &out->r[DWARF_RBP])) &&
		       (!rbx || rbx == RULE_FAR_LOST ||
			read_u64(t, cfa - 8ull * rbx, &out->r[DWARF_RBX]));
	}
	for (int i = 0; i < SLOT_MAX; i++)
		if (!load_slot(t, cfa, RULE_SLOT(rule, i), &out->r[regs[i]], lost, regs[i]))
			return false;
	return true;
}

/* The caller's registers; registers that can not be known are set in *lost. */
static bool unwind(const struct tracee *t, const struct regs *r, uint64_t rule, struct regs *out,
		   uint32_t *lost)
{
	uint64_t base = r->r[RULE_REG(rule)] + (uint64_t)RULE_OFF(rule) * 8, cfa;

	*out = *r;
	switch ((enum rule_kind)RULE_KIND(rule)) {
	case RULE_CFA:
	case RULE_LOOP:
	case RULE_CFA_FAR:
		cfa = base;
		if (!read_u64(t, cfa - 8, &out->rip) || !unwind_slots(t, cfa, rule, out, lost))
			return false;
		break;
	case RULE_DEREF:
		if (!read_u64(t, base, &cfa))
			return false;
		cfa += (uint64_t)RULE_DEREF_ADD(rule);
		*lost |= 0xf008;
		if (!read_u64(t, cfa - 8, &out->rip))
			return false;
		if (RULE_SLOT(rule, SLOT_RBP) == RULE_DEREF_AT_BASE) {
			if (!read_u64(t, r->r[RULE_REG(rule)], &out->r[DWARF_RBP]))
				return false;
		} else if (!load_slot(t, cfa, RULE_SLOT(rule, SLOT_RBP), &out->r[DWARF_RBP], lost,
				      DWARF_RBP)) {
			return false;
		}
		break;
	case RULE_PLT:
		cfa = r->r[DWARF_RSP] + 8 + ((int64_t)(r->rip & 15) >= RULE_OFF(rule) ? 8 : 0);
		if (!read_u64(t, cfa - 8, &out->rip))
			return false;
		break;
	case RULE_FP:
		cfa = r->r[DWARF_RBP] + 16;
		if (!read_u64(t, cfa - 8, &out->rip) || !read_u64(t, cfa - 16, &out->r[DWARF_RBP]))
			return false;
		break;
	case RULE_RA_REG:
		cfa = base;
		out->rip = r->r[RULE_RA_REGNO(rule)];
		*lost |= 0xf008;
		if (!load_slot(t, cfa, RULE_SLOT(rule, SLOT_RBP), &out->r[DWARF_RBP], lost,
			       DWARF_RBP))
			return false;
		break;
	case RULE_SIGNAL:
		return unwind_signal(t, r, rule, out);
	case RULE_INVALID:
	case RULE_END:
	default:
		return false;
	}
	out->r[DWARF_RSP] = cfa;
	return true;
}

/* ---- the shadow ---- */

static struct stack *switch_stack(struct tracee *t, uint64_t rsp)
{
	struct stack *s = &t->stacks[t->current];

	if (rsp >= s->low - (64u << 10) && rsp <= s->high + 4096)
		return s;
	for (size_t i = 0; i < t->n_stacks; i++) {
		s = &t->stacks[i];
		if (rsp >= s->low - 4096 && rsp <= s->high) {
			t->current = i;
			return s;
		}
	}
	if (t->n_stacks == STACKS_MAX)
		t->n_stacks = 1;
	t->current = t->n_stacks++;
	s = &t->stacks[t->current];
	free(s->e);
	*s = (struct stack){.low = rsp, .high = rsp};
	s->e = calloc(SHADOW_MAX, sizeof(*s->e));
	if (!s->e)
		exit(2);
	return s;
}

static void shadow_push(struct stack *s, struct shadow e)
{
	if (s->n == SHADOW_MAX) {
		memmove(s->e, s->e + 1, (SHADOW_MAX - 1) * sizeof(*s->e));
		s->n--;
		s->from_start = false;
	}
	s->e[s->n++] = e;
}

/* After one instruction: what did it do to the stack? */
static void shadow_step(struct tracee *t, const struct regs *before, const struct x86_insn *i,
			const struct regs *after, bool signal)
{
	struct stack *s = switch_stack(t, after->r[DWARF_RSP]);
	uint64_t rsp = after->r[DWARF_RSP];
	struct shadow e = {.caller = *before};

	s->low = MIN(s->low, rsp);
	s->high = MAX(s->high, rsp);
	if (signal) {
		e.signal = true;
		e.cfa = rsp + 8;
		(void)read_u64(t, rsp, &e.ra);
		shadow_push(s, e);
	} else if (i->op == X86_CALL || i->op == X86_CALL_INDIRECT) {
		if (rsp + 8 != before->r[DWARF_RSP])
			return;
		e.cfa = rsp + 8;
		e.ra = before->rip + i->bytes;
		shadow_push(s, e);
	} else if (i->op == X86_RET || i->op == X86_JMP_INDIRECT || i->op == X86_JMP ||
		   rsp > before->r[DWARF_RSP] + 4096) {
		/* a return, or a longjmp */
		while (s->n && s->e[s->n - 1].cfa <= rsp && !s->e[s->n - 1].signal)
			s->n--;
		if (i->op == X86_RET && s->n && s->e[s->n - 1].signal &&
		    s->e[s->n - 1].cfa <= rsp) {
			/* Now at the restorer; its "caller" is what was interrupted. */
			s->e[s->n - 1].ra = s->e[s->n - 1].caller.rip;
			s->e[s->n - 1].cfa = s->e[s->n - 1].caller.r[DWARF_RSP];
		}
	}
}

/* ---- checks ---- */

static void complain(struct tracee *t, const char *what, const struct map *m, uint64_t pc,
		     uint64_t rule, const struct regs *got, const struct shadow *want)
{
	uint64_t offset = m ? pc - m->start + m->offset : 0;
	uint64_t key = m ? offset ^ (uint64_t)(m - t->maps) << 48 : pc;

	t->complained = true;
	if (!t->verbose)
		return;
	for (size_t i = 0; i + 8 <= t->seen.len; i += 8)
		if (!memcmp(t->seen.data + i, &key, 8))
			return;
	buf_add(&t->seen, &key, 8);
	printf("%s at %s+%" PRIx64 " rule %016" PRIx64 " kind %u reg %u off %d: ", what,
	       m ? m->path : "?", offset, rule, RULE_KIND(rule), RULE_REG(rule),
	       (int)RULE_OFF(rule));
	if (want)
		printf("ra %" PRIx64 "/%" PRIx64 " cfa %" PRIx64 "/%" PRIx64 " rbp %" PRIx64
		       "/%" PRIx64 "\n",
		       got->rip, want->ra, got->r[DWARF_RSP], want->cfa, got->r[DWARF_RBP],
		       want->caller.r[DWARF_RBP]);
	else
		printf("ra %" PRIx64 ", expected the end\n", got->rip);
}

static bool agrees(const struct regs *got, uint32_t lost, const struct shadow *want, bool is_go)
{
	static const uint8_t saved[] = {DWARF_RBP, DWARF_RBX, DWARF_R12,
					DWARF_R13, DWARF_R14, DWARF_R15};

	if (got->rip != want->ra || got->r[DWARF_RSP] != want->cfa)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(saved) && (!is_go || i < 1); i++)
		if (!(lost & 1u << saved[i]) && got->r[saved[i]] != want->caller.r[saved[i]])
			return false;
	return true;
}

/* A frame pointer may lead to another stack: to what was called there last. */
static bool is_top_of_any(const struct tracee *t, const struct regs *got)
{
	for (size_t i = 0; i < t->n_stacks; i++) {
		const struct stack *s = &t->stacks[i];

		if (s->n && s->e[s->n - 1].ra == got->rip &&
		    s->e[s->n - 1].cfa == got->r[DWARF_RSP])
			return true;
	}
	return false;
}

static void check_leaf(struct tracee *t, const struct regs *r)
{
	struct stack *s = &t->stacks[t->current];
	const struct shadow *want = s->n ? &s->e[s->n - 1] : NULL;
	const struct map *m;
	uint64_t rule = rule_at(t, r->rip, &m);
	struct regs got = {0};
	uint32_t lost = 0;
	bool good;

	if (!want && !s->from_start)
		return; /* a stack whose beginning was not seen */
	t->counts.checked++;
	t->counts.kinds[RULE_KIND(rule)]++;
	if (RULE_KIND(rule) == RULE_END)
		good = !want || (m && m->is_go);
	else if (RULE_KIND(rule) == RULE_FP)
		good = unwind(t, r, rule, &got, &lost) && is_top_of_any(t, &got);
	else
		/* The handler's registers are those of the kernel's choice. */
		good = want && unwind(t, r, rule, &got, &lost) &&
		       (want->signal && want->ra != want->caller.rip
				? got.rip == want->ra && got.r[DWARF_RSP] == want->cfa
				: agrees(&got, lost, want, m && m->is_go));
	t->counts.good += good;
	if (!good) {
		t->counts.bad_kinds[RULE_KIND(rule)]++;
		complain(t, "leaf", m, r->rip, rule, &got, want);
	}
}

static void check_whole(struct tracee *t, struct regs r)
{
	struct stack *s = &t->stacks[t->current];
	uint32_t lost = 0;
	bool exact = true;
	const struct map *m;

	if (!s->from_start)
		return;
	t->counts.whole++;
	for (size_t i = s->n; i > 0; i--) {
		const struct shadow *want = &s->e[i - 1];
		uint64_t rule = rule_at(t, r.rip - !exact, &m);
		struct regs got = {0}, at = r;

		/* Go: the end of g0's stack, or a way to another stack that this shadow is not of.
		 */
		if ((RULE_KIND(rule) == RULE_END && m && m->is_go) || RULE_KIND(rule) == RULE_FP) {
			t->counts.whole_good++;
			return;
		}
		at.rip -= !exact;
		exact = RULE_KIND(rule) == RULE_SIGNAL;
		if (!unwind(t, &at, rule, &got, &lost) ||
		    ((lost & 1u << RULE_REG(rule)) && RULE_KIND(rule) == RULE_CFA) ||
		    (got.rip != want->ra && RULE_KIND(rule) != RULE_FP)) {
			complain(t, "frame", m, r.rip, rule, &got, want);
			return;
		}
		r = got;
		/* The restorer's own frame: its RA is in the entry's caller. */
		if (want->signal && want->ra != want->caller.rip) {
			rule = rule_at(t, r.rip - 1, &m);
			if (RULE_KIND(rule) != RULE_SIGNAL || !unwind(t, &r, rule, &got, &lost) ||
			    got.rip != want->caller.rip) {
				complain(t, "signal", m, r.rip, rule, &got, want);
				return;
			}
			lost = 0;
			exact = true;
			r = got;
		}
	}
	if (RULE_KIND(rule_at(t, r.rip - !exact, &m)) != RULE_END)
		complain(t, "end", m, r.rip, 0, &r, NULL);
	else
		t->counts.whole_good++;
}

/* ---- running ---- */

static bool insn_at(const struct tracee *t, uint64_t pc, struct x86_insn *i)
{
	uint8_t code[16] = {0};
	ssize_t n = pread(t->mem, code, sizeof(code), (off_t)pc);

	return n > 0 && x86_insn_decode(code, (size_t)n, i);
}

static bool step(struct tracee *t, int *signal_number)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, t->pid, NULL, (long)*signal_number) < 0 ||
	    waitpid(t->pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return false;
	*signal_number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	return true;
}

static void run(struct tracee *t, uint64_t steps, uint64_t skip)
{
	struct regs before = get_regs(t->pid), after;
	struct x86_insn i;
	int sig = 0;

	(void)switch_stack(t, before.r[DWARF_RSP]);
	t->stacks[t->current].from_start = true;
	for (; t->counts.steps < steps + skip; t->counts.steps++) {
		int delivered = sig;

		if (!insn_at(t, before.rip, &i))
			i = (struct x86_insn){.op = X86_OTHER, .bytes = 1};
		if (t->counts.steps >= skip && !sig) {
			check_leaf(t, &before);
			if (t->counts.steps % EVERY == 0)
				check_whole(t, before);
		}
		if (!step(t, &sig))
			return;
		after = get_regs(t->pid);
		/* A handler's first instruction; an ignored signal goes on as if nothing had been.
		 */
		shadow_step(t, &before, &i, &after,
			    delivered && after.r[DWARF_RSP] - before.r[DWARF_RSP] + 256 > 512);
		/* rt_sigreturn */
		if (t->stacks[t->current].n) {
			struct stack *s = &t->stacks[t->current];
			struct shadow *top = &s->e[s->n - 1];

			if (top->signal && top->ra == top->caller.rip && after.rip == top->ra &&
			    after.r[DWARF_RSP] == top->cfa)
				s->n--;
		}
		before = after;
	}
}

static pid_t start(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)freopen("/dev/null", "w", stdout);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return -1;
	(void)ptrace(PTRACE_SETOPTIONS, pid, NULL, (long)PTRACE_O_EXITKILL);
	return pid;
}

/* Runs to the program's entry point: the loader's work is the same for all programs. */
static void skip_loader(const struct tracee *t)
{
	char path[64];
	uint64_t aux[2], entry = 0;
	struct user_regs_struct u;
	long word;
	int status;

	(void)snprintf(path, sizeof(path), "/proc/%d/auxv", t->pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (read(fd, aux, sizeof(aux)) == sizeof(aux))
		if (aux[0] == AT_ENTRY)
			entry = aux[1];
	if (!entry)
		return;
	word = ptrace(PTRACE_PEEKTEXT, t->pid, entry, NULL);
	(void)ptrace(PTRACE_POKETEXT, t->pid, entry, (word & ~255L) | 0xcc);
	(void)ptrace(PTRACE_CONT, t->pid, NULL, NULL);
	if (waitpid(t->pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return;
	(void)ptrace(PTRACE_POKETEXT, t->pid, entry, word);
	(void)ptrace(PTRACE_GETREGS, t->pid, NULL, &u);
	u.rip = entry;
	(void)ptrace(PTRACE_SETREGS, t->pid, NULL, &u);
}

static void print_counts(const char *name, const struct counts *c)
{
	static const char *const kinds[] = {"invalid", "cfa", "cfa_far", "deref", "plt",
					    "signal",  "fp",  "end",	 "ra_reg"};

	printf("%s: %" PRIu64 " steps, %" PRIu64 "/%" PRIu64 " leaf (%.4f%%), %" PRIu64 "/%" PRIu64
	       " whole stacks (%.4f%%);",
	       name, c->steps, c->good, c->checked,
	       c->checked ? 100.0 * (double)c->good / (double)c->checked : 0.0, c->whole_good,
	       c->whole, c->whole ? 100.0 * (double)c->whole_good / (double)c->whole : 0.0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (c->kinds[i])
			printf(" %s %" PRIu64 "/%" PRIu64, kinds[i], c->kinds[i] - c->bad_kinds[i],
			       c->kinds[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static struct tracee t;
	uint64_t steps = 200000, skip = 0;
	bool loader = false;
	double min = 0;
	char path[64];
	int opt;

	while ((opt = getopt(argc, argv, "+ln:m:s:v")) != -1) {
		if (opt == 'n')
			steps = strtoull(optarg, NULL, 10);
		else if (opt == 's')
			skip = strtoull(optarg, NULL, 10);
		else if (opt == 'l')
			loader = true;
		else if (opt == 'm')
			min = strtod(optarg, NULL);
		else
			t.verbose = true;
	}
	if (optind >= argc)
		return 2;
	t.seen = BUF_INIT(1 << 20);
	t.pid = start(argv + optind);
	if (t.pid < 0)
		return 77; /* no ptrace here */
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", t.pid);
	t.mem = open(path, O_RDONLY | O_CLOEXEC);
	if (!loader)
		skip_loader(&t);
	run(&t, steps, skip);
	print_counts(argv[optind], &t.counts);
	(void)kill(t.pid, SIGKILL);
	(void)waitpid(t.pid, NULL, 0);
	for (size_t i = 0; i < t.n_maps; i++)
		t.maps[i].table = table_free(t.maps[i].table);
	for (size_t i = 0; i < t.n_stacks; i++)
		free(t.stacks[i].e);
	buf_done(&t.seen);
	close(t.mem);
	if (!t.counts.checked || !t.counts.whole)
		return 1;
	return 100.0 * (double)t.counts.good < min * (double)t.counts.checked ||
	       100.0 * (double)t.counts.whole_good < min * (double)t.counts.whole;
}
