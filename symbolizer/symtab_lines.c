/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs files and lines of Go functions into TABLE_LINES (symtab_layout.h): the two pc-value
 * tables of a function become one list of runs. Lines of code inlined into a function are those
 * of the inlined source, as the table has them.
 */
#include "symbolizer/symtab_internal.h"

#include <errno.h>
#include <string.h>

#include "agent/base/hash.h"
#include "symbolizer/gopclntab.h"
#include "symbolizer/symtab_layout.h"
#include "symbolizer/table.h"

static void add_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

struct lines {
	const struct gopclntab *g;
	struct buf runs;
	struct buf files;    /* u32: offset of a name in TABLE_STRINGS */
	struct hash by_name; /* address of the name in the file -> index in files */
	struct buf *strings;
	uint32_t file, line; /* of the run before */
};

static void add_uleb(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_u8(b, (uint8_t)v | 0x80);
	buf_add_u8(b, (uint8_t)v);
}

static void add_sleb(struct buf *b, int64_t v)
{
	for (; v < -64 || v > 63; v >>= 7)
		buf_add_u8(b, (uint8_t)v | 0x80);
	buf_add_u8(b, (uint8_t)v & 0x7f);
}

/* The index of a file; 0 when not known (or without memory: a line lost is not a profile lost). */
static uint32_t lines_file(struct lines *l, const char *name)
{
	uint64_t i;

	if (!name || !*name)
		return 0;
	i = hash_get(&l->by_name, (uintptr_t)name);
	if (i != HASH_NONE)
		return (uint32_t)i;
	i = l->files.len / 4;
	if (hash_put(&l->by_name, (uintptr_t)name, i) < 0)
		return 0;
	add_u32(&l->files, (uint32_t)l->strings->len);
	buf_add(l->strings, name, strlen(name) + 1);
	return (uint32_t)i;
}

static void add_run(struct lines *l, uint64_t bytes, uint32_t file, uint32_t line)
{
	bool new_file = file != l->file;

	add_uleb(&l->runs, bytes << 1 | new_file);
	if (new_file)
		add_uleb(&l->runs, file);
	add_sleb(&l->runs, (int64_t)line - l->line);
	l->file = file;
	l->line = line;
}

/* Merges the two pc-value tables of f, which change at different places. */
static void add_function_lines(struct lines *l, const struct gopclntab_func *f)
{
	struct gopclntab_iter files, lines;
	uint64_t file_end = 0, line_start, line_end, start;
	int32_t file = -1, line;
	uint32_t index = 0;
	bool first = true;

	gopclntab_pcvalue(l->g, f, f->pcfile, &files);
	gopclntab_pcvalue(l->g, f, f->pcln, &lines);
	l->file = 0;
	while (gopclntab_pcvalue_next(&lines, &line_start, &line_end, &line)) {
		if (first) {
			l->line = f->start_line ? f->start_line : (uint32_t)MAX(line, 0);
			add_uleb(&l->runs, l->line);
			first = false;
		}
		for (; line_start < line_end; line_start = file_end) {
			uint64_t end;

			while (file_end <= line_start) {
				if (!gopclntab_pcvalue_next(&files, &start, &file_end, &file)) {
					file_end = UINT64_MAX;
					file = -1;
				}
				index = lines_file(l, gopclntab_file(l->g, f, file));
			}
			end = MIN(file_end, line_end);
			add_run(l, end - line_start, index, (uint32_t)MAX(line, 0));
			if (file_end >= line_end)
				break;
		}
	}
	if (!first)
		buf_add_u8(&l->runs, 0);
}

static void pack_lines(struct table_writer *w, const struct symtab_set *s, struct lines *l,
		       uint32_t *offsets)
{
	struct buf *b = &w->sections[TABLE_LINES];
	struct symtab_lines_header h = {.n = (uint32_t)s->n};
	uint32_t first;

	add_u32(&l->files, 0);
	for (size_t i = 0; i < s->n; i++) {
		struct gopclntab_func f;
		uint32_t at = (uint32_t)l->runs.len;

		offsets[i] = UINT32_MAX;
		if (!s->v[i].go || gopclntab_func(l->g, s->v[i].go - 1, &f) < 0)
			continue;
		add_function_lines(l, &f);
		if (l->runs.len > at)
			offsets[i] = at;
	}
	h.n_files = (uint32_t)(l->files.len / 4);
	first = (uint32_t)(sizeof(h) + l->files.len + s->n * 4);
	for (size_t i = 0; i < s->n; i++)
		offsets[i] = offsets[i] == UINT32_MAX ? 0 : offsets[i] + first;
	buf_add(b, &h, sizeof(h));
	buf_add(b, l->files.data, l->files.len);
	buf_add(b, offsets, s->n * 4);
	buf_add(b, l->runs.data, l->runs.len);
	if (l->runs.failed || l->files.failed)
		b->failed = l->runs.failed ? l->runs.failed : l->files.failed;
}

int symtab_write_lines(struct table_writer *w, const struct symtab_set *s,
		       const struct gopclntab *g)
{
	_cleanup_free_ uint32_t *offsets = malloc(s->n * sizeof(*offsets));
	size_t max = w->sections[TABLE_LINES].max;
	struct lines l = {
		.g = g,
		.runs = BUF_INIT(MIN(max, (size_t)UINT32_MAX / 2)),
		.files = BUF_INIT(MIN(max, (size_t)UINT32_MAX / 4)),
		.strings = &w->sections[TABLE_STRINGS],
	};

	if (!offsets)
		return -ENOMEM;
	pack_lines(w, s, &l, offsets);
	buf_done(&l.runs);
	buf_done(&l.files);
	hash_done(&l.by_name);
	return w->sections[TABLE_LINES].failed;
}
