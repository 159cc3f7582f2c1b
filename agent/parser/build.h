/* SPDX-License-Identifier: Apache-2.0 */
/* What the child makes of files: one table from one look at them. */
#pragma once

#include "agent/base/macro.h"

enum build_kind {
	/*
	 * One ELF file: unwind rows, symbols and TABLE_INFO. A part that can not be made (a limit,
	 * another machine) is left out, and its flag is not set; the file as a whole fails only
	 * when it is no ELF file or when memory runs out. *ret_flags: enum table_info_flags.
	 */
	BUILD_FILE,
	/* A separate debug file: symbols and TABLE_INFO, with file_crc when it has no build id. */
	BUILD_DEBUG,
	/*
	 * The functions and lines at some addresses: a query (lines.h), the file with the debug
	 * information (or Go's table), the one that .gnu_debugaltlink names if the query says so,
	 * and any number of .dwo and .dwp files. The table has TABLE_FRAMES. -ENODATA: no debug
	 * information.
	 */
	BUILD_LINES,
	/* The perf-PID.map of a process: TABLE_CODE. -ENODATA: it names nothing. */
	BUILD_PERF_MAP,
	/* The jit-PID.dump of a process: the same. */
	BUILD_JITDUMP,
	/* What a process registered through GDB's JIT interface: the same (gdb_jit.h), and the
	 * unwind rows of that code (jit_rows.h); one of both may be missing. */
	BUILD_GDB_JIT,
	/* Which of some files that interface begins in: gdb_jit_place() reads the answer. */
	BUILD_GDB_JIT_FIND,
	/* As BUILD_DEBUG, for a moment's use: as fast as can be, not as small. */
	BUILD_NAMES,
};

/* A child_build_fn; kept: a struct kept, for BUILD_LINES, or NULL. -EINVAL: an unknown kind, or not
 * its files. */
int build_table(void *kept, const int *in_fds, size_t n, uint32_t kind, int out_fd,
		uint32_t *ret_flags);
