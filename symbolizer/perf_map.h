/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf_map: the text that a runtime writes about the code it made, /tmp/perf-PID.map: a line
 * "START SIZE NAME" for each function, the first two in hexadecimal, the name to the end of the
 * line (Linux 6.12, tools/perf/Documentation/jit-interface.txt). Some write 0x before the numbers.
 */
#pragma once

#include "agent/base/macro.h"

struct table_writer;

#define PERF_MAP_BYTES_MAX (64u << 20) /* of the file: its end is the newest */

/*
 * Writes TABLE_CODE. Lines that make no sense are skipped, and a last line without an end, which is
 * still being written. is_cut: the text begins inside a line. -ENODATA: no function in it, -ENOMEM.
 */
int perf_map_write(const char *text, size_t bytes, bool is_cut, struct table_writer *w);
/* The same from a file, which may grow or shrink meanwhile. Also the read error. */
int perf_map_write_file(int fd, struct table_writer *w);
