/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of any bytes: magic, size and checksum are put right, so that the rest is reached, and a
 * table from when there were fewer sections gets the new ones, absent.
 */
#include <stddef.h>
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

/* The input with room for all sections in its header; *ret_size grows by what is new. */
static uint8_t *with_all_sections(const uint8_t *data, size_t size, size_t *ret_size)
{
	const size_t head = offsetof(struct table_header, sections);
	struct table_header h = {0};
	size_t old, more;
	uint8_t *copy;

	memcpy(&h, data, head);
	old = h.n_sections && h.n_sections < TABLE_SECTION_MAX ? h.n_sections : TABLE_SECTION_MAX;
	more = (TABLE_SECTION_MAX - old) * sizeof(h.sections[0]);
	memcpy(h.sections, data + head, old * sizeof(h.sections[0]));
	for (size_t i = 0; i < old; i++)
		h.sections[i].offset += h.sections[i].offset ? more : 0;
	copy = malloc(size + more);
	if (!copy)
		return NULL;
	memcpy(copy, &h, sizeof(h));
	memcpy(copy + sizeof(h), data + sizeof(h) - more, size - (sizeof(h) - more));
	*ret_size = size + more;
	return copy;
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
	copy = with_all_sections(data, size, &size);
	if (!copy)
		return 0;
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
