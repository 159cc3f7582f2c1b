/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a runtime registers through GDB's JIT interface ("JIT Compilation Interface" of gdb's
 * manual): a list of object files in its memory, which begins at the symbol
 * __jit_debug_descriptor. The agent reads the list and hands the files over in one piece; here, in
 * the child, they become TABLE_CODE: functions with lines. Their frames are for
 * unwinders/jit_rows.h.
 */
#pragma once

#include "agent/base/macro.h"
#include "symbolizer/mapped_file.h"

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
/* The same with frames (.eh_frame) that were registered alone: their address and then them. */
#define GDB_JIT_FRAMES_MAGIC 0x4d4152464947u

struct gdb_jit_frames {
	const uint8_t *data; /* borrowed */
	size_t bytes;
	uint64_t vaddr;
};

/* Lists that a process may have. */
enum gdb_jit_list {
	GDB_JIT_LIST,
	GDB_JIT_FRAMES_UNSEEN, /* frame_lists.h */
	GDB_JIT_FRAMES_SEEN,
	GDB_JIT_FRAMES_TREE,
	GDB_JIT_LISTS,
};

struct gdb_jit_files {
	struct objfile **v;
	size_t n;
	struct gdb_jit_frames *frames;
	size_t n_frames;
	struct mapped_file mapped; /* gdb_jit_open_fd()'s */
};

/* What is no object file is passed over. data is changed, and must stay. -EBADMSG, -ENOMEM; either
 * way *f, which begins as zeros, is for gdb_jit_files_done(). */
int gdb_jit_open(uint8_t *data, size_t bytes, struct gdb_jit_files *f);
/* -ENODATA: it is empty. -E2BIG. */
int gdb_jit_open_fd(int fd, struct gdb_jit_files *f);
void gdb_jit_files_done(struct gdb_jit_files *f);
/* TABLE_CODE. -ENODATA: no function in any, -ENOMEM. */
int gdb_jit_write(const struct gdb_jit_files *f, struct table_writer *w);

/*
 * Which of n files (NULL: not readable) have lists, and where in the file: as TABLE_CODE, where a
 * function is called by the offset in hexadecimal. -ENODATA: none.
 */
int gdb_jit_find(struct objfile *const *files, size_t n, struct table_writer *w);
/* The offset of a list in file i out of that table: -ENOENT, -EBADMSG. */
int gdb_jit_place(const struct table *t, size_t i, enum gdb_jit_list list, uint64_t *ret_offset);
