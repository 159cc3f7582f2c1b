/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a perf-PID.map, then lookups around the numbers in it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolizer/code_map.h"
#include "symbolizer/perf_map.h"
#include "symbolizer/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(table_freep) struct table *t = NULL;
	struct table_writer w;
	struct code_map_hit hit;
	size_t length = 0;

	table_writer_init(&w, 1u << 24);
	if (perf_map_write((const char *)data, size, size & 1, &w) < 0 || table_write(&w, fd) < 0 ||
	    table_open(fd, true, &t) < 0) {
		table_writer_done(&w);
		return 0;
	}
	table_writer_done(&w);
	for (uint64_t i = 0; i < 4096; i++) {
		if (code_map_lookup(t, i, &hit) == 0)
			length += strlen(hit.name) + strlen(hit.file);
		if (code_map_lookup(t, 0x7f0000000000 + i * 16, &hit) == 0)
			length += strlen(hit.name);
	}
	return length == SIZE_MAX || !code_map_count(t);
}
