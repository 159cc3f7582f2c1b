/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a recorded native stack with the same code as the kernel (bpf/walk.h): late unwinding
 * finishes samples here, and the tests replay recordings through it. It knows the copied stack and
 * the recorded mappings, no process and no file: rules come through a callback.
 */
#pragma once

#include "agent/base/macro.h"
#include "bpf/types.h"

struct native_walk {
	struct walk_regs regs;
	const struct range *ranges; /* borrowed */
	uint32_t n_ranges;
	const uint8_t *stack; /* borrowed: the bytes from stack_start on */
	uint64_t stack_start, stack_bytes;
	uint64_t *frames; /* borrowed, room for max_frames */
	uint32_t n_frames, max_frames;
	uint32_t limit;	    /* frame words at which the walk is cut: REASON_TOO_DEEP */
	enum reason reason; /* why the walk was cut */
	uint64_t blocked;   /* frame word whose rule was not there (-EAGAIN) */
};

/*
 * The rule of a frame word. -EAGAIN: not known yet, the walk stops and can be resumed;
 * -ENODATA: the file has no rows (the frame pointer is tried); -EBADMSG: the file could not be
 * read (the same, but a guess never ends the stack).
 */
typedef int (*native_rule_fn)(void *data, uint64_t frame, uint64_t *ret_rule);

/* 1: complete. 0: cut, w->reason says why. -EAGAIN: see above, w can be walked on later. */
int native_walk(struct native_walk *w, native_rule_fn rule, void *data);

/*
 * The bits of a code pointer that are no address on this machine, but may be its authentication
 * code. 0: there are none.
 */
uint64_t native_pac_mask(void);
