/* SPDX-License-Identifier: Apache-2.0 */
/* A table of any bytes: magic, size and checksum are put right, so that the rest is reached. */
#include <string.h>
#include <sys/mman.h>

#include "agent/base/hash.h"
#include "symbolizer/objfile.h"
#include "symbolizer/symtab.h"
#include "symbolizer/symtab_layout.h"
#include "symbolizer/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum;

static void look_up(const struct table *t, uint64_t addr)
{
	struct symtab_hit hit;
	uint64_t vaddr;

	if (table_offset_to_vaddr(t, addr, &vaddr) == 0)
		sum += vaddr;
	if (symtab_lookup_line(t, addr, &hit) == 0)
		sum += strlen(hit.name) + (hit.file ? strlen(hit.file) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("table", MFD_CLOEXEC);
	_cleanup_(table_freep) struct table *t = NULL;
	_cleanup_free_ uint8_t *copy = NULL;
	const struct symtab_header *symbols;
	struct table_header h;
	size_t n;

	if (size < sizeof(h))
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	memcpy(&h, copy, sizeof(h));
	h.magic = TABLE_MAGIC;
	h.version = TABLE_VERSION;
	h.n_sections = TABLE_SECTION_MAX;
	h.bytes = size;
	h.checksum = hash_bytes(copy + sizeof(h), size - sizeof(h));
	memcpy(copy, &h, sizeof(h));
	if (write(fd, copy, size) != (ssize_t)size || table_open(fd, true, &t) < 0)
		return 0;
	symbols = table_section(t, TABLE_SYMBOLS, &n);
	for (uint64_t off = 0; off < 2048; off += 7) {
		look_up(t, off);
		if (n >= sizeof(*symbols))
			look_up(t, symbols->base + off * off);
	}
	return 0;
}
