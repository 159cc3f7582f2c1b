/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a process, from address 0 on, with a tree at the first byte. */
#include <stdlib.h>
#include <string.h>

#include "symbolizer/frame_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OBJECTS_MAX 256
#define READS_MAX   (4u * 2 * 1600) /* tries, with a check of what was read */

struct memory {
	const uint8_t *data;
	size_t size, reads;
};

static bool read_memory(void *data, uint64_t address, void *to, size_t n)
{
	struct memory *m = data;

	m->reads++;
	if (address > m->size || n > m->size - address)
		return false;
	memcpy(to, m->data + address, n);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = {.data = data, .size = size};
	_cleanup_free_ uint64_t *objects = calloc(OBJECTS_MAX, sizeof(*objects));
	struct frame_tree_found f = {.objects = objects, .max = OBJECTS_MAX};

	if (objects && (frame_tree_read(read_memory, &m, 0, &f) < 0 || f.n > OBJECTS_MAX ||
			m.reads > READS_MAX))
		abort();
	return 0;
}
