/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where libgcc keeps the frames that a program registers with __register_frame() and its kin
 * (libgcc/unwind-dw2-fde.c, GCC 4 to 12): lists of struct object that begin at the static variables
 * unseen_objects and, once somebody unwound, seen_objects. They have no symbols in what
 * distributions ship, but the code of two exported functions says where they are. GCC 13 and later
 * keep a tree instead (unwind-dw2-btree.h), which is not found.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;

enum frame_list { FRAME_LIST_UNSEEN, FRAME_LIST_SEEN, FRAME_LIST_MAX };

/* struct object of a 64-bit process. */
struct frame_object {
	uint64_t pc_begin, tbase, dbase;
	uint64_t frames; /* or where what it is sorted into, or an array of them, lies */
	uint64_t bits;	 /* FRAME_OBJECT_*: bit fields */
	uint64_t next;
};
_Static_assert(sizeof(struct frame_object) == 48, "frame_object");
#define FRAME_OBJECT_SORTED (1u << 0) /* `frames`: struct fde_vector, which begins with them */
#define FRAME_OBJECT_ARRAY  (1u << 1) /* pointers, up to a NULL */

/* File offsets of the two variables (where the mapping of the data would have them: they are zero
 * in the file). -ENOENT: none are in this file. */
int frame_lists_find(struct objfile *o, uint64_t ret_offsets[FRAME_LIST_MAX]);
