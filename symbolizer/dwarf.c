/* SPDX-License-Identifier: Apache-2.0 */
/* Opening debug information: sections, units, which unit holds which addresses, split units. */
#include "symbolizer/dwarf.h"

#include <errno.h>

#include "agent/base/hash.h"
#include "symbolizer/dwarf_constants.h"
#include "symbolizer/dwarf_expand.h"
#include "symbolizer/objfile.h"

#define COVERS_MAX  (1u << 23)
#define COLUMNS_MAX 16

static int part_init(struct dwarf *d, struct objfile *o, bool split, struct dwarf_part *p)
{
	static const char *const names[DWARF_SECTION_MAX] = {
		[DWARF_INFO] = ".debug_info",
		[DWARF_ABBREV] = ".debug_abbrev",
		[DWARF_STR] = ".debug_str",
		[DWARF_LINE] = ".debug_line",
		[DWARF_LINE_STR] = ".debug_line_str",
		[DWARF_RANGES] = ".debug_ranges",
		[DWARF_RNGLISTS] = ".debug_rnglists",
		[DWARF_ADDR] = ".debug_addr",
		[DWARF_STR_OFFSETS] = ".debug_str_offsets",
	};

	*p = (struct dwarf_part){.dwarf = d, .split = split};
	for (size_t i = 0; i < DWARF_SECTION_MAX; i++) {
		struct objfile_section s;
		char name[64], packed[sizeof(name) + 4];

		(void)snprintf(name, sizeof(name), "%s%s", names[i], split ? ".dwo" : "");
		(void)snprintf(packed, sizeof(packed), ".z%s", name + 1);
		if ((objfile_section_by_name(o, name, &s) == 0 ||
		     objfile_section_by_name(o, packed, &s) == 0) &&
		    s.data)
			p->sections[i] = (struct dwarf_bytes){s.data, (size_t)s.size};
	}
	return p->sections[DWARF_INFO].data ? dwarf_units_read(p) : -ENODATA;
}

/* ---- which unit holds which addresses ---- */

struct cover_add {
	struct dwarf *d;
	struct dwarf_unit *u;
};

static int cover_add(void *data, uint64_t start, uint64_t end)
{
	const struct cover_add *a = data;
	struct dwarf *d = a->d;

	if (d->n_covers >= COVERS_MAX)
		return -E2BIG;
	if (d->n_covers == d->cap_covers) {
		size_t cap = d->cap_covers ? d->cap_covers * 2 : 256;
		struct dwarf_cover *v = realloc(d->covers, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->covers = v;
		d->cap_covers = cap;
	}
	d->covers[d->n_covers++] = (struct dwarf_cover){.start = start, .end = end, .unit = a->u};
	return 0;
}

static int by_start(const void *pa, const void *pb)
{
	const struct dwarf_cover *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->unit->offset < b->unit->offset ? -1 : a->unit->offset > b->unit->offset;
}

static int covers_init(struct dwarf *d)
{
	uint64_t max = 0;

	for (size_t i = 0; i < d->main.n_units; i++) {
		struct dwarf_unit *u = &d->main.units[i];
		struct cover_add a = {d, u};
		int r;

		/* The unit of a damaged root is one without addresses. */
		if (dwarf_unit_read(u) == -ENOMEM)
			return -ENOMEM;
		r = dwarf_ranges(u, &u->pcs, cover_add, &a);
		if (r < 0)
			return r;
	}
	if (d->n_covers)
		qsort(d->covers, d->n_covers, sizeof(*d->covers), by_start);
	for (size_t i = 0; i < d->n_covers; i++) {
		max = MAX(max, d->covers[i].end);
		d->covers[i].max_end = max;
	}
	return 0;
}

/* ---- split units ---- */

/* The index of a package (DWARF 5, 7.3.5.3): where in each section a unit's part begins. */
struct package {
	uint32_t version, n_columns, n_units, n_slots;
	const uint8_t *ids, *rows, *columns, *offsets;
};

static uint32_t u32_at(const uint8_t *p, size_t i)
{
	uint32_t v;

	memcpy(&v, p + i * sizeof(v), sizeof(v));
	return v;
}

static bool package_read(struct objfile *o, struct package *ret)
{
	struct objfile_section s;
	struct package p;
	struct cursor c;

	if (objfile_section_by_name(o, ".debug_cu_index", &s) < 0 || !s.data)
		return false;
	c = cursor_of(s.data, (size_t)s.size);
	/* Version 2 is 4 bytes, version 5 is 2 bytes and padding. */
	p.version = cursor_u32(&c) & 0xffff;
	p.n_columns = cursor_u32(&c);
	p.n_units = cursor_u32(&c);
	p.n_slots = cursor_u32(&c);
	if (c.bad || p.n_columns > COLUMNS_MAX || p.n_slots > s.size || p.n_units > s.size)
		return false;
	p.ids = cursor_bytes(&c, (size_t)p.n_slots * 8);
	p.rows = cursor_bytes(&c, (size_t)p.n_slots * 4);
	p.columns = cursor_bytes(&c, (size_t)p.n_columns * 4);
	p.offsets = cursor_bytes(&c, (size_t)p.n_units * p.n_columns * 4);
	*ret = p;
	return !c.bad;
}

static void package_apply(struct dwarf_part *part, const struct package *p)
{
	for (uint32_t slot = 0; slot < p->n_slots; slot++) {
		uint32_t row = u32_at(p->rows, slot), offsets[COLUMNS_MAX + 1] = {0};
		struct dwarf_unit *u;

		if (!row || row > p->n_units)
			continue;
		for (uint32_t i = 0; i < p->n_columns; i++) {
			uint32_t column = u32_at(p->columns, i);

			if (column <= COLUMNS_MAX)
				offsets[column] =
					u32_at(p->offsets, (size_t)(row - 1) * p->n_columns + i);
		}
		u = dwarf_unit_at(part, offsets[DW_SECT_INFO]);
		if (!u || u->offset != offsets[DW_SECT_INFO])
			continue;
		memcpy(&u->dwo_id, p->ids + (size_t)slot * 8, 8);
		u->abbrev += offsets[DW_SECT_ABBREV];
		u->str_offsets_base = offsets[DW_SECT_STR_OFFSETS];
		if (u->version >= 5) {
			u->str_offsets_base += u->offset_size == 8 ? 16 : 8;
			u->rnglists_base =
				offsets[DW_SECT_RNGLISTS] + (u->offset_size == 8 ? 20 : 12);
		}
	}
}

static int split_add(struct dwarf *d, struct objfile *o, struct hash *ids)
{
	struct dwarf_part *p = &d->split[d->n_split];
	struct package package;
	int r = part_init(d, o, true, p);

	d->n_split++;
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (package_read(o, &package))
		package_apply(p, &package);
	for (size_t i = 0; i < p->n_units; i++) {
		/* In version 4 the id is an attribute. */
		if (dwarf_unit_read(&p->units[i]) == -ENOMEM ||
		    hash_put(ids, p->units[i].dwo_id, (uintptr_t)&p->units[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void skeleton_link(struct dwarf_unit *u, struct dwarf_unit *full)
{
	u->full = full;
	full->addr_base = u->addr_base;
	full->ranges_base = u->ranges_base;
	full->low_pc = u->low_pc;
	full->comp_dir = u->comp_dir;
}

static int split_init(struct dwarf *d, const struct dwarf_files *f)
{
	struct hash ids = {0};
	size_t n = MIN(f->n_split, (size_t)DWARF_SPLIT_MAX);
	int r = 0;

	d->split = calloc(MAX(n, 1u), sizeof(*d->split));
	if (!d->split)
		return -ENOMEM;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = split_add(d, f->split[i], &ids);
	for (size_t i = 0; i < d->main.n_units && r >= 0; i++) {
		struct dwarf_unit *u = &d->main.units[i];
		uint64_t full = u->is_skeleton ? hash_get(&ids, u->dwo_id) : HASH_NONE;

		if (full != HASH_NONE)
			skeleton_link(u, (struct dwarf_unit *)(uintptr_t)full);
	}
	hash_done(&ids);
	return r;
}

/* ---- life ---- */

int dwarf_open(const struct dwarf_files *f, struct dwarf **ret)
{
	_cleanup_(dwarf_freep) struct dwarf *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	r = part_init(d, f->debug, false, &d->main);
	if (r < 0)
		return r;
	if (f->alt) {
		r = part_init(d, f->alt, false, &d->alt);
		if (r == -ENOMEM)
			return r;
		d->has_alt = r >= 0;
	}
	r = covers_init(d);
	if (r >= 0)
		r = split_init(d, f);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

struct dwarf *dwarf_free(struct dwarf *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n_split; i++)
		free(d->split[i].units);
	free(d->split);
	free(d->main.units);
	free(d->alt.units);
	free(d->covers);
	free(d->missing);
	free(d);
	return NULL;
}

size_t dwarf_bytes(const struct dwarf *d)
{
	size_t bytes;

	if (!d)
		return 0;
	bytes = sizeof(*d) + (d->main.cap_units + d->alt.cap_units) * sizeof(struct dwarf_unit) +
		d->cap_covers * sizeof(*d->covers) + d->cap_missing * sizeof(struct dwarf_unit *) +
		d->n_split * sizeof(*d->split);
	for (size_t i = 0; i < d->n_split; i++)
		bytes += d->split[i].cap_units * sizeof(struct dwarf_unit);
	return bytes;
}

struct dwarf_part *dwarf_main(struct dwarf *d)
{
	return &d->main;
}

struct dwarf_part *dwarf_alt(struct dwarf *d)
{
	return d->has_alt ? &d->alt : NULL;
}

struct each_row {
	dwarf_each_row_fn fn;
	void *data;
};

static void on_row(void *data, uint64_t start, uint64_t end, uint64_t file, uint32_t line)
{
	const struct each_row *e = data;

	e->fn(e->data, start, end);
}

int dwarf_each_row(struct dwarf *d, dwarf_each_row_fn fn, void *data)
{
	struct each_row e = {fn, data};

	for (size_t i = 0; i < d->main.n_units; i++) {
		_cleanup_(dwarf_lines_freep) struct dwarf_lines *l = NULL;
		int r = dwarf_lines_open(&d->main.units[i], &l);

		if (r == -ENOMEM)
			return r;
		/* A damaged table ends early. */
		if (r == 0)
			(void)dwarf_lines_run(l, on_row, &e);
	}
	return 0;
}

int dwarf_get_missing(const struct dwarf *d, size_t i, struct dwarf_missing *ret)
{
	if (i >= d->n_missing)
		return -ENOENT;
	*ret = (struct dwarf_missing){
		.comp_dir = d->missing[i]->comp_dir,
		.name = d->missing[i]->dwo_name,
		.dwo_id = d->missing[i]->dwo_id,
	};
	return 0;
}

static void add_component(char *to, size_t size, const char *s)
{
	size_t n = strnlen(to, size);

	if (!s || !*s)
		return;
	if (*s == '/')
		n = 0;
	(void)snprintf(to + n, size - n, "%s%s", n && to[n - 1] != '/' ? "/" : "", s);
}

void dwarf_path(const struct dwarf_frame *f, char *to, size_t size)
{
	*to = '\0';
	if (!f->file)
		return;
	add_component(to, size, f->comp_dir);
	add_component(to, size, f->dir);
	add_component(to, size, f->file);
}
