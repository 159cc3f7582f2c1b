/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/code_map.h"

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/table.h"

#define LINES_MAX (2u << 20)

void code_map_done(struct code_map *m)
{
	free(m->v);
	free(m->lines);
	intern_done(&m->files);
	*m = (struct code_map){0};
}

/* ---- collecting ---- */

static int reserve(void **v, size_t *cap, size_t n, size_t size, size_t max)
{
	size_t want = MAX(*cap * 2, (size_t)256);
	void *p;

	if (n < *cap)
		return 0;
	if (n >= max)
		return -E2BIG;
	p = realloc(*v, want * size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = want;
	return 0;
}

int code_map_add(struct code_map *m, const struct code_map_entry *e)
{
	struct code_map_entry add = *e;
	size_t bytes;
	int r;

	if (!e->size || e->start > UINT64_MAX - e->size)
		return 0;
	add.size = MIN(e->size, (uint64_t)UINT32_MAX);
	add.name_bytes = MIN(e->name_bytes, (uint32_t)CODE_MAP_NAME_MAX);
	/* An entry makes at most two pieces more: its own, and the rest of the one it lies in. */
	bytes = 2 * sizeof(struct code_map_piece) + sizeof(struct code_map_function) +
		e->n_lines * sizeof(struct code_map_line) + add.name_bytes + 1;
	if (m->bytes + bytes > CODE_MAP_BYTES_MAX)
		return -E2BIG;
	r = reserve((void **)&m->v, &m->cap, m->n, sizeof(*m->v), CODE_MAP_MAX);
	if (r < 0)
		return r;
	m->bytes += bytes;
	m->v[m->n++] = add;
	return 0;
}

int code_map_add_line(struct code_map *m, uint32_t offset, const char *file, size_t file_bytes,
		      uint32_t line)
{
	uint32_t id;
	int r = reserve((void **)&m->lines, &m->cap_lines, m->n_lines, sizeof(*m->lines),
			LINES_MAX);

	if (r < 0)
		return r;
	if (m->files.bytes > CODE_MAP_BYTES_MAX / 4)
		return -E2BIG;
	id = intern_bytes(&m->files, file, MIN(file_bytes, (size_t)CODE_MAP_NAME_MAX));
	if (id == INTERN_INVALID)
		return -ENOMEM;
	m->lines[m->n_lines++] = (struct code_map_line){offset, id, line};
	return 0;
}

/* ---- who is where ---- */

struct painter {
	struct code_map *m;
	uint32_t *by_start; /* entries in the order of addresses */
	uint32_t *open; /* heap of entries that began: the newest, of the lowest index, on top */
	size_t n_open;
	uint32_t *functions; /* entry -> 1 + its function in the table; 0: not yet in it */
	uint32_t *entries;   /* function -> entry */
	size_t n_functions;
	struct buf pieces;
	struct code_map_piece last; /* not yet written */
};

static int start_compare(const void *a, const void *b, void *data)
{
	const struct code_map *m = data;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;

	if (m->v[i].start != m->v[k].start)
		return m->v[i].start < m->v[k].start ? -1 : 1;
	return i < k ? -1 : i > k;
}

static void open_push(struct painter *p, uint32_t entry)
{
	size_t i = p->n_open++;

	while (i && p->open[(i - 1) / 2] > entry) {
		p->open[i] = p->open[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	p->open[i] = entry;
}

static void open_pop(struct painter *p)
{
	uint32_t last = p->open[--p->n_open];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < p->n_open; i = child) {
		if (child + 1 < p->n_open && p->open[child + 1] < p->open[child])
			child++;
		if (last <= p->open[child])
			break;
		p->open[i] = p->open[child];
	}
	p->open[i] = last;
}

static uint64_t end_of(const struct painter *p, uint32_t entry)
{
	return p->m->v[entry].start + p->m->v[entry].size;
}

static void flush(struct painter *p)
{
	if (p->last.size)
		buf_add(&p->pieces, &p->last, sizeof(p->last));
}

static void paint(struct painter *p, uint64_t start, uint64_t end, uint32_t entry)
{
	if (!p->functions[entry]) {
		p->entries[p->n_functions] = entry;
		p->functions[entry] = (uint32_t)++p->n_functions;
	}
	if (p->last.size && p->last.function == p->functions[entry] - 1 &&
	    p->last.start + p->last.size == start) {
		p->last.size += (uint32_t)(end - start);
		return;
	}
	flush(p);
	p->last = (struct code_map_piece){start, (uint32_t)(end - start), p->functions[entry] - 1};
}

/* Goes through the addresses; at each, the newest of the entries that are open is what is there. */
static void paint_all(struct painter *p)
{
	const struct code_map_entry *v = p->m->v;
	uint64_t at = 0, end;

	for (size_t i = 0; i < p->m->n || p->n_open;) {
		if (!p->n_open)
			at = v[p->by_start[i]].start;
		while (i < p->m->n && v[p->by_start[i]].start <= at)
			open_push(p, p->by_start[i++]);
		while (p->n_open && end_of(p, p->open[0]) <= at)
			open_pop(p);
		if (!p->n_open)
			continue;
		end = end_of(p, p->open[0]);
		if (i < p->m->n)
			end = MIN(end, v[p->by_start[i]].start);
		paint(p, at, end, p->open[0]);
		at = end;
	}
	flush(p);
}

/* ---- packing ---- */

static void pack_strings(struct code_map *m, struct buf *strings, uint32_t *file_at)
{
	buf_add_u8(strings, 0);
	for (size_t i = 1; i < m->files.n_strings; i++) {
		file_at[i] = (uint32_t)strings->len;
		buf_adds(strings, intern_get(&m->files, (uint32_t)i));
		buf_add_u8(strings, 0);
	}
}

static int pack(struct painter *p, struct table_writer *w)
{
	struct code_map *m = p->m;
	struct buf *b = &w->sections[TABLE_CODE], *strings = &w->sections[TABLE_STRINGS];
	_cleanup_free_ uint32_t *file_at = calloc(m->files.n_strings + 1, sizeof(*file_at));
	struct code_map_header h = {
		.n_pieces = (uint32_t)(p->pieces.len / sizeof(struct code_map_piece)),
		.n_functions = (uint32_t)p->n_functions,
	};
	struct code_map_function f = {0};

	if (!file_at)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_functions; i++)
		h.n_lines += m->v[p->entries[i]].n_lines;
	pack_strings(m, strings, file_at);
	buf_add(b, &h, sizeof(h));
	buf_add(b, p->pieces.data, p->pieces.len);
	for (size_t i = 0; i < p->n_functions; i++) {
		const struct code_map_entry *e = &m->v[p->entries[i]];

		f.start = e->start;
		f.name = (uint32_t)strings->len;
		buf_add(b, &f, sizeof(f));
		buf_add(strings, e->name, e->name_bytes);
		buf_add_u8(strings, 0);
		f.first_line += e->n_lines;
	}
	buf_add(b, &f, sizeof(f));
	for (size_t i = 0; i < p->n_functions; i++) {
		const struct code_map_entry *e = &m->v[p->entries[i]];

		for (size_t k = 0; k < e->n_lines; k++) {
			struct code_map_line l = m->lines[e->first_line + k];

			l.file = file_at[l.file];
			buf_add(b, &l, sizeof(l));
		}
	}
	return b->failed ? b->failed : strings->failed;
}

int code_map_write(struct code_map *m, struct table_writer *w)
{
	_cleanup_free_ uint32_t *numbers = NULL;
	struct painter p = {.m = m, .pieces = BUF_INIT(CODE_MAP_BYTES_MAX)};
	int r;

	if (!m->n)
		return -ENODATA;
	numbers = calloc(4 * m->n, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	p.by_start = numbers;
	p.open = numbers + m->n;
	p.functions = numbers + 2 * m->n;
	p.entries = numbers + 3 * m->n;
	for (size_t i = 0; i < m->n; i++)
		p.by_start[i] = (uint32_t)i;
	qsort_r(p.by_start, m->n, sizeof(*p.by_start), start_compare, m);
	paint_all(&p);
	r = p.pieces.failed ? p.pieces.failed : pack(&p, w);
	buf_done(&p.pieces);
	return r;
}

/* ---- reading ---- */

struct view {
	const struct code_map_header *h;
	const struct code_map_piece *pieces;
	const struct code_map_function *functions;
	const struct code_map_line *lines;
};

static bool view_init(const struct table *t, struct view *ret)
{
	size_t bytes;
	const struct code_map_header *h = table_section(t, TABLE_CODE, &bytes);

	if (!h || bytes < sizeof(*h) ||
	    sizeof(*h) + sizeof(*ret->pieces) * (uint64_t)h->n_pieces +
			    sizeof(*ret->functions) * ((uint64_t)h->n_functions + 1) +
			    sizeof(*ret->lines) * (uint64_t)h->n_lines >
		    bytes)
		return false;
	ret->h = h;
	ret->pieces = (const struct code_map_piece *)(h + 1);
	ret->functions = (const struct code_map_function *)(ret->pieces + h->n_pieces);
	ret->lines = (const struct code_map_line *)(ret->functions + h->n_functions + 1);
	return true;
}

static const char *string_at(const struct table *t, uint32_t offset)
{
	size_t bytes;
	const uint8_t *s = table_section(t, TABLE_STRINGS, &bytes);
	struct cursor c;

	if (!s || offset >= bytes)
		return NULL;
	c = cursor_of(s + offset, bytes - offset);
	return cursor_cstr(&c, CODE_MAP_NAME_MAX);
}

static void find_line(const struct table *t, const struct view *v, uint32_t function, uint64_t off,
		      struct code_map_hit *hit)
{
	uint32_t first = v->functions[function].first_line,
		 end = v->functions[function + 1].first_line;
	const char *file;
	size_t at;

	if (end > v->h->n_lines)
		return;
	at = PARTITION_POINT(mid, first, end, v->lines[mid].offset <= off);
	if (at <= first)
		return;
	file = string_at(t, v->lines[at - 1].file);
	hit->file = file ? file : "";
	hit->line = v->lines[at - 1].line;
}

int code_map_lookup(const struct table *t, uint64_t address, struct code_map_hit *ret)
{
	struct code_map_hit hit = {.file = ""};
	const struct code_map_piece *p;
	struct view v;
	size_t at;

	if (!view_init(t, &v))
		return -ENOENT;
	at = PARTITION_POINT(mid, 0, v.h->n_pieces, v.pieces[mid].start <= address);
	if (!at)
		return -ENOENT;
	p = &v.pieces[at - 1];
	/* A table that is not sound may not be sorted either. */
	if (address - p->start >= p->size)
		return -ENOENT;
	if (p->function >= v.h->n_functions)
		return -EBADMSG;
	hit.name = string_at(t, v.functions[p->function].name);
	if (!hit.name)
		return -EBADMSG;
	find_line(t, &v, p->function, address - v.functions[p->function].start, &hit);
	*ret = hit;
	return 0;
}

uint32_t code_map_count(const struct table *t)
{
	struct view v;

	return view_init(t, &v) ? v.h->n_functions : 0;
}
