/* SPDX-License-Identifier: Apache-2.0 */
/* Abbreviations, and the forms that attributes have (DWARF 5, 7.5.3 to 7.5.6). */
#include "symbolizer/dwarf_constants.h"
#include <errno.h>

#include "symbolizer/dwarf_internal.h"

#define ABBREVS_MAX (1u << 18)
#define ATTRS_MAX   (1u << 20)

/* ---- forms ---- */

/* How long a value of the form is where that is the same in the whole unit; -1 where not. */
static int form_bytes(const struct dwarf_unit *u, uint16_t form)
{
	switch (form) {
	case DW_FORM_implicit_const:
	case DW_FORM_flag_present:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return u->address_size;
	case DW_FORM_ref_addr:
		/* DWARF 2 had addresses here. */
		return u->version <= 2 ? u->address_size : u->offset_size;
	case DW_FORM_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return u->offset_size;
	default:
		return -1;
	}
}

static uint64_t read_bytes(struct cursor *c, int n)
{
	const uint8_t *p = cursor_bytes(c, (size_t)n);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, (size_t)MIN(n, 8));
	return v;
}

static void skip_block(struct cursor *c, uint64_t n)
{
	if (n > cursor_left(c))
		c->bad = true;
	else
		cursor_skip(c, (size_t)n);
}

void dwarf_value_read(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_attr *a,
		      struct dwarf_value *ret)
{
	uint16_t form = a->form;
	int n;

	/* An indirect form names the real one in the DIE; once is enough for any compiler. */
	if (form == DW_FORM_indirect)
		form = (uint16_t)cursor_uleb128(c);
	*ret = (struct dwarf_value){.form = form};
	n = form_bytes(u, form);
	if (n >= 0) {
		ret->u = read_bytes(c, n);
		if (form == DW_FORM_implicit_const)
			ret->u = (uint64_t)a->implicit;
		else if (form == DW_FORM_flag_present)
			ret->u = 1;
		return;
	}
	switch (form) {
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		ret->u = cursor_uleb128(c);
		break;
	case DW_FORM_sdata:
		ret->u = (uint64_t)cursor_sleb128(c);
		break;
	case DW_FORM_string:
		ret->str = cursor_cstr(c, DWARF_STRING_MAX);
		break;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		skip_block(c, cursor_uleb128(c));
		break;
	case DW_FORM_block1:
		skip_block(c, cursor_u8(c));
		break;
	case DW_FORM_block2:
		skip_block(c, cursor_u16(c));
		break;
	case DW_FORM_block4:
		skip_block(c, cursor_u32(c));
		break;
	default:
		c->bad = true;
	}
}

void dwarf_value_skip(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_attr *a)
{
	struct dwarf_value v;
	int n = form_bytes(u, a->form);

	if (n >= 0)
		cursor_skip(c, (size_t)n);
	else
		dwarf_value_read(u, c, a, &v);
}

void dwarf_die_skip(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_abbrevs *all,
		    const struct dwarf_abbrev *a)
{
	if (a->bytes >= 0) {
		cursor_skip(c, (size_t)a->bytes);
		return;
	}
	for (uint32_t i = 0; i < a->n; i++)
		dwarf_value_skip(u, c, &all->attrs[a->first + i]);
}

struct cursor dwarf_die_at(const struct dwarf_unit *u, uint64_t offset)
{
	const struct dwarf_bytes *s = &u->part->sections[DWARF_INFO];

	if (offset < u->root || offset >= u->end || u->end > s->size)
		return (struct cursor){.bad = true};
	return cursor_of(s->data + offset, (size_t)(u->end - offset));
}

/* ---- abbreviations ---- */

/* The tags that hold code, or name it. */
static bool is_wanted(uint16_t tag)
{
	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

static int attrs_read(struct cursor *c, struct dwarf_abbrevs *t, struct dwarf_abbrev *a,
		      const struct dwarf_unit *u)
{
	for (;;) {
		struct dwarf_attr attr = {0};
		uint64_t name = cursor_uleb128(c), form = cursor_uleb128(c);
		int bytes;

		if (form == DW_FORM_implicit_const)
			attr.implicit = cursor_sleb128(c);
		if (c->bad)
			return -EBADMSG;
		if (!name && !form)
			return 0;
		if (t->n_attrs >= ATTRS_MAX)
			return -E2BIG;
		if (t->n_attrs == t->cap_attrs) {
			size_t cap = t->cap_attrs ? t->cap_attrs * 2 : 256;
			struct dwarf_attr *v = realloc(t->attrs, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			t->attrs = v;
			t->cap_attrs = cap;
		}
		attr.name = (uint16_t)MIN(name, UINT16_MAX);
		attr.form = (uint16_t)MIN(form, UINT16_MAX);
		t->attrs[t->n_attrs++] = attr;
		a->n++;
		bytes = form_bytes(u, attr.form);
		a->bytes = bytes < 0 || a->bytes < 0 ? -1 : a->bytes + bytes;
	}
}

/* 1: one was read; 0: the end of the table. */
static int abbrev_read(struct cursor *c, struct dwarf_abbrevs *t, const struct dwarf_unit *u)
{
	struct dwarf_abbrev a = {.first = (uint32_t)t->n_attrs};
	uint64_t tag;
	int r;

	/* A table may end with the section instead of with a 0. */
	if (!cursor_left(c))
		return 0;
	a.code = cursor_uleb128(c);
	if (c->bad)
		return -EBADMSG;
	if (!a.code)
		return 0;
	tag = cursor_uleb128(c);
	a.tag = (uint16_t)MIN(tag, UINT16_MAX);
	a.has_children = cursor_u8(c);
	a.wanted = is_wanted(a.tag);
	r = attrs_read(c, t, &a, u);
	if (r < 0)
		return r;
	if (t->n >= ABBREVS_MAX)
		return -E2BIG;
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct dwarf_abbrev *v = realloc(t->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = a;
	return 1;
}

static int by_code(const void *pa, const void *pb)
{
	const struct dwarf_abbrev *a = pa, *b = pb;

	return a->code < b->code ? -1 : a->code > b->code;
}

int dwarf_abbrevs_read(const struct dwarf_unit *u, struct dwarf_abbrevs *ret)
{
	struct cursor c = dwarf_section_at(u->part, DWARF_ABBREV, u->abbrev);
	struct dwarf_abbrevs t = {.dense = true};
	int r;

	do {
		r = abbrev_read(&c, &t, u);
		if (r > 0 && t.v[t.n - 1].code != t.n)
			t.dense = false;
	} while (r > 0);
	if (c.bad)
		r = -EBADMSG;
	if (r < 0) {
		dwarf_abbrevs_done(&t);
		return r;
	}
	if (!t.dense)
		qsort(t.v, t.n, sizeof(*t.v), by_code);
	*ret = t;
	return 0;
}

int dwarf_abbrev_read_one(const struct dwarf_unit *u, uint64_t code, struct dwarf_abbrevs *ret)
{
	struct cursor c = dwarf_section_at(u->part, DWARF_ABBREV, u->abbrev);
	struct dwarf_abbrevs t = {0};
	size_t seen = 0;
	int r;

	do {
		t.n = t.n_attrs = 0;
		r = abbrev_read(&c, &t, u);
		if (++seen > ABBREVS_MAX)
			r = -E2BIG;
	} while (r > 0 && t.v[0].code != code);
	if (r <= 0 || c.bad) {
		dwarf_abbrevs_done(&t);
		return r < 0 ? r : -EBADMSG;
	}
	*ret = t;
	return 0;
}

void dwarf_abbrevs_done(struct dwarf_abbrevs *a)
{
	free(a->v);
	free(a->attrs);
	*a = (struct dwarf_abbrevs){0};
}

const struct dwarf_abbrev *dwarf_abbrevs_find(const struct dwarf_abbrevs *a, uint64_t code)
{
	const struct dwarf_abbrev key = {.code = code};

	if (a->dense)
		return code && code <= a->n ? &a->v[code - 1] : NULL;
	return a->n ? bsearch(&key, a->v, a->n, sizeof(key), by_code) : NULL;
}

/* ---- values ---- */

static const char *string_at(const struct dwarf_part *p, enum dwarf_section s, uint64_t offset)
{
	struct cursor c;

	if (!p)
		return NULL;
	c = dwarf_section_at(p, s, offset);
	return cursor_cstr(&c, DWARF_STRING_MAX);
}

static const char *string_indexed(const struct dwarf_unit *u, uint64_t index)
{
	struct cursor c;
	uint64_t offset;

	if (index > UINT32_MAX)
		return NULL;
	c = dwarf_section_at(u->part, DWARF_STR_OFFSETS,
			     u->str_offsets_base + index * u->offset_size);
	offset = dwarf_offset(&c, u->offset_size);
	return c.bad ? NULL : string_at(u->part, DWARF_STR, offset);
}

const char *dwarf_value_string(const struct dwarf_unit *u, const struct dwarf_value *v)
{
	switch (v->form) {
	case DW_FORM_string:
		return v->str;
	case DW_FORM_strp:
		return string_at(u->part, DWARF_STR, v->u);
	case DW_FORM_line_strp:
		return string_at(u->part, DWARF_LINE_STR, v->u);
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_strp_alt:
		return string_at(dwarf_alt(u->part->dwarf), DWARF_STR, v->u);
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		return string_indexed(u, v->u);
	default:
		return NULL;
	}
}

bool dwarf_value_is_address(const struct dwarf_value *v)
{
	switch (v->form) {
	case DW_FORM_addr:
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return true;
	default:
		return false;
	}
}

bool dwarf_address_at(const struct dwarf_unit *u, uint64_t index, uint64_t *ret)
{
	/* Also for a split unit the addresses are in the program: they are what the linker moves.
	 */
	const struct dwarf_part *p = dwarf_main(u->part->dwarf);
	struct cursor c;

	if (index > UINT32_MAX)
		return false;
	c = dwarf_section_at(p, DWARF_ADDR, u->addr_base + index * u->address_size);
	*ret = u->address_size == 8 ? cursor_u64(&c) : cursor_u32(&c);
	return !c.bad;
}

bool dwarf_value_address(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *ret)
{
	if (!dwarf_value_is_address(v))
		return false;
	if (v->form != DW_FORM_addr)
		return dwarf_address_at(u, v->u, ret);
	*ret = v->u;
	return true;
}

const struct dwarf_unit *dwarf_value_ref(const struct dwarf_unit *u, const struct dwarf_value *v,
					 uint64_t *ret_offset)
{
	struct dwarf_part *p = u->part;

	switch (v->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		if (v->u > u->end - u->offset)
			return NULL;
		*ret_offset = u->offset + v->u;
		return u;
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
	case DW_FORM_GNU_ref_alt:
		p = dwarf_alt(p->dwarf);
		break;
	case DW_FORM_ref_addr:
		break;
	default:
		return NULL;
	}
	*ret_offset = v->u;
	return p ? dwarf_unit_at(p, v->u) : NULL;
}
