/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct objfile: a read-only view of an ELF file (64-bit little-endian; 32-bit files are refused
 * with -EOPNOTSUPP) for the parsers that fill a table. It runs in the sandboxed child: the file is
 * hostile, every header field is checked against the file's real size before it is used, and a
 * section that does not fit is simply not there.
 */
#pragma once

#include "agent/base/macro.h"

struct table;
struct table_writer;
struct objfile;

struct objfile_section {
	const char *name; /* inside the file, NUL-terminated */
	uint32_t type;	  /* SHT_* */
	uint32_t link;
	uint64_t flags; /* SHF_*; SHF_COMPRESSED data is returned decompressed */
	uint64_t addr;	/* virtual address, 0 when not loaded */
	uint64_t entsize;
	const uint8_t *data; /* NULL for SHT_NOBITS; borrowed from the objfile */
	uint64_t size;
};

struct objfile_segment {
	uint64_t offset, vaddr, filesz, memsz;
	uint32_t type, flags; /* PT_*, PF_* */
};

/* The file behind fd, or an image in memory (the vDSO; borrowed). -EBADMSG: not an ELF file. */
int objfile_open(int fd, struct objfile **ret);
int objfile_open_memory(const void *data, size_t bytes, struct objfile **ret);
struct objfile *objfile_free(struct objfile *o);
DEFINE_CLEANUP(struct objfile *, objfile_free)

uint16_t objfile_type(const struct objfile *o);	   /* ET_EXEC, ET_DYN */
uint16_t objfile_machine(const struct objfile *o); /* EM_X86_64, EM_AARCH64 */
uint64_t objfile_entry(const struct objfile *o);

/* -ENOENT when there is none of that name (the first one wins). */
int objfile_section_by_name(struct objfile *o, const char *name, struct objfile_section *ret);
int objfile_section_by_type(struct objfile *o, uint32_t type, struct objfile_section *ret);
/* Section by index in the header table; -ENOENT past the end or when malformed. */
int objfile_section_at(struct objfile *o, uint32_t index, struct objfile_section *ret);
/* How many section headers there are, good or not: the bound for indices. */
uint32_t objfile_section_count(const struct objfile *o);
/* Like objfile_section_at() for what the header says alone: data stays NULL, nothing is
 * decompressed, the bytes may lie outside of the file. */
int objfile_section_header(const struct objfile *o, uint32_t index, struct objfile_section *ret);
/* Where decompressed sections lie instead of in memory; get gives NULL when there is no room. */
struct objfile_store {
	void *(*get)(void *data, size_t bytes);
	void (*put)(void *data, void *p);
	void *data; /* borrowed, as the store; must outlive the objfile */
};
void objfile_set_store(struct objfile *o, const struct objfile_store *store);
/* The memory that decompressed sections take, without those in the store. */
size_t objfile_plain_bytes(const struct objfile *o);
/* PT_LOAD, PT_NOTE, PT_GNU_EH_FRAME...; all program headers, bounds-checked against the file. */
const struct objfile_segment *objfile_segments(const struct objfile *o, size_t *ret_n);
/* File bytes that a virtual address range is loaded from; NULL when not fully inside one PT_LOAD.
 */
const uint8_t *objfile_at_vaddr(const struct objfile *o, uint64_t vaddr, uint64_t bytes);
/* vaddr of a file offset inside an executable PT_LOAD and back. -ENOENT when in none. */
int objfile_offset_to_vaddr(const struct objfile *o, uint64_t offset, uint64_t *ret);
int objfile_vaddr_to_offset(const struct objfile *o, uint64_t vaddr, uint64_t *ret);

/* The value of the first DT_* tag in PT_DYNAMIC; -ENOENT when there is none. */
int objfile_dynamic(const struct objfile *o, int64_t tag, uint64_t *ret);

/* GNU build id (at most 64 bytes); -ENOENT when the file has none. */
int objfile_build_id(const struct objfile *o, const uint8_t **ret, size_t *ret_bytes);

/* ---- TABLE_INFO ---- */
#define TABLE_INFO_SEGMENTS 16
#define TABLE_LINK_BYTES    256
enum table_info_flags {
	TABLE_IS_GO = 1 << 0,	 /* has .gopclntab */
	TABLE_HAS_ROWS = 1 << 1, /* has unwind information; without: frame pointer chain */
	TABLE_HAS_SYMTAB =
		1 << 2, /* .symtab or MiniDebugInfo was there (else only .dynsym or nothing) */
	TABLE_HAS_LINES = 1 << 3,
	TABLE_HAS_DEBUG = 1 << 4, /* has .debug_info; set by objfile_write_info() */
};
struct table_info {
	uint16_t type, machine;
	uint32_t flags;
	uint64_t entry;
	uint8_t build_id[64];
	uint32_t build_id_bytes;
	uint32_t n_segments; /* executable PT_LOADs only */
	struct {
		uint64_t offset, vaddr, bytes;
	} segments[TABLE_INFO_SEGMENTS];
	/* Where the debug information is, see debuglink.h; "" when the file does not say. */
	char debuglink[TABLE_LINK_BYTES];
	char altlink[TABLE_LINK_BYTES];
	uint8_t alt_id[64]; /* build id of the file that altlink names */
	uint32_t alt_id_bytes;
	uint32_t debuglink_crc,
		file_crc; /* file_crc: of this file, where it was asked for; else 0 */
	uint32_t reserved;
};

int objfile_write_info(struct objfile *o, uint32_t flags, struct table_writer *w);
/* Checked: n_segments and build_id_bytes are in range. NULL when the section is malformed. */
const struct table_info *table_get_info(const struct table *t);
/* The virtual address of a file offset; -ENOENT outside the executable segments. */
int table_offset_to_vaddr(const struct table *t, uint64_t offset, uint64_t *ret);
