/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jitdump: the records that a runtime writes about the code it made, jit-PID.dump, with lines
 * (Linux 6.12, tools/perf/Documentation/jitdump-specification.txt). Records say when code was made
 * (JIT_CODE_LOAD) or moved (JIT_CODE_MOVE), and, before that, its lines (JIT_CODE_DEBUG_INFO).
 */
#pragma once

#include "agent/base/macro.h"

struct table_writer;

/*
 * Writes TABLE_CODE. A last record that is not whole is still being written. -EBADMSG: not such a
 * file, or of the other byte order; -ENODATA: no function in it, -ENOMEM.
 */
int jitdump_write(const void *data, size_t bytes, struct table_writer *w);
/* The same from a file; the code in it is not read. -E2BIG: over 4 GiB. Also the mmap error. */
int jitdump_write_file(int fd, struct table_writer *w);
