/* SPDX-License-Identifier: Apache-2.0 */
/* A name in each mode: the result is the name itself or bounded text. */
#include <assert.h>
#include <string.h>

#include "symbolizer/demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf scratch = BUF_INIT(DEMANGLE_BUF_MAX);
	char *name = malloc(size + 1);

	if (!name)
		return 0;
	if (size)
		memcpy(name, data, size);
	name[size] = '\0';
	for (int mode = DEMANGLE_NONE; mode <= DEMANGLE_FULL; mode++) {
		const char *s = demangle(name, (enum demangle_mode)mode, &scratch);

		assert(s == name || strlen(s) <= DEMANGLE_BUF_MAX);
	}
	free(name);
	buf_done(&scratch);
	return 0;
}
