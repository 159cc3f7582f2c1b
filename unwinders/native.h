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
	uint32_t limit;	    /* user frames at which the walk is cut: REASON_TOO_DEEP */
	uint32_t depth;	    /* user frames so far: those of a runtime take two words */
	enum reason reason; /* why the walk was cut; REASON_NONE: the last word says it */
	uint64_t blocked;   /* frame word whose rule was not there (-EAGAIN) */
	/* Frames of interpreters, captured with the stack: see struct event_late. Borrowed. */
	const uint64_t *loops;
	uint32_t n_loops, loops_at;
	bool gap;   /* something is missing in the middle */
	bool full;  /* a frame found no room: the walk ends */
	bool still; /* the process has not run since the stack was copied */
};

/*
 * The rule of a frame word. -EAGAIN: not known yet, the walk stops and can be resumed;
 * -ENODATA: the file has no rows (the frame pointer is tried); -EBADMSG: the file could not be
 * read (the same, but a guess never ends the stack).
 */
typedef int (*native_rule_fn)(void *data, uint64_t frame, uint64_t *ret_rule);

struct native_ops {
	native_rule_fn rule;
	/* The runtime (enum runtime_id) whose loop this frame is, when its frames are wanted. NULL:
	 * all loops are frames like any other. */
	uint32_t (*runtime_of)(void *data, uint64_t frame);
	bool keep_loops; /* show the loop's own frame, too */
	/*
	 * A step through code without a file, as struct runtime's walk(): 0, -ENOENT when it is
	 * nobody's (the frame pointer is tried), -EIO when the stack ends here and the reason was
	 * pushed; -EAGAIN as above. NULL: all such code is nobody's.
	 */
	int (*code_step)(void *data, struct native_walk *w);
	/* The rule of such code at an address, when code_step() says that it is nobody's: 0,
	 * -ENODATA, -EAGAIN. NULL: there are none. */
	int (*code_rule)(void *data, uint64_t address, uint64_t *ret_rule);
};

/* 1: complete, but for w->gap. 0: cut, w->reason says why. -EAGAIN: see above, w can be walked on
 * later. */
int native_walk(struct native_walk *w, const struct native_ops *ops, void *data);

/* For those who walk code without a file: the two words of a frame. */
void native_push(struct native_walk *w, uint32_t runtime, uint64_t value, uint64_t more);
/* ... and the frame as it is without a runtime: the code's address. */
void native_push_code(struct native_walk *w);
/* A reason of the runtime's own; sets w->gap. */
void native_push_reason(struct native_walk *w, uint32_t runtime, uint32_t code);
/* Words of the recorded stack; nonzero: it is not in the copy. */
int native_read(const struct native_walk *w, uint64_t addr, void *to, size_t n);

/*
 * The bits of a code pointer that are no address on this machine, but may be its authentication
 * code. 0: there are none.
 */
uint64_t native_pac_mask(void);
