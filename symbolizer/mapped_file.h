/* SPDX-License-Identifier: Apache-2.0 */
/* struct mapped_file: the bytes of a whole file in memory, for a reader that looks at all of them
 * once. It may be written to; that stays here. */
#pragma once

#include "agent/base/macro.h"

struct mapped_file {
	uint8_t *data; /* NULL: none */
	size_t bytes;
};

/* fd stays the caller's. -ENODATA: it is empty, -E2BIG, or what the system said. */
int mapped_file_open(int fd, uint64_t max_bytes, struct mapped_file *ret);
void mapped_file_done(struct mapped_file *f);

#define _cleanup_mapped_file_ _cleanup_(mapped_file_done)
