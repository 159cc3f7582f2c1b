/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/parser/build.h"

#include <errno.h>

#include "agent/parser/child.h"
#include "agent/parser/image.h"
#include "agent/parser/kept.h"
#include "symbolizer/debuglink.h"
#include "symbolizer/gdb_jit.h"
#include "symbolizer/jitdump.h"
#include "symbolizer/lines.h"
#include "symbolizer/objfile.h"
#include "symbolizer/perf_map.h"
#include "symbolizer/symtab.h"
#include "symbolizer/table.h"
#include "unwinders/jit_rows.h"
#include "unwinders/runtime.h"

#define SECTION_BYTES_MAX (128u << 20)
#define QUERY_BYTES_MAX	  (1u << 20)

#define _cleanup_writer_ _cleanup_(table_writer_done)

static void section_clear(struct table_writer *w, enum table_section s)
{
	buf_done(&w->sections[s]);
	w->sections[s] = BUF_INIT(SECTION_BYTES_MAX);
}

static int add_rows(struct objfile *o, const struct runtime_description *d, struct table_writer *w,
		    uint32_t *flags)
{
	const struct rows_options options = {.loops = d->loops, .n_loops = d->n_loops};
	uint32_t got = 0;
	int r = rows_write_with(o, w, &options, &got);

	if (r == 0)
		r = MIN(w->sections[TABLE_ROWS].failed, w->sections[TABLE_ROWS_INDEX].failed);
	if (r == 0) {
		*flags |= got;
		return 0;
	}
	section_clear(w, TABLE_ROWS);
	section_clear(w, TABLE_ROWS_INDEX);
	return r == -ENOMEM ? r : 0;
}

/* The runtime that is in the file, and the unwind rows, which know its loop. */
static int add_unwinding(struct objfile *o, struct table_writer *w, uint32_t *flags)
{
	struct runtime_description d = {0};
	uint32_t id;
	int r = runtime_describe(o, &d, &id);

	if (r == 0)
		r = runtime_write(id, &d, w);
	if (r == 0)
		r = add_rows(o, &d, w, flags);
	runtime_description_done(&d);
	return r;
}

static int add_symbols(struct objfile *o, bool code_names, struct table_writer *w, uint32_t *flags)
{
	int r = symtab_write(o, code_names, w);

	if (r > 0)
		*flags |= (uint32_t)r;
	return r == -ENOMEM ? r : 0;
}

static void add_crc(const struct image *image, struct table_writer *w)
{
	struct table_info *info = (struct table_info *)w->sections[TABLE_INFO].data;

	if (info && !info->build_id_bytes)
		info->file_crc = debuglink_crc(image->data, image->bytes);
}

static int build_file(int in_fd, uint32_t kind, struct table_writer *w, uint32_t *ret_flags)
{
	_cleanup_image_ struct image image = {0};
	const bool is_debug = kind != BUILD_FILE;
	uint32_t flags = 0;
	int r;

	r = image_open(in_fd, &image);
	if (r == 0 && !is_debug)
		r = add_unwinding(image.object, w, &flags);
	if (r == 0)
		r = add_symbols(image.object, kind != BUILD_NAMES, w, &flags);
	if (r == 0)
		r = objfile_write_info(image.object, flags, w);
	if (r == 0 && is_debug)
		add_crc(&image, w);
	if (r == 0)
		*ret_flags = flags;
	return r < 0 ? r : 0;
}

/* ---- lines ---- */

static int build_lines(struct kept *kept, const int *in_fds, size_t n, struct table_writer *w)
{
	struct lines_query q = {0};
	int r = lines_query_read(in_fds[0], QUERY_BYTES_MAX, &q);

	if (r == 0)
		r = kept_lines(kept, in_fds + 1, n - 1, &q, w);
	lines_query_done(&q);
	return r;
}

static int add_jit_rows(const struct gdb_jit_files *f, struct table_writer *w)
{
	_cleanup_free_ struct jit_rows_source *sources =
		calloc(2 * f->n + f->n_frames + 2, sizeof(*sources));
	size_t n = 0;
	int r;

	if (!sources)
		return -ENOMEM;
	for (size_t i = 0; i < f->n; i++)
		n += jit_rows_sources(f->v[i], &sources[n]);
	for (size_t i = 0; i < f->n_frames; i++)
		sources[n++] = jit_rows_source_of(f->frames[i].data, f->frames[i].bytes,
						  f->frames[i].vaddr);
	r = jit_rows_write(sources, n, w);
	if (r < 0) {
		section_clear(w, TABLE_ROWS);
		section_clear(w, TABLE_ROWS_INDEX);
	}
	return r;
}

/* Names or rows or both. */
static int build_gdb_jit(int in_fd, struct table_writer *w)
{
	_cleanup_(gdb_jit_files_done) struct gdb_jit_files f = {0};
	int r = gdb_jit_open_fd(in_fd, &f), rows;

	if (r < 0)
		return r;
	r = gdb_jit_write(&f, w);
	if (r < 0 && r != -ENODATA)
		return r;
	rows = add_jit_rows(&f, w);
	if (rows == -ENOMEM)
		return rows;
	return rows == 0 ? 0 : r;
}

static int build_gdb_jit_find(const int *in_fds, size_t n, struct table_writer *w)
{
	struct image images[CHILD_FILES_MAX] = {0};
	struct objfile *files[CHILD_FILES_MAX] = {0};
	int r = 0;

	for (size_t i = 0; i < n && r != -ENOMEM; i++) {
		r = image_open(in_fds[i], &images[i]);
		files[i] = images[i].object;
	}
	r = r == -ENOMEM ? r : gdb_jit_find(files, n, w);
	for (size_t i = 0; i < n; i++)
		image_done(&images[i]);
	return r;
}

int build_table(void *kept, const int *in_fds, size_t n, uint32_t kind, int out_fd,
		uint32_t *ret_flags)
{
	_cleanup_writer_ struct table_writer w;
	int r = -EINVAL;

	table_writer_init(&w, SECTION_BYTES_MAX);
	if ((kind == BUILD_FILE || kind == BUILD_DEBUG || kind == BUILD_NAMES) && n == 1)
		r = build_file(in_fds[0], kind, &w, ret_flags);
	else if (kind == BUILD_LINES && n >= 2 && n <= CHILD_FILES_MAX)
		r = build_lines(kept, in_fds, n, &w);
	else if (kind == BUILD_GDB_JIT && n == 1)
		r = build_gdb_jit(in_fds[0], &w);
	else if (kind == BUILD_GDB_JIT_FIND && n <= CHILD_FILES_MAX)
		r = build_gdb_jit_find(in_fds, n, &w);
	else if (kind == BUILD_PERF_MAP && n == 1)
		r = perf_map_write_file(in_fds[0], &w);
	else if (kind == BUILD_JITDUMP && n == 1)
		r = jitdump_write_file(in_fds[0], &w);
	return r < 0 ? r : table_write(&w, out_fd);
}
