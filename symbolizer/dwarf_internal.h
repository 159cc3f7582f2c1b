/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of debug information share: the sections of a file, units, abbreviations and
 * attributes. Layouts: DWARF 5 (dwarfstd.org, 2017) sections 7.4 to 7.28 and DWARF 2 to 4 where
 * they differ; the GNU extensions for split DWARF and dwz as GCC 4.8 and later write them.
 */
#pragma once

#include "agent/base/cursor.h"
#include "symbolizer/dwarf.h"

#define DWARF_STRING_MAX 65536

enum dwarf_section {
	DWARF_INFO,
	DWARF_ABBREV,
	DWARF_STR,
	DWARF_LINE,
	DWARF_LINE_STR,
	DWARF_RANGES,
	DWARF_RNGLISTS,
	DWARF_ADDR,
	DWARF_STR_OFFSETS,
	DWARF_SECTION_MAX,
};

struct dwarf_bytes {
	const uint8_t *data; /* borrowed from the objfile; NULL: not there */
	size_t size;
};

/* Debug information of one file. */
struct dwarf_part {
	struct dwarf *dwarf; /* borrowed */
	struct dwarf_bytes sections[DWARF_SECTION_MAX];
	struct dwarf_unit *units; /* by offset */
	size_t n_units, cap_units;
	bool split; /* a .dwo or .dwp: its sections' names end in .dwo */
};

struct dwarf_value {
	uint16_t form;	 /* 0: not there */
	uint64_t u;	 /* number, offset or index; sign-extended for signed forms */
	const char *str; /* of DW_FORM_string */
};

/* The attributes that say which addresses a DIE covers. */
struct dwarf_pcs {
	struct dwarf_value low, high, ranges;
};

struct dwarf_unit {
	struct dwarf_part *part; /* borrowed */
	uint64_t offset, end;	 /* in DWARF_INFO: of the header, and behind the last DIE */
	uint64_t root;		 /* of the first DIE */
	uint64_t abbrev;	 /* in DWARF_ABBREV */
	uint64_t dwo_id;
	uint16_t version;
	uint8_t address_size, offset_size, type; /* type: DW_UT_*, DW_UT_compile before version 5 */
	bool is_skeleton;
	/* Of the root DIE; dwarf_unit_read() fills them in. */
	uint64_t low_pc, stmt_list, addr_base, str_offsets_base, rnglists_base, ranges_base;
	bool has_stmt_list;
	struct dwarf_pcs pcs;
	const char *comp_dir, *name, *dwo_name;
	struct dwarf_unit *full; /* of a skeleton: where its DIEs are; borrowed, NULL: not here */
};

struct dwarf_attr {
	uint16_t name, form;
	int64_t implicit; /* of DW_FORM_implicit_const */
};

struct dwarf_abbrev {
	uint64_t code;
	uint16_t tag;
	bool has_children, wanted; /* wanted: a tag that the reader looks into */
	int32_t bytes;		   /* of a whole DIE; -1: it differs */
	uint32_t first, n;	   /* in dwarf_abbrevs.attrs */
};

struct dwarf_abbrevs {
	struct dwarf_abbrev *v; /* by code */
	struct dwarf_attr *attrs;
	size_t n, cap, n_attrs, cap_attrs;
	bool dense; /* v[i].code == i + 1 */
};

/* ---- dwarf_die.c: abbreviations and attributes ---- */

/* -EBADMSG, -E2BIG, -ENOMEM. */
int dwarf_abbrevs_read(const struct dwarf_unit *u, struct dwarf_abbrevs *ret);
void dwarf_abbrevs_done(struct dwarf_abbrevs *a);
/* NULL for an unknown code. */
const struct dwarf_abbrev *dwarf_abbrevs_find(const struct dwarf_abbrevs *a, uint64_t code);
/* The abbreviation of one code without reading the others; the attributes are in ret. */
int dwarf_abbrev_read_one(const struct dwarf_unit *u, uint64_t code, struct dwarf_abbrevs *ret);

/* A cursor at an offset of DWARF_INFO, up to the end of the unit. */
struct cursor dwarf_die_at(const struct dwarf_unit *u, uint64_t offset);
/* c->bad when the form is unknown or the unit ends. */
void dwarf_value_read(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_attr *a,
		      struct dwarf_value *ret);
void dwarf_value_skip(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_attr *a);
void dwarf_die_skip(const struct dwarf_unit *u, struct cursor *c, const struct dwarf_abbrevs *all,
		    const struct dwarf_abbrev *a);

/* NULL when it is no string or not there. */
const char *dwarf_value_string(const struct dwarf_unit *u, const struct dwarf_value *v);
bool dwarf_value_is_address(const struct dwarf_value *v);
bool dwarf_value_address(const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *ret);
/* An entry of .debug_addr. */
bool dwarf_address_at(const struct dwarf_unit *u, uint64_t index, uint64_t *ret);
/* The unit and offset of the DIE that a reference means; NULL: nowhere. */
const struct dwarf_unit *dwarf_value_ref(const struct dwarf_unit *u, const struct dwarf_value *v,
					 uint64_t *ret_offset);

/* ---- dwarf_unit.c: units ---- */

/* Reads all unit headers of a part. */
int dwarf_units_read(struct dwarf_part *p);
/* Reads the attributes of the root DIE. */
int dwarf_unit_read(struct dwarf_unit *u);
/* The unit with this offset of DWARF_INFO; NULL: none. */
struct dwarf_unit *dwarf_unit_at(struct dwarf_part *p, uint64_t offset);
uint64_t dwarf_offset(struct cursor *c, uint8_t offset_size);
/* A cursor over a section from offset on; bad when that is outside. */
struct cursor dwarf_section_at(const struct dwarf_part *p, enum dwarf_section s, uint64_t offset);

/* ---- dwarf_ranges.c ---- */

typedef int (*dwarf_range_fn)(void *data, uint64_t start, uint64_t end);
/* Calls fn for each range. What fn returns below 0 ends it. Damaged lists end early. */
int dwarf_ranges(const struct dwarf_unit *u, const struct dwarf_pcs *pcs, dwarf_range_fn fn,
		 void *data);

/* ---- dwarf_line.c ---- */

struct dwarf_lines; /* the header of one line program: its files */
int dwarf_lines_open(const struct dwarf_unit *u, struct dwarf_lines **ret);
struct dwarf_lines *dwarf_lines_free(struct dwarf_lines *l);
DEFINE_CLEANUP(struct dwarf_lines *, dwarf_lines_free)
/* Directory and name of a file; false: no such file. dir may be NULL or relative to comp_dir. */
bool dwarf_lines_file(const struct dwarf_lines *l, uint64_t index, const char **ret_dir,
		      const char **ret_name);
/* Each row with the range that it holds for: [start, end). */
typedef void (*dwarf_row_fn)(void *data, uint64_t start, uint64_t end, uint64_t file,
			     uint32_t line);
int dwarf_lines_run(const struct dwarf_lines *l, dwarf_row_fn fn, void *data);

/* ---- dwarf.c ---- */

struct dwarf_part *dwarf_main(struct dwarf *d);
struct dwarf_part *dwarf_alt(struct dwarf *d); /* NULL: not there */
