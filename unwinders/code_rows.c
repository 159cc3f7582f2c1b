/* SPDX-License-Identifier: Apache-2.0 */
/* Rows from the layout of well-known stubs, and the file's side of prologue.h. */
#include "unwinders/code_rows.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/objfile.h"
#include "unwinders/prologue.h"
#include "unwinders/rows.h"
#include "unwinders/x86_insn.h"

#define PLT_STUB 16

static bool has_exec_sections(struct objfile *o)
{
	struct objfile_section s;

	for (uint32_t i = 1; objfile_section_at(o, i, &s) == 0; i++)
		if ((s.flags & SHF_EXECINSTR) && s.data && s.size)
			return true;
	return false;
}

static bool next_section(struct objfile *o, uint32_t *position, struct code_range *ret)
{
	struct objfile_section s;

	while (objfile_section_at(o, ++*position, &s) == 0) {
		if (!(s.flags & SHF_EXECINSTR) || !s.data || !s.size)
			continue;
		*ret = (struct code_range){.data = s.data, .vaddr = s.addr, .bytes = s.size};
		if (objfile_at_vaddr(o, s.addr, s.size) == s.data &&
		    objfile_vaddr_to_offset(o, s.addr, &ret->offset) == 0)
			return true;
	}
	return false;
}

bool code_next_range(struct objfile *o, struct code_ranges *c, struct code_range *ret)
{
	const struct objfile_segment *s;
	size_t n;

	if (!c->started)
		c->sections = has_exec_sections(o);
	c->started = true;
	if (c->sections)
		return next_section(o, &c->position, ret);
	s = objfile_segments(o, &n);
	while (c->position < n) {
		const struct objfile_segment *p = &s[c->position++];

		if (p->type != PT_LOAD || !(p->flags & PF_X) || !p->filesz)
			continue;
		*ret = (struct code_range){
			.data = objfile_at_vaddr(o, p->vaddr, p->filesz),
			.vaddr = p->vaddr,
			.offset = p->offset,
			.bytes = p->filesz,
		};
		if (ret->data)
			return true;
	}
	return false;
}

/* ---- PLT ---- */

/* Where in a lazy binding stub the push of the relocation's index ends; 0: there is none. */
static unsigned int pushed_at(const uint8_t *stub)
{
	/* jmp *slot; push imm32; jmp. With IBT: endbr64; push; jmp. With BND: push; bnd jmp. */
	static const uint8_t at[] = {6, 4, 0};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		if (stub[at[i]] == 0x68)
			return at[i] + 5u;
	return 0;
}

static int add_plt_section(struct row_list *list, const uint8_t *code, uint64_t offset,
			   uint64_t bytes, struct rows_stats *stats)
{
	unsigned int pushed = bytes >= 2 * PLT_STUB ? pushed_at(code + PLT_STUB) : 0;
	uint64_t plain = RULE_BASE(RULE_CFA, DWARF_RSP, 1);
	int r;

	row_list_begin(list, offset, offset + bytes);
	/* push slot(rip): the header that all stubs jump to, with the index on the stack */
	if (pushed && code[0] == 0xff && code[1] == 0x35) {
		r = row_list_add(list, offset, RULE_BASE(RULE_CFA, DWARF_RSP, 2));
		r = r < 0 ? r : row_list_add(list, offset + 6, RULE_BASE(RULE_CFA, DWARF_RSP, 3));
		if (r < 0)
			return r;
		offset += PLT_STUB;
	}
	r = row_list_add(list, offset, pushed ? RULE_BASE(RULE_PLT, DWARF_RSP, pushed) : plain);
	stats->plt_stubs++;
	return r < 0 ? r : row_list_end(list);
}

int code_rows_add_plt(struct objfile *o, struct row_list *list, struct rows_stats *stats)
{
	static const char *const names[] = {".plt", ".plt.sec", ".plt.got", ".plt.bnd", ".iplt"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct objfile_section s;
		uint64_t offset;
		int r;

		if (objfile_section_by_name(o, names[i], &s) < 0 || !s.data || !s.size ||
		    objfile_at_vaddr(o, s.addr, s.size) != s.data ||
		    objfile_vaddr_to_offset(o, s.addr, &offset) < 0 || (offset & 15))
			continue;
		r = add_plt_section(list, s.data, offset, s.size, stats);
		if (r < 0)
			return r;
	}
	return row_list_seal(list);
}

/* ---- rt_sigreturn ---- */

/* mov $15, %rax or %eax; syscall (arch/x86/entry/syscalls/syscall_64.tbl: 15 is rt_sigreturn). */
static const uint8_t restorer_rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
static const uint8_t restorer_eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};

/* Each `pattern` in a gap; the kernel returns to it, so a lookup is one byte before its start. */
static int add_pattern(struct row_list *list, const struct code_range *c, uint64_t start,
		       uint64_t end, const uint8_t *pattern, size_t n, struct rows_stats *stats)
{
	const uint8_t *p = c->data + (start - c->offset), *stop = c->data + (end - c->offset), *hit;
	int r;

	while (p < stop && (hit = memmem(p, (size_t)(stop - p), pattern, n))) {
		uint64_t at = c->offset + (uint64_t)(hit - c->data);

		r = row_list_block(list, at ? at - 1 : 0, at + n,
				   RULE_BASE(RULE_SIGNAL, DWARF_RSP, 0));
		if (r < 0)
			return r;
		stats->restorers++;
		p = hit + n;
	}
	return 0;
}

int code_rows_add_restorers(struct objfile *o, struct row_list *list, struct rows_stats *stats)
{
	struct code_range c;
	struct code_ranges ranges = {0};

	while (code_next_range(o, &ranges, &c)) {
		uint64_t start = c.offset, end;
		size_t block = 0;

		for (; row_list_gap(list, &block, &start, c.offset + c.bytes, &end); start = end) {
			int r = add_pattern(list, &c, start, end, restorer_rax,
					    sizeof(restorer_rax), stats);

			if (r == 0)
				r = add_pattern(list, &c, start, end, restorer_eax,
						sizeof(restorer_eax), stats);
			if (r < 0)
				return r;
		}
	}
	return row_list_seal(list);
}

/* ---- code without any information ---- */

/* Gaps up to this are padding between functions. */
#define GAP_MIN 16

static int add_gaps(const struct row_list *list, const struct code_range *c, struct prologue *p)
{
	uint64_t start = c->offset, end;
	size_t block = 0;

	for (; row_list_gap(list, &block, &start, c->offset + c->bytes, &end); start = end) {
		const uint8_t *code = c->data + (start - c->offset);
		int r;

		if (end - start < GAP_MIN && x86_is_padding(code, end - start))
			continue;
		r = prologue_add_range(p, code, c->vaddr + (start - c->offset), end - start);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Reading the other code for calls costs about 15 ms a megabyte: only without .symtab, when at
 * least a thousandth of the code has no unwind information and all of it is within a bound.
 */
#define CALLED_MIN    4096
#define CALLED_SHARE  1024
#define CALLERS_BYTES (32u << 20)

/* Calls out of the blocks of the list: a stripped static program's code into its libc. */
static void add_callers(struct objfile *o, const struct row_list *list, struct prologue *p)
{
	const struct row_block *b = row_list_blocks(list);
	struct objfile_section s;
	uint64_t total = 0;

	for (size_t i = 0; i < list->n_sealed; i++)
		total += b[i].end - b[i].start;
	if (p->bytes < CALLED_MIN || p->bytes * CALLED_SHARE < total || total > CALLERS_BYTES ||
	    objfile_section_by_type(o, SHT_SYMTAB, &s) == 0)
		return;
	for (size_t i = 0; i < list->n_sealed; i++) {
		uint64_t bytes = b[i].end - b[i].start, vaddr;
		const uint8_t *code;

		if (objfile_offset_to_vaddr(o, b[i].start, &vaddr) < 0)
			continue;
		code = objfile_at_vaddr(o, vaddr, bytes);
		if (code)
			prologue_find_calls_in(p, code, vaddr, bytes);
	}
}

static void add_symbols(struct objfile *o, uint32_t type, struct prologue *p)
{
	struct objfile_section s;
	struct cursor c;

	if (objfile_section_by_type(o, type, &s) < 0 || !s.data)
		return;
	c = cursor_of(s.data, s.size);
	while (cursor_left(&c) >= sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		memcpy(&sym, cursor_bytes(&c, sizeof(sym)), sizeof(sym));
		if ((ELF64_ST_TYPE(sym.st_info) == STT_FUNC ||
		     (ELF64_ST_TYPE(sym.st_info) == STT_NOTYPE &&
		      ELF64_ST_BIND(sym.st_info) == STB_GLOBAL)) &&
		    sym.st_value)
			prologue_add_entry(p, sym.st_value);
	}
}

/* Pointers to functions in data: what the loader relocates. */
static void add_relocations(struct objfile *o, struct prologue *p)
{
	struct objfile_section s;

	for (uint32_t i = 1; objfile_section_at(o, i, &s) == 0; i++) {
		struct cursor c;

		if (s.type != SHT_RELA || !s.data || !(s.flags & SHF_ALLOC))
			continue;
		c = cursor_of(s.data, s.size);
		while (cursor_left(&c) >= sizeof(Elf64_Rela)) {
			Elf64_Rela rel;

			memcpy(&rel, cursor_bytes(&c, sizeof(rel)), sizeof(rel));
			if (ELF64_R_TYPE(rel.r_info) == R_X86_64_RELATIVE)
				prologue_add_entry(p, (uint64_t)rel.r_addend);
		}
	}
}

/* Pointers to functions in the data of a program that is not relocated. */
static void add_pointers(struct objfile *o, struct prologue *p)
{
	struct objfile_section s;

	for (uint32_t i = 1; objfile_section_at(o, i, &s) == 0; i++) {
		struct cursor c;

		if (s.type == SHT_NOBITS || !s.data || !(s.flags & SHF_WRITE) ||
		    !(s.flags & SHF_ALLOC))
			continue;
		c = cursor_of(s.data, s.size);
		while (cursor_left(&c) >= 8)
			prologue_add_entry(p, cursor_u64(&c));
	}
}

struct emit {
	struct row_list *list;
	uint64_t delta; /* vaddr - file offset */
};

static int emit_row(uint64_t vaddr, uint64_t rule, void *userdata)
{
	struct emit *e = userdata;

	return row_list_add(e->list, vaddr - e->delta, rule);
}

static int add_rows(struct objfile *o, struct row_list *list, const struct prologue *p,
		    struct rows_stats *stats)
{
	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct prologue_range *g = &p->ranges[i];
		struct emit e = {.list = list};
		uint64_t offset;
		int r;

		if (!g->reached || objfile_vaddr_to_offset(o, g->vaddr, &offset) < 0)
			continue;
		e.delta = g->vaddr - offset;
		row_list_begin(list, offset, offset + g->bytes);
		r = prologue_rows(p, g, emit_row, &e);
		r = r < 0 ? r : row_list_end(list);
		if (r < 0)
			return r;
		stats->analysed++;
	}
	return row_list_seal(list);
}

static const uint8_t *data_at(uint64_t vaddr, uint64_t bytes, void *userdata)
{
	return objfile_at_vaddr(userdata, vaddr, bytes);
}

int code_rows_add_analysed(struct objfile *o, struct row_list *list, struct rows_stats *stats)
{
	_cleanup_(prologue_done) struct prologue p;
	struct code_range c;
	struct code_ranges ranges = {0};
	int r;

	prologue_init(&p);
	p.position_dependent = objfile_type(o) == ET_EXEC;
	p.data_at = data_at;
	p.userdata = o;
	while (code_next_range(o, &ranges, &c)) {
		r = add_gaps(list, &c, &p);
		if (r == -E2BIG)
			return 1;
		if (r < 0)
			return r;
	}
	if (!p.n_ranges)
		return 0;
	prologue_find_calls(&p);
	add_callers(o, list, &p);
	add_symbols(o, SHT_SYMTAB, &p);
	add_symbols(o, SHT_DYNSYM, &p);
	add_relocations(o, &p);
	if (objfile_type(o) == ET_EXEC)
		add_pointers(o, &p);
	/* Last in, first out: the entry point is a symbol as well. */
	if (objfile_entry(o))
		prologue_add_root(&p, objfile_entry(o));
	r = prologue_run(&p);
	if (r == -E2BIG)
		return 1;
	return r < 0 ? r : add_rows(o, list, &p, stats);
}
