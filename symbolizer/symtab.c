/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks addresses up in the packed symbols. The table is not trusted: each index is checked where
 * it is used, so that nothing has to be validated beforehand and a lookup touches a few pages only.
 */
#include "symbolizer/symtab.h"

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/name_codes.h"
#include "symbolizer/symtab_layout.h"
#include "symbolizer/table.h"

#define NESTING_MAX 32

/* The arrays of TABLE_SYMBOLS; all inside the section. */
struct view {
	const struct symtab_header *h;
	const uint32_t *pages;
	const uint32_t *names;
	const struct symtab_wide *wide;
	const uint16_t *starts;
	const uint8_t *gaps;
	struct name_codes_view codes;
};

static bool view_init(const struct table *t, struct view *ret)
{
	size_t bytes;
	const struct symtab_header *h = table_section(t, TABLE_SYMBOLS, &bytes);
	uint64_t n_names, want;

	if (!h || bytes < sizeof(*h) || !h->n)
		return false;
	n_names = ((uint64_t)h->n + SYMTAB_NAMES_STRIDE - 1) / SYMTAB_NAMES_STRIDE;
	want = sizeof(*h) + 4 * ((uint64_t)h->n_pages + 1) + 4 * n_names +
	       sizeof(struct symtab_wide) * (uint64_t)h->n_wide + 3 * (uint64_t)h->n +
	       (NAME_CODE_BYTES + 1) * (uint64_t)h->n_codes;
	if (want > bytes || h->n_codes > NAME_CODES_MAX)
		return false;
	ret->h = h;
	ret->pages = (const uint32_t *)(h + 1);
	ret->names = ret->pages + h->n_pages + 1;
	ret->wide = (const struct symtab_wide *)(ret->names + n_names);
	ret->starts = (const uint16_t *)(ret->wide + h->n_wide);
	ret->gaps = (const uint8_t *)(ret->starts + h->n);
	ret->codes.n = h->n_codes;
	ret->codes.words = ret->gaps + h->n;
	ret->codes.lengths = ret->codes.words + NAME_CODE_BYTES * h->n_codes;
	return true;
}

/* Offset from base of function i, which must be < n. */
static uint64_t start_of(const struct view *v, uint32_t i)
{
	/* The last page that begins at or before i. */
	uint64_t page = PARTITION_POINT(mid, 0, v->h->n_pages, v->pages[mid] <= i);

	return ((page ? page - 1 : 0) << SYMTAB_PAGE_SHIFT) + v->starts[i];
}

/* The last function that starts at or before off: false when there is none. */
static bool find(const struct view *v, uint64_t off, uint32_t *ret)
{
	uint64_t page = off >> SYMTAB_PAGE_SHIFT;
	uint32_t at, end, first;

	if (page >= v->h->n_pages) {
		*ret = v->h->n - 1;
		return true;
	}
	first = MIN(v->pages[page], v->h->n);
	end = MIN(v->pages[page + 1], v->h->n);
	at = (uint32_t)PARTITION_POINT(mid, first, end, v->starts[mid] <= (uint16_t)off);
	/* None in this page: the last one before it. */
	if (at == first && !first)
		return false;
	*ret = at - 1;
	return true;
}

static const struct symtab_wide *find_wide(const struct view *v, uint32_t i)
{
	size_t at = PARTITION_POINT(mid, 0, v->h->n_wide, v->wide[mid].index < i);

	return at < v->h->n_wide && v->wide[at].index == i ? &v->wide[at] : NULL;
}

/* Where function i starts and ends, and its parent + 1 (0: none). */
static bool extent(const struct view *v, uint32_t i, uint64_t *ret_start, uint64_t *ret_end,
		   uint32_t *ret_parent)
{
	uint64_t start = start_of(v, i), end, next;

	*ret_parent = 0;
	if (v->gaps[i] == SYMTAB_WIDE) {
		const struct symtab_wide *w = find_wide(v, i);

		if (!w)
			return false;
		end = start + w->size;
		*ret_parent = w->parent;
	} else {
		if (i + 1 >= v->h->n)
			return false;
		next = start_of(v, i + 1);
		if (next < start + v->gaps[i])
			return false;
		end = next - v->gaps[i];
	}
	*ret_start = start;
	*ret_end = end;
	return true;
}

/* A NUL-terminated string of TABLE_STRINGS, or NULL. */
static const char *string_at(const struct table *t, uint32_t offset)
{
	size_t bytes;
	const uint8_t *s = table_section(t, TABLE_STRINGS, &bytes);
	struct cursor c;

	if (!s || offset >= bytes)
		return NULL;
	c = cursor_of(s + offset, bytes - offset);
	return cursor_cstr(&c, SYMTAB_NAME_BYTES_MAX);
}

/* Writes the name of function i. */
static int name_of(const struct table *t, const struct view *v, uint32_t i,
		   char to[static SYMTAB_NAME_BYTES_MAX + 16])
{
	uint32_t offset = v->names[i / SYMTAB_NAMES_STRIDE];
	size_t bytes;
	const uint8_t *s = table_section(t, TABLE_STRINGS, &bytes);
	struct cursor c;

	if (!s || offset >= bytes)
		return -EBADMSG;
	c = cursor_of(s + offset, bytes - offset);
	for (uint32_t skip = i % SYMTAB_NAMES_STRIDE; skip; skip--)
		(void)cursor_cstr(&c, 2 * SYMTAB_NAME_BYTES_MAX + 16);
	return c.bad ? -EBADMSG
		     : name_decode(&v->codes, c.p, cursor_left(&c), to, SYMTAB_NAME_BYTES_MAX + 16);
}

/* ---- lines ---- */

/* Walks the runs of one function to the one that covers `off` bytes behind its start. */
static void read_runs(struct cursor *c, uint64_t off, uint32_t *ret_file, struct symtab_hit *hit)
{
	uint64_t end = 0, line = cursor_uleb128(c);
	uint32_t file = 0;

	hit->start_line = (uint32_t)line;
	for (;;) {
		uint64_t head = cursor_uleb128(c);

		if (c->bad || !head)
			return;
		if (head & 1)
			file = (uint32_t)cursor_uleb128(c);
		line += (uint64_t)cursor_sleb128(c);
		end += head >> 1;
		if (c->bad || off >= end)
			continue;
		hit->line = (uint32_t)line;
		*ret_file = file;
		return;
	}
}

static void add_lines(const struct table *t, const struct view *v, uint32_t i, uint64_t off,
		      struct symtab_hit *hit)
{
	size_t bytes;
	const uint8_t *p = table_section(t, TABLE_LINES, &bytes);
	const struct symtab_lines_header *h = (const void *)p;
	const uint32_t *files, *offsets;
	uint32_t file = 0;
	struct cursor c;

	if (!p || bytes < sizeof(*h) || h->n != v->h->n ||
	    sizeof(*h) + 4 * ((uint64_t)h->n + h->n_files) > bytes)
		return;
	files = (const uint32_t *)(h + 1);
	offsets = files + h->n_files;
	if (!offsets[i] || offsets[i] >= bytes)
		return;
	c = cursor_of(p + offsets[i], bytes - offsets[i]);
	read_runs(&c, off, &file, hit);
	if (file && file < h->n_files)
		hit->file = string_at(t, files[file]);
}

/* *ret_index: of the function that was found. */
static int look_up(const struct table *t, const struct view *v, uint64_t vaddr,
		   struct symtab_hit *ret, uint32_t *ret_index)
{
	uint64_t off, start, end;
	uint32_t i, parent;

	if (vaddr < v->h->base)
		return -ENOENT;
	off = vaddr - v->h->base;
	if (!find(v, off, &i))
		return -ENOENT;
	for (int depth = 0;; depth++) {
		if (i >= v->h->n || depth > NESTING_MAX || !extent(v, i, &start, &end, &parent))
			return -EBADMSG;
		if (off < end)
			break;
		if (!parent)
			return -ENOENT;
		i = parent - 1;
	}
	if (off < start)
		return -EBADMSG;
	ret->start = v->h->base + start;
	ret->size = end - start;
	ret->file = NULL;
	ret->line = ret->start_line = 0;
	*ret_index = i;
	return name_of(t, v, i, ret->name);
}

int symtab_lookup(const struct table *t, uint64_t vaddr, struct symtab_hit *ret)
{
	struct view v;
	uint32_t i;

	return view_init(t, &v) ? look_up(t, &v, vaddr, ret, &i) : -ENOENT;
}

int symtab_lookup_line(const struct table *t, uint64_t vaddr, struct symtab_hit *ret)
{
	struct view v;
	uint32_t i;
	int r = view_init(t, &v) ? look_up(t, &v, vaddr, ret, &i) : -ENOENT;

	if (r == 0)
		add_lines(t, &v, i, vaddr - ret->start, ret);
	return r;
}

uint32_t symtab_count(const struct table *t)
{
	struct view v;

	return view_init(t, &v) ? v.h->n : 0;
}
