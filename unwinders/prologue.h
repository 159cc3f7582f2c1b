/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct prologue: unwind rows for x86-64 code that has no unwind information, from the code
 * itself. It follows the control flow from known entry points and keeps the height of the stack and
 * the places of the saved registers for each instruction, so that it sees prologues, epilogues in
 * the middle and pushes around calls alike. musl is why it exists: its libc has no call frame
 * information (configure: -fno-asynchronous-unwind-tables), and every stack of a program that uses
 * it goes through it; assembly in other libraries comes along.
 *
 * It knows nothing about files: code ranges in, rows out.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/base/hash.h"

/* Bytes of code of one file without unwind information up to which it is analysed: memory is 4
 * bytes for each. Larger programs (JavaScript engines) are walked by frame pointers. */
#define PROLOGUE_BYTES_MAX (8u << 20)

/* Contiguous code without unwind information. */
struct prologue_range {
	const uint8_t *code; /* borrowed */
	uint64_t vaddr, bytes;
	uint32_t *state;  /* owned: by byte, 1 + index in states; 0: not reached, see prologue.c */
	uint32_t reached; /* bytes of code */
};

struct prologue {
	struct prologue_range *ranges; /* owned, ascending */
	size_t n_ranges;
	uint64_t bytes;	   /* of all ranges */
	struct buf states; /* struct prologue_state */
	struct hash state_index;
	struct buf work;  /* struct prologue_work: what is still to be followed */
	struct buf later; /* likewise: code after an indirect jump, if nothing else reaches it */
	uint32_t cases_followed; /* of switches, in all */
	bool position_dependent; /* an immediate may be an address of code */
	/* Bytes of the file at an address, for jump tables; NULL when there are none. */
	const uint8_t *(*data_at)(uint64_t vaddr, uint64_t bytes, void *userdata);
	void *userdata;
};

void prologue_init(struct prologue *p);
void prologue_done(struct prologue *p);
/* Ranges ascend and do not touch. 0, -ENOMEM, -E2BIG over PROLOGUE_BYTES_MAX in total. */
int prologue_add_range(struct prologue *p, const uint8_t *code, uint64_t vaddr, uint64_t bytes);
/* A function starts here; ignored outside the ranges. */
void prologue_add_entry(struct prologue *p, uint64_t vaddr);
/* Where the kernel or the loader enters, with no caller. */
void prologue_add_root(struct prologue *p, uint64_t vaddr);
/* Finds functions by the calls to them. To be called once, after all ranges were added. */
void prologue_find_calls(struct prologue *p);
/* Likewise, by the calls and jumps of other code: bytes that have unwind information. */
void prologue_find_calls_in(struct prologue *p, const uint8_t *code, uint64_t vaddr,
			    uint64_t bytes);
/* Follows everything that was added. 0, -ENOMEM or -E2BIG. */
int prologue_run(struct prologue *p);
/*
 * The rows of a range: `emit` is called with ascending addresses and the rule from there on.
 * Negative results stop it and are returned.
 */
int prologue_rows(const struct prologue *p, const struct prologue_range *range,
		  int (*emit)(uint64_t vaddr, uint64_t rule, void *userdata), void *userdata);
