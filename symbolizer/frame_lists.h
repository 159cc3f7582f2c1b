/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where libgcc keeps the frames that a program registers with __register_frame() and its kin
 * (libgcc/unwind-dw2-fde.c): up to GCC 12 in lists of struct object that begin at the static
 * variables unseen_objects and, once somebody unwound, seen_objects; from GCC 13 on in a tree,
 * registered_frames (frame_tree.h). They have no symbols in what distributions ship, but the code
 * of exported functions says where they are: so in Debian's libgcc_s.so.1 of 10.2, 12.2, 14.2 and
 * 16.2, in its libgcc_eh.a of 13.3, 13.5 and 15.3, and in 13.3's sources without the second tree,
 * which 13.1 and 13.2 do not have, as GCC 12 builds them.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;

enum frame_list { FRAME_LIST_UNSEEN, FRAME_LIST_SEEN, FRAME_LIST_TREE, FRAME_LIST_MAX };

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

/* File offsets of the variables (where the mapping of the data would have them: they are zero in
 * the file); 0: this file has another kind. -ENOENT: none are in this file. */
int frame_lists_find(struct objfile *o, uint64_t ret_offsets[FRAME_LIST_MAX]);
