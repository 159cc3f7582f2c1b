/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF file that may be a libjvm is described in the child: whatever comes out is valid or
 * nothing. */
#include <stdlib.h>

#include "symbolizer/objfile.h"
#include "unwinders/hotspot.h"
#include "unwinders/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(objfile_freep) struct objfile *o = NULL;
	struct runtime_description d = {.file = BUF_INIT(RUNTIME_FILE_BYTES_MAX)};

	if (objfile_open_memory(data, size, &o) < 0)
		return 0;
	if (hotspot_describe(o, &d) == 0 &&
	    (d.file.len != sizeof(struct hotspot_file) || !hotspot_valid(d.file.data)))
		abort();
	runtime_description_done(&d);
	return 0;
}
