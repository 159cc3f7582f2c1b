/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames of compiled methods: a part of bpf/hotspot_walk.h. */
#pragma once

#include "bpf/hotspot_blob.h"

static __always_inline int hotspot_compiled(WALK_ENV *e, struct hotspot_walk *h,
					    struct walk_regs *r)
{
	struct hotspot_blob *b = &h->b;
	__u64 pc = r->pc, rbp;

	/* Deoptimised: the frame will be taken apart when it is returned to. */
	if (hotspot_is_deopt(b, pc) && !r->is_leaf &&
	    !walk_read8(e, r->sp + (b->orig_pc & (HOTSPOT_FRAME_MAX - 8)), &pc) &&
	    pc - b->at >= b->bytes)
		return HOTSPOT_REASON_CHAIN;
	h->value = HOTSPOT_VALUE(HOTSPOT_COMPILED, b->at);
	h->more = HOTSPOT_MORE(b->cookie, pc - b->at);
	/* The wrapper of a native method aligns the stack for some of its calls, but keeps rbp;
	 * only Continuation.enterSpecial(), when the frames above it were in the heap, does not. */
	if (b->kind == HOTSPOT_BLOB_NATIVE && !hotspot_rbp(e, r, &rbp) && !(rbp & 7) &&
	    rbp - r->sp < (__u64)b->frame + 512 && rbp != r->sp + b->frame - 16 &&
	    !hotspot_is_entry(e, r->sp + b->frame - 8) && !hotspot_leave(e, h, r, rbp + 16))
		return 0;
	return hotspot_leave(e, h, r, r->sp + b->frame);
}

/*
 * C1 pushes arguments of some stubs (slow_subtype_check, arraycopy) below the frame and pops them
 * again: when there is no return address where it should be, one is looked for behind that many
 * words.
 */
#define HOTSPOT_PUSHED 4

static __always_inline int hotspot_compiled_pushed(WALK_ENV *e, struct hotspot_walk *h,
						   struct walk_regs *r)
{
	/* doYield(), when all frames are in the heap: sp is where enterSpecial() has its entry. */
	if (r->is_leaf && h->p.version >= 21 &&
	    hotspot_is_entry(e, r->sp + HOTSPOT_ENTRY_BYTES + 8))
		return hotspot_leave(e, h, r, r->sp + HOTSPOT_ENTRY_BYTES + 16);
	for (__u32 i = 1; i <= HOTSPOT_PUSHED; i++) {
		__u64 cfa = r->sp + h->b.frame + 8 * i, ra;

		if (walk_read8(e, cfa - 8, &ra))
			return HOTSPOT_REASON_STACK;
		if (hotspot_in_heap(h, ra) && hotspot_after_call(e, h, ra))
			return hotspot_leave(e, h, r, cfa);
	}
	return HOTSPOT_REASON_CHAIN;
}

/* [vzeroupper;] ret */
static __always_inline int hotspot_returns(const __u8 *c)
{
	return c[0] == 0xc3 || (c[0] == 0xc5 && c[1] == 0xf8 && c[2] == 0x77 && c[3] == 0xc3);
}

/* test [reg], eax, and a return. In loops the same poll is followed by something else. */
static __always_inline int hotspot_polled(const __u8 *c)
{
	return c[0] == 0x41 ? c[1] == 0x85 && c[2] < 4 && hotspot_returns(c + 3)
			    : c[0] == 0x85 && (c[1] < 4 || c[1] == 6 || c[1] == 7) &&
				      hotspot_returns(c + 2);
}

/* Does a return follow, with the frame gone already? c: code at pc. The polls of 8 to 28:
 * test [rip+x], eax; mov reg, [r15+x]; test [reg], eax (r10, with Graal any); cmp rsp, [r15+x]; ja.
 */
static __always_inline int hotspot_popped(const __u8 *c)
{
	if (hotspot_returns(c) || c[0] == 0xc2 || hotspot_polled(c))
		return 1;
	if (c[0] == 0x49 && c[1] == 0x3b && (c[2] == 0x67 || c[2] == 0xa7))
		return 1;
	if (c[0] == 0x0f && c[1] == 0x87 && c[6] == 0xc3)
		return 1;
	if (c[0] == 0x85 && c[1] == 0x05 && c[6] == 0xc3)
		return 1;
	/* Of a native method: cmp qword [r15+x], 0; jne; ret: has it thrown? */
	if (c[0] == 0x49 && c[1] == 0x81 && c[2] == 0x7f && c[8] == 0x0f && c[9] == 0x85)
		return c[14] == 0xc3;
	if (c[0] == 0x49 && c[1] == 0x83 && c[2] == 0x7f && c[5] == 0x0f && c[6] == 0x85)
		return c[11] == 0xc3;
	if (c[0] == 0x0f && c[1] == 0x85 && c[6] == 0xc3)
		return 1;
	if ((c[0] == 0x49 || c[0] == 0x4d) && c[1] == 0x8b && (c[2] & 0xc7) == 0x87)
		return hotspot_polled(c + 7);
	if ((c[0] == 0x49 || c[0] == 0x4d) && c[1] == 0x8b && (c[2] & 0xc7) == 0x47)
		return hotspot_polled(c + 4);
	/* What the poll jumps to: lea r10, [rip+x]; mov [r15+y], r10; jmp. The mov alone also
	 * stores the top of a thread's allocation buffer. */
	if (c[0] == 0x4c && c[1] == 0x8d && c[2] == 0x15) {
		return c[7] == 0x4d && c[8] == 0x89 &&
		       ((c[9] == 0x97 && c[14] == 0xe9) || (c[9] == 0x57 && c[11] == 0xe9));
	}
	return c[0] == 0x4d && c[1] == 0x89 &&
	       ((c[2] == 0x97 && c[7] == 0xe9) || (c[2] == 0x57 && c[4] == 0xe9));
}

/* sub rsp, imm at c with this value? Its length, or 0. */
static __always_inline __u32 hotspot_is_sub(const __u8 *c, __u32 value)
{
	if (c[0] != 0x48 || c[2] != 0xec)
		return 0;
	if (c[1] == 0x83 && c[3] == value)
		return 4;
	if (c[1] == 0x81 && (c[3] | c[4] << 8 | c[5] << 16 | (__u32)c[6] << 24) == value)
		return 7;
	return 0;
}

enum hotspot_built {
	HOTSPOT_BUILT_NOTHING, /* the return address is at sp */
	HOTSPOT_BUILT_PUSHED,  /* rbp is pushed */
	HOTSPOT_BUILT_MOVED,   /* sp is moved, rbp is still a register */
	HOTSPOT_BUILT_ALL,
};

/*
 * How far the prologue has come: push rbp; [mov rbp, rsp;] sub rsp, x - or sub rsp, x;
 * mov [rsp+y], rbp. The frame's size tells x. h->code has the bytes before "frame complete", pc
 * is at `at` in it.
 */
static __always_inline __u32 hotspot_prologue(const struct hotspot_walk *h, __u32 at)
{
	__u32 frame = h->b.frame, n;

	for (__u32 i = 0; i < HOTSPOT_PROLOGUE; i++) {
		const __u8 *c = h->code + i;
		__u32 mov = c[1] == 0x48 && c[2] == 0x8b && c[3] == 0xec ? 3 : 0;

		if (c[0] == 0x55) {
			/* Without locals nothing is subtracted. */
			n = frame == 16 ? 1
			    : mov	? hotspot_is_sub(c + 4, frame - 16)
					: hotspot_is_sub(c + 1, frame - 16);
			if (n && at <= i)
				return HOTSPOT_BUILT_NOTHING;
			if (n && at <= i + 1 + mov)
				return frame == 16 ? HOTSPOT_BUILT_ALL : HOTSPOT_BUILT_PUSHED;
			if (n)
				return HOTSPOT_BUILT_ALL;
		}
		n = hotspot_is_sub(c, frame - 8);
		if (n && at <= i)
			return HOTSPOT_BUILT_NOTHING;
		if (n && at <= i + n)
			return HOTSPOT_BUILT_MOVED;
		if (n)
			return HOTSPOT_BUILT_ALL;
	}
	return HOTSPOT_BUILT_NOTHING;
}

/* mov [rsp+x], rbp? */
static __always_inline int hotspot_saves_rbp(const __u8 *c)
{
	return c[0] == 0x48 && c[1] == 0x89 && (c[2] == 0x2c || c[2] == 0x6c || c[2] == 0xac) &&
	       c[3] == 0x24;
}

/*
 * Graal's code does not say where its frame is complete (CodeOffsets::frame_never_safe in 11): sub
 * rsp, x; mov [rsp+y], rbp. There is no mov in methods during which nobody else can look at the
 * frame, and they do not touch rbp (AMD64HotSpotLIRGenerator.SaveRbp). h->code is the beginning of
 * the code.
 */
static __always_inline __u32 hotspot_unmarked(const struct hotspot_walk *h, __u64 at)
{
	for (__u32 i = 0; i < HOTSPOT_PROLOGUE; i++) {
		const __u8 *c = h->code + i;
		__u32 n = hotspot_is_sub(c, h->b.frame - 8);

		if (n && at <= i)
			return HOTSPOT_BUILT_NOTHING;
		if (n && (at <= i + n || !hotspot_saves_rbp(n == 4 ? c + 4 : c + 7)))
			return HOTSPOT_BUILT_MOVED;
		if (n)
			return HOTSPOT_BUILT_ALL;
	}
	return HOTSPOT_BUILT_ALL;
}

static __always_inline int hotspot_compiled_leaf(WALK_ENV *e, struct hotspot_walk *h,
						 struct walk_regs *r)
{
	struct hotspot_blob *b = &h->b;
	__u64 code = b->at + b->code, off = r->pc - code;
	__u64 from = code + b->complete - HOTSPOT_PROLOGUE;
	__u32 built = HOTSPOT_BUILT_ALL;

	h->value = HOTSPOT_VALUE(HOTSPOT_COMPILED, b->at);
	h->more = HOTSPOT_MORE(b->cookie, r->pc - b->at);
	if (b->frame < 16) /* method handle intrinsics: they only jump on */
		return hotspot_leave_bare(e, h, r);
	if ((__s32)b->complete >= 0 && off < b->complete) {
		/* The bytes behind are of the code, too; those before of the header. */
		if (r->pc < from)
			return hotspot_leave_bare(e, h, r);
		if (walk_read(e, from, h->code, HOTSPOT_PROLOGUE + 16))
			return HOTSPOT_REASON_BLOB;
		built = hotspot_prologue(h, (__u32)(r->pc - from));
	} else {
		if (walk_read(e, r->pc, h->code, 16))
			return HOTSPOT_REASON_BLOB;
		if (hotspot_popped(h->code))
			built = HOTSPOT_BUILT_NOTHING;
		else if (h->code[0] == 0x5d) /* pop rbp */
			built = HOTSPOT_BUILT_PUSHED;
		else if ((__s32)b->complete < 0 && b->kind == HOTSPOT_BLOB_NMETHOD &&
			 walk_read(e, code, h->code, HOTSPOT_PROLOGUE + 16))
			return HOTSPOT_REASON_BLOB;
		else if ((__s32)b->complete < 0 && b->kind == HOTSPOT_BLOB_NMETHOD)
			built = hotspot_unmarked(h, off);
	}
	if (built == HOTSPOT_BUILT_NOTHING)
		return hotspot_leave_bare(e, h, r);
	if (built == HOTSPOT_BUILT_PUSHED)
		return hotspot_leave(e, h, r, r->sp + 16);
	if (built == HOTSPOT_BUILT_MOVED) {
		r->sp += b->frame - 8;
		return hotspot_leave_bare(e, h, r);
	}
	return hotspot_compiled(e, h, r);
}
