/* SPDX-License-Identifier: Apache-2.0 */
/* Text of /proc/kallsyms, then lookups around every address that a line might begin with. */
#include <string.h>

#include "symbolizer/kallsyms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kallsyms *k = NULL;
	struct kallsyms_hit hit;
	size_t length = 0;

	if (kallsyms_parse((const char *)data, size, &k) < 0)
		return 0;
	for (size_t i = 0; i + 8 <= size; i += 8) {
		uint64_t addr;

		memcpy(&addr, data + i, sizeof(addr));
		if (kallsyms_lookup(k, addr, &hit) == 0)
			length += strlen(hit.name) + strlen(hit.module);
		if (kallsyms_lookup(k, UINT64_C(0xffffffff81000000) + (addr & 0xffffff), &hit) == 0)
			length += strlen(hit.name) + strlen(hit.module);
	}
	kallsyms_free(k);
	return length == SIZE_MAX;
}
