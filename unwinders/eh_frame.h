/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections .eh_frame (LSB 5.0, chapter 10.6) and .debug_frame (DWARF 5, section 6.4.1): finds
 * them in an objfile, reads CIEs and FDEs and runs their programs. It keeps nothing of a function
 * after it has been handed on; who needs rows sorted and stored is rows.h.
 */
#pragma once

#include "unwinders/cfi.h"

struct objfile;

struct eh_frame {
	const uint8_t *data; /* borrowed */
	size_t bytes;
	uint64_t vaddr;	  /* of data, for pc-relative pointers; 0 in .debug_frame */
	uint16_t machine; /* EM_* */
	bool debug;	  /* the layout of .debug_frame */
	bool open_ended;  /* `bytes` is an upper bound: a zero length ends the section */
};

struct eh_frame_sink {
	/* A function's range. Positive: run its program; 0: skip it; negative: stop with this. */
	int (*function)(uint64_t start, uint64_t end, void *userdata);
	/* `row` holds from vaddr `at` until the next call, or the end of the function. */
	int (*row)(uint64_t at, const struct cfi_row *row, void *userdata);
	void *userdata;
};

struct eh_frame_stats {
	uint32_t functions;
	uint32_t bad; /* entries that could not be read, or whose program stopped early */
};

/* CFA instructions that one file may have run: about ten times of what the largest known need. */
#define EH_FRAME_BUDGET (UINT64_C(1) << 27)

/* By section, or through PT_GNU_EH_FRAME when the section headers are gone. -ENOENT: none. */
int eh_frame_find(struct objfile *o, struct eh_frame *ret);
int eh_frame_find_debug(struct objfile *o, struct eh_frame *ret);

/*
 * Hands every function of the section to the sink. A malformed entry is counted and skipped, since
 * the lengths still lead to the next one. 0, -EOPNOTSUPP for a machine without descriptor, -E2BIG
 * when *budget (instructions; decremented) is spent, -ENOMEM, or what the sink returned.
 */
int eh_frame_walk(const struct eh_frame *e, const struct eh_frame_sink *sink, uint64_t *budget,
		  struct eh_frame_stats *stats);
