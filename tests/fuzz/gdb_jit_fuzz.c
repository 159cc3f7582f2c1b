/* SPDX-License-Identifier: Apache-2.0 */
/* Object files that a process registered, as the agent hands them over; then lookups. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolizer/code_map.h"
#include "symbolizer/gdb_jit.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"
#include "unwinders/jit_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t look_up(struct table_writer *w)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(table_freep) struct table *t = NULL;
	struct code_map_hit hit;
	uint64_t offset;
	size_t sum = 0;

	if (table_write(w, fd) < 0)
		return 0;
	if (table_open(fd, true, &t) < 0)
		__builtin_trap();
	for (uint64_t i = 0; i < 4096; i++) {
		if (code_map_lookup(t, i * 8, &hit) == 0)
			sum += strlen(hit.name) + strlen(hit.file);
		if (code_map_lookup(t, 0x7f8d73587000 + i, &hit) == 0)
			sum += strlen(hit.name) + strlen(hit.file);
	}
	return sum + (gdb_jit_place(t, 0, GDB_JIT_LIST, &offset) == 0);
}

/* Every page that the table promises is sound, and every rule of the code in it is found. */
static size_t look_at_rows(struct table_writer *w)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(table_freep) struct table *t = NULL;
	struct jit_rows_info info;
	const struct rows_index *index;
	size_t sum = 0, bytes, n;

	if (table_write(w, fd) < 0)
		return 0;
	if (table_open(fd, true, &t) < 0 || jit_rows_get(t, &info) < 0)
		__builtin_trap();
	index = table_section(t, TABLE_ROWS_INDEX, &n);
	for (size_t i = 0; i < n / sizeof(*index); i++) {
		const struct rows_page *page = rows_page_get(t, index[i].page, &bytes);

		if (!page || (uint64_t)index[i].page << ROWS_PAGE_SHIFT > info.size)
			__builtin_trap();
		for (uint32_t at = 0; i < 64 && at < ROWS_PAGE_SIZE; at += 61)
			sum += RULE_KIND(rows_lookup(page, (uint16_t)at));
	}
	return sum;
}

static size_t read_files(uint8_t *data, size_t size)
{
	_cleanup_(gdb_jit_files_done) struct gdb_jit_files f = {0};
	struct jit_rows_source sources[3 * 64];
	struct table_writer w;
	size_t sum = 0, n = 0;

	if (gdb_jit_open(data, size, &f) < 0)
		return 0;
	table_writer_init(&w, 1u << 24);
	if (gdb_jit_write(&f, &w) == 0)
		sum += look_up(&w);
	table_writer_done(&w);
	for (size_t i = 0; i < f.n && i < 64; i++)
		n += jit_rows_sources(f.v[i], &sources[n]);
	for (size_t i = 0; i < f.n_frames && i < 64; i++)
		sources[n++] =
			jit_rows_source_of(f.frames[i].data, f.frames[i].bytes, f.frames[i].vaddr);
	table_writer_init(&w, 1u << 24);
	if (jit_rows_write(sources, n, &w) == 0)
		sum += look_at_rows(&w);
	table_writer_done(&w);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_free_ uint8_t *copy = malloc(size + 1);
	struct table_writer w;
	size_t sum = 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	sum += read_files(copy, size);
	table_writer_init(&w, 1u << 24);
	if (size > sizeof(struct gdb_jit_file) &&
	    objfile_open_memory(copy + sizeof(struct gdb_jit_file),
				size - sizeof(struct gdb_jit_file), &o) == 0 &&
	    gdb_jit_find(&o, 1, &w) == 0)
		sum += look_up(&w);
	table_writer_done(&w);
	return sum == SIZE_MAX;
}
