/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct table: everything learned from one ELF file, as one flat, position-independent block. The
 * sandboxed child writes it with struct table_writer, the agent maps it read-only. It may come
 * from a hostile file or a hostile cache: table_open() checks the header and that every section
 * lies inside; whoever reads a section checks each index it follows. All numbers little-endian,
 * sections 8-byte aligned.
 */
#pragma once

#include "agent/base/buf.h"

#define TABLE_MAGIC   0x4254485054455254ull /* "TRETPHTB" */
#define TABLE_VERSION 8

/* One owner a section: the file that is named defines its layout and reads it. */
enum table_section {
	TABLE_INFO,	  /* objfile.h: struct table_info: type, build id, segments, flags */
	TABLE_ROWS_INDEX, /* unwinders/rows.h: page number -> offset in TABLE_ROWS */
	TABLE_ROWS,	  /* unwinders/rows.h: struct rows_page after struct rows_page */
	TABLE_SYMBOLS,	  /* symtab.h: functions sorted by address */
	TABLE_LINES,	  /* symtab.h: files and lines of functions (Go), may be absent */
	TABLE_STRINGS,	  /* symtab.h: NUL-terminated names; offset 0 is "" */
	TABLE_FRAMES,	  /* lines.h: functions and lines of single addresses */
	TABLE_CODE,	  /* code_map.h: functions that a runtime made in memory */
	TABLE_RUNTIME,	  /* unwinders/runtime.h: the interpreter or JIT that is in the file */
	TABLE_CODE_ROWS,  /* unwinders/jit_rows.h: the addresses that TABLE_ROWS is for */
	TABLE_SECTION_MAX,
};

struct table_header {
	uint64_t magic;
	uint32_t version;
	uint32_t n_sections; /* TABLE_SECTION_MAX of the writer */
	uint64_t bytes;	     /* of the whole table */
	uint64_t checksum;   /* hash_bytes() of everything after the header */
	struct {
		uint64_t offset, bytes; /* 0, 0: absent */
	} sections[TABLE_SECTION_MAX];
};

struct table {
	const uint8_t *data; /* owned mapping */
	size_t bytes;
	const struct table_header *header; /* points into data */
};

struct table_writer {
	struct buf sections[TABLE_SECTION_MAX];
};

/* max_bytes bounds each section. */
void table_writer_init(struct table_writer *w, size_t max_bytes);
void table_writer_done(struct table_writer *w);
/* Writes header and sections to fd from its position on. The sections are empty afterwards: their
 * memory is given back while the table is put together. 0, or -E2BIG/-ENOMEM (a section failed),
 * or the write error. */
int table_write(struct table_writer *w, int fd);

/*
 * Maps the whole file behind fd read-only; fd stays the caller's. With `verify` the checksum is
 * computed (that reads every page): needed for files from a disk cache, not for a sealed memfd
 * that a child just wrote. 0, -EBADMSG for anything that is not a table of this version, or the
 * mmap error.
 */
int table_open(int fd, bool verify, struct table **ret);
struct table *table_free(struct table *t);
DEFINE_CLEANUP(struct table *, table_free)

/* The section's bytes, or NULL with *ret_bytes 0 when it is absent. Borrowed from t. */
const void *table_section(const struct table *t, enum table_section s, size_t *ret_bytes);
