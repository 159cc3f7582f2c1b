/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a runtime registers through GDB's JIT interface ("JIT Compilation Interface" of gdb's
 * manual): a list of object files in its memory, which begins at the symbol
 * __jit_debug_descriptor. The agent reads the list and hands the files over in one piece; here, in
 * the child, they become TABLE_CODE: functions with lines.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;
struct table;
struct table_writer;

#define GDB_JIT_SYMBOL	   "__jit_debug_descriptor"
#define GDB_JIT_FILES_MAX  4096
#define GDB_JIT_FILE_BYTES (16u << 20)
#define GDB_JIT_BYTES_MAX  (32u << 20) /* of all together */

/* What the agent writes: for each file, the newest first, this and then its bytes, filled up to 8.
 */
struct gdb_jit_file {
	uint64_t magic, bytes;
};
#define GDB_JIT_MAGIC 0x4c4946544947u

/* TABLE_CODE from that. data is changed. What is no object file, or names nothing, is passed over.
 * -EBADMSG, -ENODATA: no function in any, -ENOMEM. */
int gdb_jit_write(uint8_t *data, size_t bytes, struct table_writer *w);
int gdb_jit_write_file(int fd, struct table_writer *w);

/*
 * Which of n files (NULL: not readable) have the symbol, and where in the file: as TABLE_CODE,
 * where a function at gdb_jit_key(i) is called by the offset in hexadecimal. -ENODATA: none.
 */
int gdb_jit_find(struct objfile *const *files, size_t n, struct table_writer *w);
/* The offset for file i out of that table: -ENOENT, -EBADMSG. */
int gdb_jit_place(const struct table *t, size_t i, uint64_t *ret_offset);
