/* SPDX-License-Identifier: Apache-2.0 */
/* Unit headers and the attributes of root DIEs (DWARF 5, 7.5.1; 3.1.1). */
#include <errno.h>

#include "symbolizer/dwarf_constants.h"
#include "symbolizer/dwarf_internal.h"

#define UNITS_MAX (1u << 21)

struct cursor dwarf_section_at(const struct dwarf_part *p, enum dwarf_section s, uint64_t offset)
{
	const struct dwarf_bytes *b = &p->sections[s];

	if (!b->data || offset >= b->size)
		return (struct cursor){.bad = true};
	return cursor_of(b->data + offset, (size_t)(b->size - offset));
}

uint64_t dwarf_offset(struct cursor *c, uint8_t offset_size)
{
	return offset_size == 8 ? cursor_u64(c) : cursor_u32(c);
}

static bool is_known(const struct dwarf_unit *u)
{
	if (u->version < 2 || u->version > 5 || (u->address_size != 4 && u->address_size != 8))
		return false;
	switch (u->type) {
	case DW_UT_compile:
	case DW_UT_partial:
	case DW_UT_skeleton:
	case DW_UT_split_compile:
		return true;
	default:
		return false;
	}
}

/* Leaves c behind the unit; c->bad when there is no further unit. */
static bool header_read(struct dwarf_part *p, struct cursor *c, struct dwarf_unit *ret)
{
	const uint8_t *base = p->sections[DWARF_INFO].data;
	struct dwarf_unit u = {.part = p,
			       .offset = (uint64_t)(c->p - base),
			       .type = DW_UT_compile,
			       .offset_size = 4};
	uint64_t length = cursor_u32(c);
	struct cursor h;

	if (length == UINT32_MAX) {
		u.offset_size = 8;
		length = cursor_u64(c);
	}
	if (length > cursor_left(c)) {
		c->bad = true;
		return false;
	}
	h = cursor_sub(c, (size_t)length);
	u.end = (uint64_t)(h.end - base);
	u.version = cursor_u16(&h);
	if (u.version >= 5) {
		u.type = cursor_u8(&h);
		u.address_size = cursor_u8(&h);
		u.abbrev = dwarf_offset(&h, u.offset_size);
		if (u.type == DW_UT_skeleton || u.type == DW_UT_split_compile)
			u.dwo_id = cursor_u64(&h);
	} else {
		u.abbrev = dwarf_offset(&h, u.offset_size);
		u.address_size = cursor_u8(&h);
	}
	u.is_skeleton = u.type == DW_UT_skeleton;
	u.root = (uint64_t)(h.p - base);
	*ret = u;
	return !h.bad && is_known(&u);
}

int dwarf_units_read(struct dwarf_part *p)
{
	struct cursor c = cursor_of(p->sections[DWARF_INFO].data, p->sections[DWARF_INFO].size);
	uint32_t skipped = 0;

	/* Gigabytes of units without contents would take minutes: what is behind so many is as good
	 * as not there. */
	while (cursor_left(&c) && skipped < UNITS_MAX) {
		struct dwarf_unit u;

		if (!header_read(p, &c, &u)) {
			skipped++;
			continue;
		}
		if (p->n_units >= UNITS_MAX)
			return -E2BIG;
		if (p->n_units == p->cap_units) {
			size_t cap = p->cap_units ? p->cap_units * 2 : 64;
			struct dwarf_unit *v = realloc(p->units, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			p->units = v;
			p->cap_units = cap;
		}
		p->units[p->n_units++] = u;
	}
	return 0;
}

struct dwarf_unit *dwarf_unit_at(struct dwarf_part *p, uint64_t offset)
{
	size_t low = 0, high = p->n_units;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->units[mid].offset <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low && offset < p->units[low - 1].end ? &p->units[low - 1] : NULL;
}

/* In two passes, because the bases come in any order and the strings need them. */
static void root_base(struct dwarf_unit *u, const struct dwarf_attr *a, const struct dwarf_value *v)
{
	switch (a->name) {
	case DW_AT_stmt_list:
		u->stmt_list = v->u;
		u->has_stmt_list = true;
		break;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		u->addr_base = v->u;
		break;
	case DW_AT_str_offsets_base:
		u->str_offsets_base = v->u;
		break;
	case DW_AT_rnglists_base:
		u->rnglists_base = v->u;
		break;
	case DW_AT_GNU_ranges_base:
		u->ranges_base = v->u;
		break;
	case DW_AT_GNU_dwo_id:
		u->dwo_id = v->u;
		break;
	default:
		break;
	}
}

static void root_rest(struct dwarf_unit *u, const struct dwarf_attr *a, const struct dwarf_value *v)
{
	switch (a->name) {
	case DW_AT_name:
		u->name = dwarf_value_string(u, v);
		break;
	case DW_AT_comp_dir:
		u->comp_dir = dwarf_value_string(u, v);
		break;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		u->dwo_name = dwarf_value_string(u, v);
		break;
	case DW_AT_low_pc:
		u->pcs.low = *v;
		(void)dwarf_value_address(u, v, &u->low_pc);
		break;
	case DW_AT_high_pc:
		u->pcs.high = *v;
		break;
	case DW_AT_ranges:
		u->pcs.ranges = *v;
		break;
	default:
		break;
	}
}

/* Where the tables of a unit begin when nothing says it: behind the header of the only one. */
static void bases_init(struct dwarf_unit *u)
{
	if (!u->part->split || u->version < 5)
		return;
	if (!u->str_offsets_base)
		u->str_offsets_base = u->offset_size == 8 ? 16 : 8;
	if (!u->rnglists_base)
		u->rnglists_base = u->offset_size == 8 ? 20 : 12;
}

int dwarf_unit_read(struct dwarf_unit *u)
{
	struct cursor start = dwarf_die_at(u, u->root);
	uint64_t code = cursor_uleb128(&start);
	struct dwarf_abbrevs t;
	int r = start.bad ? -EBADMSG : dwarf_abbrev_read_one(u, code, &t);

	if (r < 0)
		return r;
	bases_init(u);
	for (int pass = 0; pass < 2; pass++) {
		struct cursor c = start;

		for (uint32_t i = 0; i < t.v[0].n && !c.bad; i++) {
			struct dwarf_value v;

			dwarf_value_read(u, &c, &t.attrs[i], &v);
			if (!c.bad)
				(pass ? root_rest : root_base)(u, &t.attrs[i], &v);
		}
	}
	/* Before version 5 a skeleton is an ordinary unit that names the file. */
	if (u->version < 5 && u->dwo_name && u->dwo_id)
		u->is_skeleton = true;
	dwarf_abbrevs_done(&t);
	return 0;
}
