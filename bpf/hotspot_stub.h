/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Code that is no method: a part of bpf/hotspot_walk.h. */
#pragma once

#include "bpf/hotspot_blob.h"

/* Java was called by native code: StubGenerator::generate_call_stub() saves its registers. */
static __always_inline int hotspot_call_stub(WALK_ENV *e, struct hotspot_walk *h,
					     struct walk_regs *r, __u64 fp)
{
	if (!hotspot_near(fp, r->sp))
		return HOTSPOT_REASON_CHAIN;
	if (walk_read8(e, fp - 88, &r->regs[SLOT_R15]) ||
	    walk_read8(e, fp - 80, &r->regs[SLOT_R14]) ||
	    walk_read8(e, fp - 72, &r->regs[SLOT_R13]) ||
	    walk_read8(e, fp - 64, &r->regs[SLOT_R12]) ||
	    walk_read8(e, fp - 56, &r->regs[SLOT_RBX]) || walk_read16(e, fp, h->words))
		return HOTSPOT_REASON_STACK;
	r->regs[SLOT_RBP] = h->words[0];
	WALK_UNROLL
	for (int i = 0; i < SLOT_MAX; i++)
		r->saved[i] = SAVED_NOWHERE;
	hotspot_go(r, h->words[1], fp + 16);
	return 0;
}

/*
 * The oldest frame of a virtual thread that was put back on the stack returns here; those below it
 * are still in the heap (bpf/hotspot_chunk.h). Behind it lie arguments, which are of any value, and
 * the frame of Continuation.enterSpecial(), whose caller is where the stack goes on.
 */
static __always_inline int hotspot_frozen(WALK_ENV *e, struct hotspot_walk *h, struct walk_regs *r)
{
	for (int i = 0; i < HOTSPOT_SCAN; i++) {
		__u64 at = r->sp + HOTSPOT_ENTRY_BYTES + 8 + 8 * (__u64)i;

		if (walk_read8(e, at, h->words))
			return HOTSPOT_REASON_STACK;
		if (!hotspot_in_heap(h, h->words[0]) ||
		    (h->p.version >= 21 && !hotspot_is_entry(e, at)))
			continue;
		if (walk_read8(e, at - 8, &h->words[1]))
			return HOTSPOT_REASON_STACK;
		hotspot_set_rbp(r, h->words[1]);
		hotspot_go(r, h->words[0], at + 8);
		return HOTSPOT_REASON_FROZEN;
	}
	return HOTSPOT_REASON_CHAIN;
}

/*
 * Called by the stub that puts frames of a virtual thread back on the stack (generate_cont_thaw()):
 * Continuation::prepare_thaw() with sp where the ContinuationEntry is, and thaw() with the bytes in
 * rbx that it made room for; between are maybe a word for alignment, two for what the frame that
 * has returned gave back, and its arguments. Before that everything is in the heap as it was; then
 * it is in neither place for certain.
 */
#define HOTSPOT_THAW_SCAN 16 /* words; a power of two */

static __always_inline int hotspot_thawing(WALK_ENV *e, struct hotspot_walk *h, struct walk_regs *r)
{
	__u64 room = 0;
	int known =
		!walk_get_slot(e, r, SLOT_RBX, &room) && !(room & 7) && room < HOTSPOT_FRAME_MAX;

	for (int i = 0; i < 2 * HOTSPOT_THAW_SCAN; i++) {
		__u64 at =
			r->sp + HOTSPOT_ENTRY_BYTES + 8 + 8 * (__u64)(i & (HOTSPOT_THAW_SCAN - 1));

		if (i < HOTSPOT_THAW_SCAN)
			at += known ? room & (HOTSPOT_FRAME_MAX - 8) : 0;
		if (walk_read16(e, at - 8, h->words) || !hotspot_in_heap(h, h->words[1]) ||
		    !hotspot_is_entry(e, at))
			continue;
		hotspot_set_rbp(r, h->words[0]);
		hotspot_go(r, h->words[1], at + 8);
		return i < HOTSPOT_THAW_SCAN ? HOTSPOT_REASON_THAWING : HOTSPOT_REASON_FROZEN;
	}
	return HOTSPOT_REASON_STUB;
}
/* The includer may have it in one place. */
#ifndef HOTSPOT_THAWING
#define HOTSPOT_THAWING hotspot_thawing
#endif

/* Where the stub was called says which one of the blob it is: better than a pc. */
static __always_inline void hotspot_stub_entry(struct hotspot_walk *h)
{
	if (h->target - h->b.at < h->b.bytes)
		h->more = HOTSPOT_MORE(h->b.cookie, h->target - h->b.at);
}

/*
 * Through rbp, to Java code or native code; that of native code keeps no other register. The
 * barrier that methods call when they are entered (generate_method_entry_barrier()) has a word of
 * -1 above its rbp, for the sp of a method that may not go on.
 */
static __always_inline int hotspot_leave_stub(WALK_ENV *e, struct hotspot_walk *h,
					      struct walk_regs *r, __u64 fp)
{
	__u64 cfa = fp + 16;

	if ((fp & 7) || fp - r->sp >= HOTSPOT_STUB_MAX)
		return HOTSPOT_REASON_STUB;
	if (walk_read16(e, fp, h->words))
		return HOTSPOT_REASON_STACK;
	if (h->words[1] == ~(__u64)0) {
		if (walk_read8(e, cfa, &h->words[1]))
			return HOTSPOT_REASON_STACK;
		cfa += 8;
	}
	if (!hotspot_after_call(e, h, h->words[1]))
		return HOTSPOT_REASON_STUB;
	hotspot_stub_entry(h);
	if (!hotspot_in_heap(h, h->words[1])) {
		WALK_UNROLL
		for (int i = SLOT_RBX; i < SLOT_MAX; i++)
			r->saved[i] = SAVED_LOST;
	}
	hotspot_set_rbp(r, h->words[0]);
	hotspot_go(r, h->words[1], cfa);
	return 0;
}

static __always_inline int hotspot_stub(WALK_ENV *e, struct hotspot_walk *h, struct walk_regs *r)
{
	__u64 fp;

	h->value = HOTSPOT_VALUE(HOTSPOT_STUB, h->b.at);
	h->more = HOTSPOT_MORE(h->b.cookie, r->pc - h->b.at);
	if (hotspot_rbp(e, r, &fp))
		return HOTSPOT_REASON_STACK;
	if (r->pc == h->p.call_stub_return)
		return hotspot_call_stub(e, h, r, fp);
	if (r->pc == h->p.return_barrier ||
	    (h->p.version >= 20 && h->b.frame < 16 && !hotspot_after_call(e, h, r->pc))) {
		h->value = 0;
		return hotspot_frozen(e, h, r);
	}
	if (h->b.frame >= 16 && !hotspot_leave(e, h, r, r->sp + h->b.frame))
		return 0;
	if (h->p.version >= 21 && h->b.frame < 16) {
		int reason = HOTSPOT_THAWING(e, h, r);

		if (reason != HOTSPOT_REASON_STUB)
			return reason;
	}
	return hotspot_leave_stub(e, h, r, fp);
}

/* Was the stub called at ra? through: also by a call that does not say where to. */
static __always_inline int hotspot_called(WALK_ENV *e, struct hotspot_walk *h,
					  const struct walk_regs *r, __u64 ra, int through)
{
	if (!hotspot_in_heap(h, ra) || !hotspot_after_call(e, h, ra))
		return 0;
	return (through && !h->target) || (h->target - h->b.at < h->b.bytes && h->target <= r->pc);
}

/*
 * A stub that says nothing of its frame: rbp, or the first word of the stack that is a return
 * address behind a call of this stub. (Above sp lies what is alive.) HOTSPOT_REASON_STUB:
 * hotspot_stub_lost() is next.
 */
static __always_inline int hotspot_stub_search(WALK_ENV *e, struct hotspot_walk *h,
					       struct walk_regs *r)
{
	__u64 rbp = r->leaf[DWARF_RBP], word;

	if (!(rbp & 7) && rbp - r->sp < HOTSPOT_STUB_MAX && !walk_read8(e, rbp + 8, &word) &&
	    hotspot_called(e, h, r, word, 0))
		return hotspot_leave_stub(e, h, r, rbp);
	for (int i = 0; i < HOTSPOT_SCAN; i++) {
		__u64 at = r->sp + 8 * (__u64)i;

		if (walk_read8(e, at, &word))
			return HOTSPOT_REASON_STACK;
		if (!hotspot_called(e, h, r, word, i == 0))
			continue;
		hotspot_stub_entry(h);
		hotspot_set_rbp(r, rbp);
		hotspot_go(r, word, at + 8);
		return 0;
	}
	return HOTSPOT_REASON_STUB;
}

/* Arguments are moved: the return address is at sp or, on the way, in rax; r13 is the caller's sp.
 */
static __always_inline int hotspot_adapter_leaf(WALK_ENV *e, struct hotspot_walk *h,
						struct walk_regs *r)
{
	__u64 ra, r13 = r->leaf[DWARF_R13];

	if (walk_read8(e, r->sp, &ra))
		return HOTSPOT_REASON_STACK;
	if (!hotspot_in_heap(h, ra))
		ra = r->leaf[DWARF_RAX];
	if (!hotspot_in_heap(h, ra))
		return HOTSPOT_REASON_CHAIN;
	hotspot_set_rbp(r, r->leaf[DWARF_RBP]);
	hotspot_go(r, ra,
		   hotspot_near(r13, r->sp) && r13 - r->sp < HOTSPOT_STUB_MAX ? r13 : r->sp + 8);
	return 0;
}

static __always_inline int hotspot_stub_leaf(WALK_ENV *e, struct hotspot_walk *h,
					     struct walk_regs *r)
{
	__u8 *c = h->code;
	int err;

	h->value = HOTSPOT_VALUE(HOTSPOT_STUB, h->b.at);
	h->more = HOTSPOT_MORE(h->b.cookie, r->pc - h->b.at);
	if (h->b.kind == HOTSPOT_BLOB_VTABLE)
		return hotspot_leave_bare(e, h, r);
	if (h->b.kind == HOTSPOT_BLOB_ADAPTER)
		return hotspot_adapter_leaf(e, h, r);
	if (walk_read(e, r->pc - 1, c, 16))
		return HOTSPOT_REASON_BLOB;
	/* push rbp; mov rbp, rsp; ... leave, or pop rbp; vzeroupper; ret */
	if (c[1] == 0xc3 || (c[1] == 0xc5 && c[2] == 0xf8 && c[3] == 0x77 && c[4] == 0xc3) ||
	    (c[1] == 0x55 && c[2] == 0x48 && c[3] == 0x8b && c[4] == 0xec)) {
		err = hotspot_leave_bare(e, h, r);
		if (!err)
			return 0;
	} else if ((c[0] == 0x55 && c[1] == 0x48 && c[2] == 0x8b && c[3] == 0xec) || c[1] == 0x5d) {
		err = hotspot_leave(e, h, r, r->sp + 16);
		if (!err)
			return 0;
	} else if (h->b.frame >= 16 && !hotspot_leave(e, h, r, r->sp + h->b.frame)) {
		return 0;
	}
	return hotspot_stub_search(e, h, r);
}

/*
 * At an instruction of the stub that puts frames back, or of the return barrier, which ends like
 * it: [movsd xmm0, [rsp]; add rsp, 16; pop rax;] [xor rax, rax;] mov rsp, rbx; sub rsp, 16; pop
 * rbp; ret Then rbx is the sp of the topmost frame that was put back; below it are its rbp and its
 * pc.
 */
static __always_inline int hotspot_thawing_leaf(WALK_ENV *e, struct hotspot_walk *h,
						struct walk_regs *r)
{
	const __u8 *c = h->code;
	__u64 rbx = r->leaf[DWARF_RBX];
	int back, called, reason;

	if (walk_read(e, r->pc, h->code, 16))
		return HOTSPOT_REASON_BLOB;
	called = c[0] == 0xe9 || (c[0] == 0x48 && (c[1] == 0x8b || c[2] == 0xc4));
	back = c[0] == 0x48 && c[2] == 0xec && c[4] == 0x5d;
	WALK_UNROLL
	for (int i = 0; i <= 10; i++)
		back |= c[i] == 0x48 && c[i + 1] == 0x8b && c[i + 2] == 0xe3;
	if (back && hotspot_near(rbx, r->sp) && !walk_read16(e, rbx - 16, h->words) &&
	    hotspot_in_heap(h, h->words[1])) {
		hotspot_set_rbp(r, h->words[0]);
		hotspot_go(r, h->words[1], rbx);
		return 0;
	}
	reason = HOTSPOT_THAWING(e, h, r);
	/* There is room, and thaw() was not called yet. */
	return reason == HOTSPOT_REASON_THAWING && !called ? HOTSPOT_REASON_FROZEN : reason;
}

/* When hotspot_stub_leaf() knows no more. */
static __always_inline int hotspot_stub_lost(WALK_ENV *e, struct hotspot_walk *h,
					     struct walk_regs *r)
{
	int reason = HOTSPOT_REASON_STUB;

	if (h->p.version >= 21 && h->b.frame < 16)
		reason = hotspot_thawing_leaf(e, h, r);
	return reason == HOTSPOT_REASON_STUB ? hotspot_leave_stub(e, h, r, r->leaf[DWARF_RBP])
					     : reason;
}
