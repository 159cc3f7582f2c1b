/* SPDX-License-Identifier: Apache-2.0 */
/* A jit-PID.dump, then lookups in what became of it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolizer/code_map.h"
#include "symbolizer/jitdump.h"
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
	if (jitdump_write(data, size, &w) < 0 || table_write(&w, fd) < 0 ||
	    table_open(fd, true, &t) < 0) {
		table_writer_done(&w);
		return 0;
	}
	table_writer_done(&w);
	for (uint64_t i = 0; i < 0x4000; i += 3) {
		if (code_map_lookup(t, i, &hit) == 0)
			length += strlen(hit.name) + strlen(hit.file) + hit.line;
	}
	return length == SIZE_MAX || !code_map_count(t);
}
