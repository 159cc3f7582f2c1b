/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders what was collected, chooses one name for each address, finds out where each function
 * ends and packs the result. See symtab_layout.h for the bytes.
 */
#include "symbolizer/symtab.h"

#include <errno.h>
#include <string.h>

#include "symbolizer/gopclntab.h"
#include "symbolizer/minidebug.h"
#include "symbolizer/name_codes.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab_internal.h"
#include "symbolizer/symtab_layout.h"
#include "symbolizer/table.h"

#define OVERLAPS_MAX 32

/* ---- order and choice ---- */

static uint32_t underscores(const struct symtab_entry *e)
{
	uint32_t n = 0;

	while (n < e->name_bytes && e->name[n] == '_')
		n++;
	return n;
}

/*
 * By address; at one address the name that a person would use comes first. Strength comes after
 * underscores: the C library's `write` is a weak alias of `__write`.
 */
static int entry_compare(const void *a, const void *b)
{
	const struct symtab_entry *x = a, *y = b;
	uint32_t ux, uy;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	/* A function that compiled to nothing lies where the next one begins. */
	if (!x->size != !y->size)
		return x->size ? -1 : 1;
	/* A mark at the start of a function. */
	if (!x->size != !y->size)
		return x->size ? -1 : 1;
	ux = underscores(x);
	uy = underscores(y);
	if (ux != uy)
		return ux < uy ? -1 : 1;
	if (x->weak != y->weak)
		return x->weak ? 1 : -1;
	if (x->name_bytes != y->name_bytes)
		return x->name_bytes < y->name_bytes ? -1 : 1;
	return memcmp(x->name, y->name, x->name_bytes);
}

/* One entry an address, the first; of the others only the size is of use. Labels without a size
 * inside of a function are places, not functions. */
static void drop_aliases(struct symtab_set *s)
{
	uint64_t covered = 0;
	size_t n = 0;

	for (size_t i = 0; i < s->n;) {
		struct symtab_entry e = s->v[i];

		for (i++; i < s->n && s->v[i].start == e.start; i++)
			e.size = MAX(e.size, s->v[i].size);
		if (!e.size && e.rank >= SYMTAB_RANK_LABEL && e.start < covered)
			continue;
		covered = MAX(covered, e.start + e.size);
		s->v[n++] = e;
	}
	s->n = n;
}

static const struct symtab_entry *entry_at(const struct symtab_set *s, uint64_t start)
{
	size_t at = PARTITION_POINT(mid, 0, s->n, s->v[mid].start < start);

	return at < s->n && s->v[at].start == start ? &s->v[at] : NULL;
}

/* Stubs of functions that the file chooses for itself when it starts (IFUNC) carry no symbol:
 * whatever has the address of the chooser is the name. Those that stay nameless are dropped. */
static void name_stubs(struct symtab_set *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct symtab_entry *e = &s->v[i];
		const struct symtab_entry *f = e->resolver ? entry_at(s, e->resolver) : NULL;

		if (f && !f->resolver) {
			e->name = f->name;
			e->name_bytes = f->name_bytes;
		}
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].name_bytes)
			s->v[n++] = s->v[i];
	}
	s->n = n;
}

/* How far a function without a size is believed to reach where only exported functions have
 * symbols: the next symbol says nothing there about the functions in between. (musl's memset() has
 * no size, and its __clone(), which nobody exports, lies behind it.) */
#define UNSIZED_EXPORT_BYTES 128

/* Functions without a size reach to what comes next. */
static void set_sizes(struct symtab_set *s, bool only_exports)
{
	uint64_t covered = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct symtab_entry *e = &s->v[i];
		uint64_t end = e->limit;

		if (!e->size) {
			if (i + 1 < s->n)
				end = MIN(end, s->v[i + 1].start);
			if (e->start < covered)
				end = MIN(end, covered);
			else if (only_exports)
				end = MIN(end, e->start + UNSIZED_EXPORT_BYTES);
			e->size = end - e->start;
		}
		e->size = MIN(e->size, (uint64_t)UINT32_MAX);
		covered = MAX(covered, e->start + e->size);
	}
}

/* ret_parents[i]: 1 + index of the innermost function that was open where i begins and goes on
 * behind it. */
static int find_parents(const struct symtab_set *s, uint32_t **ret_parents)
{
	uint32_t *parents = malloc(s->n * sizeof(*parents));
	_cleanup_free_ uint32_t *open = malloc(s->n * sizeof(*open));
	size_t n_open = 0;

	if (!parents || !open) {
		free(parents);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->n; i++) {
		const struct symtab_entry *e = &s->v[i];
		uint64_t end = e->start + e->size;

		while (n_open) {
			const struct symtab_entry *top = &s->v[open[n_open - 1]];

			if (top->start + top->size > e->start)
				break;
			n_open--;
		}
		parents[i] = 0;
		/* Overlaps that are not nested are rare; a hostile file may have nothing else. */
		for (size_t k = 0; k < MIN(n_open, (size_t)OVERLAPS_MAX) && !parents[i]; k++) {
			const struct symtab_entry *p = &s->v[open[n_open - 1 - k]];

			if (p->start + p->size > end)
				parents[i] = open[n_open - 1 - k] + 1;
		}
		open[n_open++] = (uint32_t)i;
	}
	*ret_parents = parents;
	return 0;
}

/* ---- packing ---- */

static void add_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void add_pages(struct buf *b, const struct symtab_set *s, uint32_t n_pages)
{
	size_t i = 0;

	for (uint32_t page = 0; page < n_pages; page++) {
		while (i < s->n && (s->v[i].start - s->v[0].start) >> SYMTAB_PAGE_SHIFT < page)
			i++;
		add_u32(b, (uint32_t)i);
	}
	add_u32(b, (uint32_t)s->n);
}

static void add_names(struct buf *b, struct buf *strings, const struct symtab_set *s,
		      const struct name_trainer *codes)
{
	buf_add_u8(strings, 0);
	for (size_t i = 0; i < s->n; i++) {
		const struct symtab_entry *e = &s->v[i];

		if (i % SYMTAB_NAMES_STRIDE == 0)
			add_u32(b, (uint32_t)strings->len);
		name_encode(codes, e->name, e->name_bytes, strings);
		if (e->rank == SYMTAB_RANK_PLT)
			name_encode(codes, "@plt", 4, strings);
		buf_add_u8(strings, 0);
	}
}

static struct name_trainer *choose_codes(const struct symtab_set *s)
{
	_cleanup_free_ struct name_piece *names = malloc(s->n * sizeof(*names));

	for (size_t i = 0; names && i < s->n; i++)
		names[i] = (struct name_piece){s->v[i].name, s->v[i].name_bytes};
	return names ? name_trainer_new(names, s->n) : NULL;
}

/* The gap behind entry i, or SYMTAB_WIDE. */
static uint8_t gap_of(const struct symtab_set *s, size_t i, const uint32_t *parents)
{
	uint64_t end = s->v[i].start + s->v[i].size, next;

	if (i + 1 == s->n || parents[i])
		return SYMTAB_WIDE;
	next = s->v[i + 1].start;
	return next >= end && next - end < SYMTAB_WIDE ? (uint8_t)(next - end) : SYMTAB_WIDE;
}

static void pack_symbols(struct table_writer *w, const struct symtab_set *s,
			 const uint32_t *parents, const struct name_trainer *names)
{
	const struct name_codes *codes = name_trainer_codes(names);
	struct buf *b = &w->sections[TABLE_SYMBOLS];
	uint64_t span = s->v[s->n - 1].start - s->v[0].start;
	struct symtab_header h = {
		.base = s->v[0].start,
		.n = (uint32_t)s->n,
		.n_pages = (uint32_t)(span >> SYMTAB_PAGE_SHIFT) + 1,
		.n_codes = codes->n,
	};

	for (size_t i = 0; i < s->n; i++)
		h.n_wide += gap_of(s, i, parents) == SYMTAB_WIDE;
	buf_add(b, &h, sizeof(h));
	add_pages(b, s, h.n_pages);
	add_names(b, &w->sections[TABLE_STRINGS], s, names);
	for (size_t i = 0; i < s->n; i++) {
		struct symtab_wide wide = {(uint32_t)i, (uint32_t)s->v[i].size, parents[i]};

		if (gap_of(s, i, parents) == SYMTAB_WIDE)
			buf_add(b, &wide, sizeof(wide));
	}
	for (size_t i = 0; i < s->n; i++) {
		uint16_t start = (uint16_t)(s->v[i].start - h.base);

		buf_add(b, &start, sizeof(start));
	}
	for (size_t i = 0; i < s->n; i++)
		buf_add_u8(b, gap_of(s, i, parents));
	buf_add(b, codes->words, codes->n * sizeof(codes->words[0]));
	buf_add(b, codes->lengths, codes->n);
}

/* ---- the whole ---- */

static int write_set(struct table_writer *w, struct symtab_set *s, const struct gopclntab *g,
		     bool only_exports, bool code_names)
{
	_cleanup_(name_trainer_freep) struct name_trainer *names = NULL;
	_cleanup_free_ uint32_t *parents = NULL;
	int r;

	qsort(s->v, s->n, sizeof(*s->v), entry_compare);
	drop_aliases(s);
	name_stubs(s);
	if (!s->n)
		return -ENODATA;
	/* Starts are 32 bits from the first one; no real file has code further apart. */
	while (s->v[s->n - 1].start - s->v[0].start > UINT32_MAX)
		s->n--;
	set_sizes(s, only_exports);
	r = find_parents(s, &parents);
	if (r < 0)
		return r;
	names = code_names ? choose_codes(s) : name_trainer_new(NULL, 0);
	if (!names)
		return -ENOMEM;
	pack_symbols(w, s, parents, names);
	if (g)
		r = symtab_write_lines(w, s, g);
	if (r < 0)
		return r;
	if (w->sections[TABLE_STRINGS].len > UINT32_MAX)
		return -E2BIG;
	return w->sections[TABLE_SYMBOLS].failed ? w->sections[TABLE_SYMBOLS].failed
						 : w->sections[TABLE_STRINGS].failed;
}

static void give_up(struct table_writer *w)
{
	static const enum table_section ours[] = {TABLE_SYMBOLS, TABLE_LINES, TABLE_STRINGS};

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		buf_reset(&w->sections[ours[i]]);
}

int symtab_write(struct objfile *o, bool code_names, struct table_writer *w)
{
	_cleanup_(gopclntab_freep) struct gopclntab *g = NULL;
	_cleanup_(minidebug_done) struct minidebug mini = {0};
	_cleanup_(symtab_set_done) struct symtab_set s = {0};
	bool symtab = false;
	int r;

	r = gopclntab_open(o, &g);
	if (r == -ENOMEM)
		return r;
	/* Without them the file is what it is to everyone who knows nothing of them. */
	r = minidebug_open(o, &mini);
	if (r == -ENOMEM)
		return r;
	r = symtab_collect(o, mini.object, g, &s, &symtab);
	if (r < 0)
		return r;
	if (!s.n)
		return -ENODATA;
	r = write_set(w, &s, g, !symtab && !g, code_names);
	if (r < 0) {
		give_up(w);
		return r;
	}
	return (g ? TABLE_IS_GO | TABLE_HAS_LINES : 0) | (symtab ? TABLE_HAS_SYMTAB : 0);
}
