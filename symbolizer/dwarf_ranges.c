/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses a DIE covers: low_pc and high_pc, .debug_ranges and .debug_rnglists (DWARF 5,
 * 2.17; DWARF 4, 2.17.3). */
#include <errno.h>

#include "symbolizer/dwarf_constants.h"
#include "symbolizer/dwarf_internal.h"

#define RANGES_MAX (1u << 20) /* of one DIE */

struct walk {
	const struct dwarf_unit *u;
	uint64_t base;
	dwarf_range_fn fn;
	void *data;
};

/* Code that the linker threw away begins at 0, 1, -1 or -2 (of the address size). */
static bool is_dead(const struct dwarf_unit *u, uint64_t start)
{
	uint64_t top = u->address_size == 8 ? UINT64_MAX : UINT32_MAX;

	return start <= 1 || start >= top - 1;
}

static int emit(const struct walk *w, uint64_t start, uint64_t end)
{
	if (start >= end || is_dead(w->u, start))
		return 0;
	return w->fn(w->data, start, end);
}

static uint64_t address(const struct dwarf_unit *u, struct cursor *c)
{
	return u->address_size == 8 ? cursor_u64(c) : cursor_u32(c);
}

static int ranges_v4(struct walk *w, uint64_t offset)
{
	const struct dwarf_unit *u = w->u;
	/* The lists of a split unit are in the program too. */
	struct cursor c = dwarf_section_at(dwarf_main(u->part->dwarf), DWARF_RANGES,
					   offset + (u->part->split ? u->ranges_base : 0));
	const uint64_t top = u->address_size == 8 ? UINT64_MAX : UINT32_MAX;

	for (size_t i = 0; i < RANGES_MAX; i++) {
		uint64_t start = address(u, &c), end = address(u, &c);
		int r;

		if (c.bad || (!start && !end))
			return 0;
		if (start == top) {
			w->base = end;
			continue;
		}
		r = is_dead(u, w->base) && w->base > 1 ? 0
						       : emit(w, w->base + start, w->base + end);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One entry of .debug_rnglists. 1: go on; 0: the end. */
static int entry_v5(struct walk *w, struct cursor *c)
{
	const struct dwarf_unit *u = w->u;
	uint64_t start = 0, end = 0;
	bool ok = true;

	switch (cursor_u8(c)) {
	case DW_RLE_base_addressx:
		return dwarf_address_at(u, cursor_uleb128(c), &w->base);
	case DW_RLE_base_address:
		w->base = address(u, c);
		return !c->bad;
	case DW_RLE_startx_endx:
		ok = dwarf_address_at(u, cursor_uleb128(c), &start);
		ok = dwarf_address_at(u, cursor_uleb128(c), &end) && ok;
		break;
	case DW_RLE_startx_length:
		ok = dwarf_address_at(u, cursor_uleb128(c), &start);
		end = start + cursor_uleb128(c);
		break;
	case DW_RLE_offset_pair:
		start = w->base + cursor_uleb128(c);
		end = w->base + cursor_uleb128(c);
		ok = !is_dead(u, w->base) || w->base <= 1;
		break;
	case DW_RLE_start_end:
		start = address(u, c);
		end = address(u, c);
		break;
	case DW_RLE_start_length:
		start = address(u, c);
		end = start + cursor_uleb128(c);
		break;
	default:
		return 0;
	}
	if (c->bad)
		return 0;
	if (ok) {
		int r = emit(w, start, end);

		if (r < 0)
			return r;
	}
	return 1;
}

static int ranges_v5(struct walk *w, const struct dwarf_value *v)
{
	const struct dwarf_unit *u = w->u;
	uint64_t offset = v->u;
	struct cursor c;
	int r = 1;

	if (v->form == DW_FORM_rnglistx) {
		if (v->u > UINT32_MAX)
			return 0;
		c = dwarf_section_at(u->part, DWARF_RNGLISTS,
				     u->rnglists_base + v->u * u->offset_size);
		offset = u->rnglists_base + dwarf_offset(&c, u->offset_size);
		if (c.bad)
			return 0;
	}
	c = dwarf_section_at(u->part, DWARF_RNGLISTS, offset);
	for (size_t i = 0; i < RANGES_MAX && r > 0; i++)
		r = entry_v5(w, &c);
	return MIN(r, 0);
}

int dwarf_ranges(const struct dwarf_unit *u, const struct dwarf_pcs *pcs, dwarf_range_fn fn,
		 void *data)
{
	struct walk w = {.u = u, .base = u->low_pc, .fn = fn, .data = data};
	uint64_t low, high;

	if (pcs->ranges.form)
		return u->version >= 5 ? ranges_v5(&w, &pcs->ranges) : ranges_v4(&w, pcs->ranges.u);
	if (!pcs->low.form || !pcs->high.form || !dwarf_value_address(u, &pcs->low, &low))
		return 0;
	/* From version 4 on a constant is the length. */
	if (!dwarf_value_address(u, &pcs->high, &high))
		high = low + pcs->high.u;
	return emit(&w, low, high);
}
