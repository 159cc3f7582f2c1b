/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From addresses to functions. The addresses are sorted into units; of each unit the line program
 * is run once and the tree of DIEs is walked once, for all of its addresses together. Names are
 * looked up at the end, for what was met.
 */
#include "symbolizer/dwarf_expand.h"

#include <errno.h>

#include "symbolizer/dwarf_constants.h"

#define DEPTH_MAX 1024 /* of the tree of DIEs */
#define HOPS_MAX  16   /* from a DIE to the one that has the name */

/* A function, or an inlined one, around an address. */
struct hit {
	uint64_t die, size, call_file;
	uint32_t depth, call_line;
};

struct query {
	uint64_t vaddr;
	size_t index; /* as the caller counts */
	struct hit *hits;
	uint32_t n_hits, cap_hits;
	uint32_t line;
	uint64_t file;
	bool has_line;
};

/* One unit with those addresses that it may know. */
struct job {
	struct dwarf *d;
	const struct dwarf_unit *unit; /* where the lines are */
	const struct dwarf_unit *full; /* where the DIEs are: the same, or a split unit */
	struct query *queries;	       /* by address */
	size_t n;
	struct dwarf_abbrevs abbrevs; /* of full */
	uint64_t path[DEPTH_MAX];     /* the DIEs that are open */
	uint32_t depth;
	struct hit hit; /* the DIE that is being looked at */
	bool is_function;
};

/* The first query at or behind an address. */
static size_t query_find(const struct job *j, uint64_t vaddr)
{
	size_t low = 0, high = j->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (j->queries[mid].vaddr < vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- lines ---- */

static void on_row(void *data, uint64_t start, uint64_t end, uint64_t file, uint32_t line)
{
	struct job *j = data;

	if (end <= j->queries[0].vaddr || start > j->queries[j->n - 1].vaddr)
		return;
	for (size_t i = query_find(j, start); i < j->n && j->queries[i].vaddr < end; i++) {
		struct query *q = &j->queries[i];

		if (q->has_line)
			continue;
		q->has_line = true;
		q->file = file;
		q->line = line;
	}
}

/* ---- the tree ---- */

static bool is_open(const struct job *j, const struct hit *h)
{
	return h->depth < j->depth && j->path[h->depth] == h->die;
}

static int hit_add(struct query *q, const struct hit *h)
{
	if (q->n_hits >= DWARF_FRAMES_MAX)
		return 0;
	if (q->n_hits == q->cap_hits) {
		uint32_t cap = q->cap_hits ? q->cap_hits * 2 : 4;
		struct hit *v = realloc(q->hits, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		q->hits = v;
		q->cap_hits = cap;
	}
	q->hits[q->n_hits++] = *h;
	return 0;
}

static int consider(const struct job *j, struct query *q, const struct hit *h)
{
	uint32_t n = q->n_hits;

	if (j->is_function) {
		/* Of functions that overlap the smallest is meant. */
		if (n && q->hits[0].size < h->size)
			return 0;
		q->n_hits = 0;
		return hit_add(q, h);
	}
	while (n && !is_open(j, &q->hits[n - 1])) {
		if (q->hits[n - 1].size < h->size)
			return 0;
		n--;
	}
	/* Inlined into a function that is not the one of this address. */
	if (!n)
		return 0;
	q->n_hits = n;
	return hit_add(q, h);
}

static int on_range(void *data, uint64_t start, uint64_t end)
{
	struct job *j = data;
	int r = 0;

	j->hit.size = end - start;
	for (size_t i = query_find(j, start); i < j->n && j->queries[i].vaddr < end && r >= 0; i++)
		r = consider(j, &j->queries[i], &j->hit);
	return r;
}

/* A function or an inlined one; c is behind it afterwards. */
static int visit(struct job *j, struct cursor *c, const struct dwarf_abbrev *a, uint64_t die)
{
	struct dwarf_pcs pcs = {0};
	uint64_t call_file = 0, call_line = 0;

	for (uint32_t i = 0; i < a->n && !c->bad; i++) {
		const struct dwarf_attr *attr = &j->abbrevs.attrs[a->first + i];
		struct dwarf_value v;

		switch (attr->name) {
		case DW_AT_low_pc:
			dwarf_value_read(j->full, c, attr, &pcs.low);
			break;
		case DW_AT_high_pc:
			dwarf_value_read(j->full, c, attr, &pcs.high);
			break;
		case DW_AT_ranges:
			dwarf_value_read(j->full, c, attr, &pcs.ranges);
			break;
		case DW_AT_call_file:
			dwarf_value_read(j->full, c, attr, &v);
			call_file = v.u;
			break;
		case DW_AT_call_line:
			dwarf_value_read(j->full, c, attr, &v);
			call_line = v.u;
			break;
		default:
			dwarf_value_skip(j->full, c, attr);
		}
	}
	if (c->bad)
		return -EBADMSG;
	j->is_function = a->tag == DW_TAG_subprogram;
	j->hit = (struct hit){.die = die,
			      .depth = j->depth,
			      .call_file = call_file,
			      .call_line = (uint32_t)MIN(call_line, UINT32_MAX)};
	return dwarf_ranges(j->full, &pcs, on_range, j);
}

static int walk(struct job *j)
{
	const struct dwarf_unit *u = j->full;
	const uint8_t *base = u->part->sections[DWARF_INFO].data;
	struct cursor c = dwarf_die_at(u, u->root);

	while (cursor_left(&c)) {
		uint64_t die = (uint64_t)(c.p - base), code = cursor_uleb128(&c);
		const struct dwarf_abbrev *a;
		int r = 0;

		if (!code) {
			if (!j->depth)
				break;
			j->depth--;
			continue;
		}
		a = dwarf_abbrevs_find(&j->abbrevs, code);
		if (!a || j->depth >= DEPTH_MAX)
			return -EBADMSG;
		if (a->wanted)
			r = visit(j, &c, a, die);
		else
			dwarf_die_skip(u, &c, &j->abbrevs, a);
		if (r < 0)
			return r;
		j->path[j->depth] = die;
		if (a->has_children)
			j->depth++;
	}
	return c.bad ? -EBADMSG : 0;
}

/* ---- names ---- */

struct named {
	const char *name, *linkage_name;
	uint64_t line;
};

/* Adds what one DIE says; *ret_next is the DIE that it stands for, or NULL. */
static void die_read(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_abbrevs *t,
		     const struct dwarf_abbrev *a, struct named *n,
		     const struct dwarf_unit **ret_next, uint64_t *ret_die)
{
	for (uint32_t i = 0; i < a->n && !c->bad; i++) {
		const struct dwarf_attr *attr = &t->attrs[a->first + i];
		struct dwarf_value v;

		dwarf_value_read(u, c, attr, &v);
		if (c->bad)
			break;
		switch (attr->name) {
		case DW_AT_name:
			n->name = n->name ? n->name : dwarf_value_string(u, &v);
			break;
		case DW_AT_linkage_name:
		case DW_AT_MIPS_linkage_name:
			if (!n->linkage_name)
				n->linkage_name = dwarf_value_string(u, &v);
			break;
		case DW_AT_decl_line:
			n->line = n->line ? n->line : v.u;
			break;
		case DW_AT_abstract_origin:
		case DW_AT_specification:
			*ret_next = dwarf_value_ref(u, &v, ret_die);
			break;
		default:
			break;
		}
	}
}

/* Moves *u and *die to the DIE that this one stands for; *u is NULL when there is none. */
static void hop(const struct job *j, const struct dwarf_unit **u, uint64_t *die, struct named *n)
{
	struct cursor c = dwarf_die_at(*u, *die);
	uint64_t code = cursor_uleb128(&c);
	const struct dwarf_unit *next = NULL;
	const struct dwarf_abbrev *a = NULL;
	struct dwarf_abbrevs one = {0};

	if (*u == j->full)
		a = c.bad ? NULL : dwarf_abbrevs_find(&j->abbrevs, code);
	else if (!c.bad && dwarf_abbrev_read_one(*u, code, &one) == 0)
		a = &one.v[0];
	if (a)
		die_read(*u, &c, *u == j->full ? &j->abbrevs : &one, a, n, &next, die);
	dwarf_abbrevs_done(&one);
	*u = next;
}

static void name(const struct job *j, uint64_t die, struct dwarf_frame *f)
{
	const struct dwarf_unit *u = j->full;
	struct named n = {0};

	for (int i = 0; u && i < HOPS_MAX; i++)
		hop(j, &u, &die, &n);
	f->name = n.linkage_name ? n.linkage_name : n.name;
	f->is_linkage_name = n.linkage_name;
	f->start_line = (uint32_t)MIN(n.line, UINT32_MAX);
}

static void place(const struct job *j, const struct dwarf_lines *l, uint64_t file, uint32_t line,
		  struct dwarf_frame *f)
{
	f->line = line;
	if (l && dwarf_lines_file(l, file, &f->dir, &f->file))
		f->comp_dir = j->unit->comp_dir;
}

static void report(const struct job *j, const struct query *q, const struct dwarf_lines *l,
		   dwarf_fn fn, void *data)
{
	struct dwarf_frame frames[DWARF_FRAMES_MAX] = {0};
	size_t n = MAX(q->n_hits, 1u);

	for (size_t i = 0; i < q->n_hits; i++)
		name(j, q->hits[q->n_hits - 1 - i].die, &frames[i]);
	if (q->has_line)
		place(j, l, q->file, q->line, &frames[0]);
	for (size_t i = 1; i < n; i++) {
		const struct hit *inner = &q->hits[q->n_hits - i];

		place(j, l, inner->call_file, inner->call_line, &frames[i]);
	}
	fn(data, q->index, frames, n);
}

/* ---- one unit ---- */

static int missing_add(struct dwarf *d, const struct dwarf_unit *u)
{
	if (d->n_missing == d->cap_missing) {
		size_t cap = d->cap_missing ? d->cap_missing * 2 : 16;
		const struct dwarf_unit **v = realloc(d->missing, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->missing = v;
		d->cap_missing = cap;
	}
	d->missing[d->n_missing++] = u;
	return 0;
}

static int unit_expand(struct job *j, dwarf_fn fn, void *data)
{
	_cleanup_(dwarf_lines_freep) struct dwarf_lines *l = NULL;
	int r = dwarf_lines_open(j->unit, &l);

	if (r == -ENOMEM)
		return r;
	if (l)
		(void)dwarf_lines_run(l, on_row, j);
	j->full = j->unit->full ? j->unit->full : j->unit;
	if (j->unit->is_skeleton && !j->unit->full && missing_add(j->d, j->unit) < 0)
		return -ENOMEM;
	r = dwarf_abbrevs_read(j->full, &j->abbrevs);
	if (r >= 0)
		r = walk(j);
	for (size_t i = 0; i < j->n && r != -ENOMEM; i++) {
		const struct query *q = &j->queries[i];

		if (q->n_hits || q->has_line)
			report(j, q, l, fn, data);
	}
	dwarf_abbrevs_done(&j->abbrevs);
	return r == -ENOMEM ? r : 0;
}

/* ---- all ---- */

struct pair {
	struct dwarf_unit *unit;
	uint64_t vaddr;
	size_t index;
};

struct pairs {
	struct pair *v;
	size_t n, cap;
};

static int pair_add(struct pairs *p, struct dwarf_unit *u, uint64_t vaddr, size_t index)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 256;
		struct pair *v = realloc(p->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = (struct pair){u, vaddr, index};
	return 0;
}

/* The unit with the smallest range around an address. */
static int units_of(const struct dwarf *d, uint64_t vaddr, size_t index, struct pairs *p)
{
	size_t low = 0, high = d->n_covers;
	const struct dwarf_cover *best = NULL;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (d->covers[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	while (low > 0 && d->covers[low - 1].max_end > vaddr) {
		const struct dwarf_cover *c = &d->covers[--low];

		if (c->end > vaddr && (!best || c->end - c->start < best->end - best->start))
			best = c;
	}
	return best ? pair_add(p, best->unit, vaddr, index) : 0;
}

static int by_unit(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;

	if (a->unit != b->unit)
		return a->unit < b->unit ? -1 : 1;
	return a->vaddr < b->vaddr ? -1 : a->vaddr > b->vaddr;
}

static int expand_unit(struct dwarf *d, const struct pair *v, size_t n, dwarf_fn fn, void *data)
{
	_cleanup_free_ struct job *j = calloc(1, sizeof(*j));
	_cleanup_free_ struct query *queries = calloc(n, sizeof(*queries));
	int r;

	if (!j || !queries)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		queries[i] = (struct query){.vaddr = v[i].vaddr, .index = v[i].index};
	*j = (struct job){.d = d, .unit = v[0].unit, .queries = queries, .n = n};
	r = unit_expand(j, fn, data);
	for (size_t i = 0; i < n; i++)
		free(queries[i].hits);
	return r;
}

int dwarf_expand(struct dwarf *d, const uint64_t *vaddrs, size_t n, dwarf_fn fn, void *data)
{
	struct pairs p = {0};
	int r = 0;

	d->n_missing = 0;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = units_of(d, vaddrs[i], i, &p);
	if (p.n)
		qsort(p.v, p.n, sizeof(*p.v), by_unit);
	for (size_t i = 0, k; i < p.n && r >= 0; i = k) {
		for (k = i + 1; k < p.n && p.v[k].unit == p.v[i].unit;)
			k++;
		r = expand_unit(d, &p.v[i], k - i, fn, data);
	}
	free(p.v);
	return r;
}
