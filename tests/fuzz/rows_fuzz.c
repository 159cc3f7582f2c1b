/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file: whatever is in it, the rows that are written can be read back, every page of them.
 */
#include <sys/mman.h>

#include "symbolizer/objfile.h"
#include "unwinders/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_pages(const struct table *t)
{
	size_t n, bytes;
	const struct rows_index *index = table_section(t, TABLE_ROWS_INDEX, &n);

	for (size_t i = 0; i < n / sizeof(*index); i++) {
		const struct rows_page *p = rows_page_get(t, index[i].page, &bytes);

		if (!p || bytes < sizeof(*p))
			__builtin_trap();
		for (uint32_t at = 0; at < ROWS_PAGE_SIZE; at += 251)
			if (RULE_KIND(rows_lookup(p, (uint16_t)at)) > RULE_RA_REG)
				__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_(table_writer_done) struct table_writer w;
	_cleanup_close_ int fd = -1;
	uint32_t flags = 0;

	table_writer_init(&w, 8u << 20);
	if (objfile_open_memory(data, size, &o) < 0 || rows_write(o, &w, &flags) < 0 ||
	    objfile_write_info(o, flags, &w) < 0)
		return 0;
	fd = memfd_create("table", MFD_CLOEXEC);
	if (table_write(&w, fd) < 0)
		return 0;
	if (table_open(fd, true, &t) < 0)
		__builtin_trap();
	read_pages(t);
	return 0;
}
