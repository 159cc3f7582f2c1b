/* SPDX-License-Identifier: Apache-2.0 */
/* TABLE_FRAMES and TABLE_STRINGS of any bytes, as a hostile child could write them: the first two
 * bytes say how many are strings. */
#include <string.h>
#include <sys/mman.h>

#include "symbolizer/lines.h"
#include "symbolizer/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum;

static void read_all(const struct table *t)
{
	struct lines_frame frames[8];
	struct dwarf_missing m;

	for (size_t i = 0; i < 64; i++) {
		int n = lines_get(t, i, frames, ARRAY_SIZE(frames));

		for (int k = 0; k < n; k++)
			sum += strlen(frames[k].name) + strlen(frames[k].path);
		if (lines_get_missing(t, i, &m) == 0)
			sum += strlen(m.comp_dir) + strlen(m.name);
	}
	sum += lines_get(t, SIZE_MAX, frames, 1) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("lines", MFD_CLOEXEC);
	_cleanup_(table_writer_done) struct table_writer w;
	_cleanup_(table_freep) struct table *t = NULL;
	uint16_t strings;

	table_writer_init(&w, 1u << 20);
	if (size < sizeof(strings))
		return 0;
	memcpy(&strings, data, sizeof(strings));
	data += sizeof(strings);
	size -= sizeof(strings);
	strings = (uint16_t)MIN(strings, size);
	buf_add(&w.sections[TABLE_STRINGS], data, strings);
	buf_add(&w.sections[TABLE_FRAMES], data + strings, size - strings);
	if (table_write(&w, fd) == 0 && table_open(fd, false, &t) == 0)
		read_all(t);
	return 0;
}
