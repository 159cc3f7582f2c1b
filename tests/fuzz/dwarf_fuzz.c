/* SPDX-License-Identifier: Apache-2.0 */
/* Debug information: the file as program, as dwz's file and as split file of itself; addresses all
 * over its code. */
#include <string.h>

#include "symbolizer/dwarf.h"
#include "symbolizer/objfile.h"

#define ADDRESSES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum; /* keeps the reads */

static void see(void *unused, size_t index, const struct dwarf_frame *frames, size_t n)
{
	char path[256];

	if (!n || n > DWARF_FRAMES_MAX || index >= ADDRESSES)
		__builtin_trap();
	for (size_t i = 0; i < n; i++) {
		dwarf_path(&frames[i], path, sizeof(path));
		sum += strlen(path) + (frames[i].name ? strlen(frames[i].name) : 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct objfile *o = NULL;
	struct dwarf_missing m;
	uint64_t vaddrs[ADDRESSES];

	if (objfile_open_memory(data, size, &o) < 0)
		return 0;
	for (size_t i = 0; i < ADDRESSES; i++)
		vaddrs[i] = 0x1000 + 7 * i;
	for (int alone = 0; alone < 2; alone++) {
		const struct dwarf_files f = {
			.debug = o, .alt = alone ? NULL : o, .split = &o, .n_split = alone ? 0 : 1};
		struct dwarf *d = NULL;

		if (dwarf_open(&f, &d) < 0)
			continue;
		(void)dwarf_expand(d, vaddrs, ADDRESSES, see, NULL);
		for (size_t i = 0; dwarf_get_missing(d, i, &m) == 0; i++)
			sum += m.name ? strlen(m.name) : 0;
		dwarf_free(d);
	}
	objfile_free(o);
	return 0;
}
