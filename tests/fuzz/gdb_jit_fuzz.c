/* SPDX-License-Identifier: Apache-2.0 */
/* Object files that a process registered, as the agent hands them over; then lookups. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolizer/code_map.h"
#include "symbolizer/gdb_jit.h"
#include "symbolizer/objfile.h"
#include "symbolizer/table.h"

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
	return sum + (gdb_jit_place(t, 0, &offset) == 0);
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
	table_writer_init(&w, 1u << 24);
	if (gdb_jit_write(copy, size, &w) == 0)
		sum += look_up(&w);
	table_writer_done(&w);
	table_writer_init(&w, 1u << 24);
	if (size > sizeof(struct gdb_jit_file) &&
	    objfile_open_memory(copy + sizeof(struct gdb_jit_file),
				size - sizeof(struct gdb_jit_file), &o) == 0 &&
	    gdb_jit_find(&o, 1, &w) == 0)
		sum += look_up(&w);
	table_writer_done(&w);
	return sum == SIZE_MAX;
}
