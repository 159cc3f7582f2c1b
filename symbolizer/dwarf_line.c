/* SPDX-License-Identifier: Apache-2.0 */
/* Line programs (DWARF 5, 6.2; versions 2 to 4 of the header): which file and line an address
 * belongs to. */
#include <errno.h>

#include "symbolizer/dwarf_constants.h"
#include "symbolizer/dwarf_internal.h"

#define FILES_MAX   (1u << 20)
#define FORMATS_MAX 255

struct line_file {
	const char *name; /* borrowed from the section; NULL: unknown */
	uint64_t dir;
};

struct file_list {
	struct line_file *v;
	size_t n, cap;
};

struct dwarf_lines {
	struct dwarf_unit unit; /* a copy, with the sizes of this header */
	uint8_t min_inst, max_ops, line_range, opcode_base;
	int8_t line_base;
	uint8_t lengths[256]; /* operands of the standard opcodes */
	struct file_list dirs, files;
	const uint8_t *program, *end;
};

struct dwarf_lines *dwarf_lines_free(struct dwarf_lines *l)
{
	if (!l)
		return NULL;
	free(l->dirs.v);
	free(l->files.v);
	free(l);
	return NULL;
}

static int list_add(struct file_list *l, const char *name, uint64_t dir)
{
	if (l->n >= FILES_MAX)
		return -E2BIG;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct line_file *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct line_file){name, dir};
	return 0;
}

/* Versions 2 to 4: entries from 1 on; 0 is the directory and the file of the unit. */
static int tables_v4(struct dwarf_lines *l, struct cursor *c)
{
	int r = list_add(&l->dirs, l->unit.comp_dir, 0);

	if (r >= 0)
		r = list_add(&l->files, l->unit.name, 0);
	while (r >= 0 && !c->bad) {
		const char *s = cursor_cstr(c, DWARF_STRING_MAX);

		if (!s || !*s)
			break;
		r = list_add(&l->dirs, s, 0);
	}
	while (r >= 0 && !c->bad) {
		const char *s = cursor_cstr(c, DWARF_STRING_MAX);
		uint64_t dir;

		if (!s || !*s)
			break;
		dir = cursor_uleb128(c);
		(void)cursor_uleb128(c); /* time */
		(void)cursor_uleb128(c); /* length */
		r = list_add(&l->files, s, dir);
	}
	return r;
}

/* One table of version 5: what its entries consist of, then the entries. */
static int table_v5(struct dwarf_lines *l, struct cursor *c, struct file_list *to)
{
	struct dwarf_attr formats[FORMATS_MAX] = {0};
	uint8_t n_formats = cursor_u8(c);
	uint64_t n;
	int r = 0;

	for (uint8_t i = 0; i < n_formats; i++) {
		uint64_t name = cursor_uleb128(c), form = cursor_uleb128(c);

		formats[i].name = (uint16_t)MIN(name, UINT16_MAX);
		formats[i].form = (uint16_t)MIN(form, UINT16_MAX);
	}
	n = cursor_uleb128(c);
	/* Entries without bytes would be endless. */
	if (!n_formats && n)
		return -EBADMSG;
	for (uint64_t k = 0; k < n && r >= 0 && !c->bad; k++) {
		struct line_file f = {0};

		for (uint8_t i = 0; i < n_formats; i++) {
			struct dwarf_value v;

			dwarf_value_read(&l->unit, c, &formats[i], &v);
			if (formats[i].name == DW_LNCT_path)
				f.name = dwarf_value_string(&l->unit, &v);
			else if (formats[i].name == DW_LNCT_directory_index)
				f.dir = v.u;
		}
		if (!c->bad)
			r = list_add(to, f.name, f.dir);
	}
	return c->bad ? -EBADMSG : r;
}

static int header_read(struct dwarf_lines *l, struct cursor c)
{
	struct cursor tables;
	uint64_t length = cursor_u32(&c);
	int r;

	l->unit.offset_size = length == UINT32_MAX ? 8 : 4;
	if (length == UINT32_MAX)
		length = cursor_u64(&c);
	if (c.bad || length > cursor_left(&c))
		return -EBADMSG;
	c = cursor_sub(&c, (size_t)length);
	l->end = c.end;
	l->unit.version = cursor_u16(&c);
	if (l->unit.version < 2 || l->unit.version > 5)
		return -EOPNOTSUPP;
	if (l->unit.version >= 5) {
		l->unit.address_size = cursor_u8(&c);
		(void)cursor_u8(&c); /* size of a segment selector */
	}
	length = dwarf_offset(&c, l->unit.offset_size);
	if (c.bad || length > cursor_left(&c))
		return -EBADMSG;
	tables = cursor_sub(&c, (size_t)length);
	l->program = c.p;
	l->min_inst = cursor_u8(&tables);
	l->max_ops = l->unit.version >= 4 ? cursor_u8(&tables) : 1;
	(void)cursor_u8(&tables); /* default_is_stmt */
	l->line_base = (int8_t)cursor_u8(&tables);
	l->line_range = cursor_u8(&tables);
	l->opcode_base = cursor_u8(&tables);
	for (unsigned int i = 1; i < l->opcode_base; i++)
		l->lengths[i] = cursor_u8(&tables);
	if (tables.bad || !l->line_range || !l->opcode_base)
		return -EBADMSG;
	l->max_ops = MAX(l->max_ops, 1);
	if (l->unit.version < 5)
		return tables_v4(l, &tables);
	r = table_v5(l, &tables, &l->dirs);
	return r < 0 ? r : table_v5(l, &tables, &l->files);
}

int dwarf_lines_open(const struct dwarf_unit *u, struct dwarf_lines **ret)
{
	_cleanup_(dwarf_lines_freep) struct dwarf_lines *l = NULL;
	int r;

	if (!u->has_stmt_list)
		return -ENODATA;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->unit = *u;
	r = header_read(l, dwarf_section_at(u->part, DWARF_LINE, u->stmt_list));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

bool dwarf_lines_file(const struct dwarf_lines *l, uint64_t index, const char **ret_dir,
		      const char **ret_name)
{
	if (index >= l->files.n || !l->files.v[index].name)
		return false;
	*ret_name = l->files.v[index].name;
	*ret_dir = l->files.v[index].dir < l->dirs.n ? l->dirs.v[l->files.v[index].dir].name : NULL;
	return true;
}

/* ---- the program ---- */

struct machine {
	const struct dwarf_lines *l;
	dwarf_row_fn fn;
	void *data;
	uint64_t address, file, row_address, row_file;
	uint32_t line, row_line, op_index;
	bool has_row, dead;
};

static void reset(struct machine *m)
{
	m->address = m->op_index = 0;
	m->file = m->line = 1;
	m->has_row = m->dead = false;
}

/* The row before holds up to here. */
static void row(struct machine *m)
{
	if (m->has_row && m->address > m->row_address && !m->dead)
		m->fn(m->data, m->row_address, m->address, m->row_file, m->row_line);
	m->has_row = true;
	m->row_address = m->address;
	m->row_file = m->file;
	m->row_line = m->line;
}

static void advance(struct machine *m, uint64_t operations)
{
	uint64_t ops = m->op_index + operations;

	m->address += m->l->min_inst * (ops / m->l->max_ops);
	m->op_index = (uint32_t)(ops % m->l->max_ops);
}

static void extended(struct machine *m, struct cursor *c)
{
	uint64_t len = cursor_uleb128(c);
	struct cursor x;

	if (len > cursor_left(c)) {
		c->bad = true;
		return;
	}
	x = cursor_sub(c, (size_t)len);
	switch (cursor_u8(&x)) {
	case DW_LNE_end_sequence:
		row(m);
		reset(m);
		break;
	case DW_LNE_set_address:
		m->address = cursor_left(&x) >= 8 ? cursor_u64(&x) : cursor_u32(&x);
		m->op_index = 0;
		/* What the linker threw away was moved to one of these. */
		m->dead = m->address <= 1 || m->address >= UINT64_MAX - 1;
		break;
	default:
		break;
	}
}

static void standard(struct machine *m, uint8_t op, struct cursor *c)
{
	const struct dwarf_lines *l = m->l;

	switch (op) {
	case DW_LNS_copy:
		row(m);
		break;
	case DW_LNS_advance_pc:
		advance(m, cursor_uleb128(c));
		break;
	case DW_LNS_advance_line:
		m->line += (uint32_t)cursor_sleb128(c);
		break;
	case DW_LNS_set_file:
		m->file = cursor_uleb128(c);
		break;
	case DW_LNS_const_add_pc:
		advance(m, (255u - l->opcode_base) / l->line_range);
		break;
	case DW_LNS_fixed_advance_pc:
		m->address += cursor_u16(c);
		m->op_index = 0;
		break;
	default:
		for (uint8_t i = 0; i < l->lengths[op]; i++)
			(void)cursor_uleb128(c);
	}
}

int dwarf_lines_run(const struct dwarf_lines *l, dwarf_row_fn fn, void *data)
{
	struct cursor c = cursor_of(l->program, (size_t)(l->end - l->program));
	struct machine m = {.l = l, .fn = fn, .data = data};

	reset(&m);
	while (cursor_left(&c)) {
		uint8_t op = cursor_u8(&c);

		if (op >= l->opcode_base) {
			uint8_t k = (uint8_t)(op - l->opcode_base);

			advance(&m, k / l->line_range);
			m.line += (uint32_t)(l->line_base + k % l->line_range);
			row(&m);
		} else if (op == DW_LNS_extended) {
			extended(&m, &c);
		} else {
			standard(&m, op, &c);
		}
	}
	return c.bad ? -EBADMSG : 0;
}
