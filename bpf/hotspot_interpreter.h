/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames of interpreted methods: a part of bpf/hotspot_walk.h. */
#pragma once

#include "bpf/hotspot_blob.h"

static __always_inline int hotspot_const_read(WALK_ENV *e, const struct hotspot_walk *h,
					      __u64 method, __u64 *ret_const)
{
	return !method || (method & 7) || method >> 47 ||
	       walk_read(e, method + h->p.at[HF_METHOD_CONST], ret_const, 8) || !*ret_const ||
	       (*ret_const & 7) || *ret_const >> 47;
}

/* Is the class of this ConstMethod never unloaded? By its loader. */
static __always_inline __u32 hotspot_method_stays(WALK_ENV *e, const struct hotspot_walk *h,
						  __u64 method_const)
{
	__u64 pool, class, loader;

	if (!h->p.staying[0] ||
	    walk_read(e, method_const + h->p.at[HF_CONST_CONSTANTS], &pool, 8) ||
	    walk_read(e, pool + h->p.at[HF_POOL_HOLDER], &class, 8) ||
	    walk_read(e, class + h->p.at[HF_KLASS_LOADER], &loader, 8) || !loader)
		return 0;
	return loader == h->p.staying[0] || loader == h->p.staying[1] || loader == h->p.staying[2];
}

/* The ConstMethod of a Method, of which one of the bytecode pointers may be; and h->stays. */
#ifndef HOTSPOT_METHOD_CONST
#define HOTSPOT_METHOD_CONST(e, h, method, bcp, bcp2, ret) hotspot_method_const(e, h, method, ret)
static __always_inline int hotspot_method_const(WALK_ENV *e, struct hotspot_walk *h, __u64 method,
						__u64 *ret)
{
	int r = hotspot_const_read(e, h, method, ret);

	h->stays = r ? 0 : hotspot_method_stays(e, h, *ret);
	return r;
}
#endif

/* Is this a Method? Fills the frame. bcp 0: a native method, or not known. */
static __always_inline int hotspot_method(WALK_ENV *e, struct hotspot_walk *h, __u64 method,
					  __u64 bcp, __u64 bcp2, int bcp_needed)
{
	__u64 method_const, codes, bci = 0;

	if (HOTSPOT_METHOD_CONST(e, h, method, bcp, bcp2, &method_const))
		return HOTSPOT_REASON_INTERPRETER;
	codes = method_const + h->p.bytes[HT_CONST_METHOD];
	if (bcp - codes < 65536)
		bci = bcp - codes;
	else if (bcp2 - codes < 65536)
		bci = bcp2 - codes;
	else if (bcp2 && bcp_needed)
		return HOTSPOT_REASON_INTERPRETER;
	h->value = HOTSPOT_VALUE(HOTSPOT_INTERPRETED, method);
	h->more = HOTSPOT_MORE(h->stays ? hotspot_staying_cookie(method_const)
					: hotspot_method_cookie(method_const, h->unloaded),
			       bci);
	return 0;
}

/*
 * A complete frame: rbp + 8 return address, rbp the caller's, -8 the caller's sp before arguments
 * were put there for us, -24 Method, -8 * bcp_slot the bytecode when it calls.
 */
static __always_inline int hotspot_interpreted(WALK_ENV *e, struct hotspot_walk *h,
					       struct walk_regs *r, __u64 fp, __u64 bcp)
{
	__u64 pair[2], method;
	int err;

	if (!hotspot_near(fp, r->sp))
		return HOTSPOT_REASON_INTERPRETER;
	if (walk_read16(e, fp - 8 * (__u64)h->p.bcp_slot, pair) || walk_read8(e, fp - 24, &method))
		return HOTSPOT_REASON_STACK;
	err = hotspot_method(e, h, method, bcp, pair[0], 1);
	if (err)
		return err;
	if (walk_read16(e, fp - 8, pair) || walk_read8(e, fp + 8, &method))
		return HOTSPOT_REASON_STACK;
	/* Method handle intrinsics take an argument away: the caller's sp may lie in the frame. */
	if (!hotspot_near(pair[0], fp) || !hotspot_in_heap(h, method))
		return HOTSPOT_REASON_CHAIN;
	hotspot_set_rbp(r, pair[1]);
	hotspot_go(r, method, pair[0]);
	return 0;
}

/* A method is being entered: rbx is the Method, r13 the caller's sp until it becomes the bytecode.
 */
static __always_inline int hotspot_entering(WALK_ENV *e, struct hotspot_walk *h,
					    struct walk_regs *r, int framed)
{
	__u64 ra, rbp = r->leaf[DWARF_RBP], sp = r->leaf[DWARF_R13], pair[2];

	/* When a call has returned, r13 may still be a place in the stack. */
	if (hotspot_method(e, h, r->leaf[DWARF_RBX], 0, 0, 0))
		return HOTSPOT_REASON_INTERPRETER;
	if (framed) {
		if (walk_read16(e, rbp, pair))
			return HOTSPOT_REASON_STACK;
		if (!hotspot_near(sp, r->sp) && walk_read8(e, rbp - 8, &sp))
			return HOTSPOT_REASON_STACK;
		ra = pair[1];
		rbp = pair[0];
	} else {
		/* Taken from the stack while locals are pushed. */
		if (walk_read8(e, r->sp, &ra))
			return HOTSPOT_REASON_STACK;
		if (!hotspot_in_heap(h, ra))
			ra = r->leaf[DWARF_RAX];
		/* Entries without a frame (accessors in 8, Reference.get()) take it there:
		 * mov rsp, r13; jmp rdi. */
		if (!hotspot_in_heap(h, ra) && !walk_read(e, r->pc, h->code, 5) &&
		    ((h->code[0] == 0xff && h->code[1] == 0xe7) ||
		     (h->code[0] == 0x49 && h->code[3] == 0xff && h->code[4] == 0xe7)))
			ra = r->leaf[DWARF_RDI];
	}
	if (!hotspot_near(sp, r->sp) || !hotspot_in_heap(h, ra))
		return HOTSPOT_REASON_CHAIN;
	hotspot_set_rbp(r, rbp);
	hotspot_go(r, ra, sp);
	return 0;
}

/* A frame that is gone: return address pc, rbx is the caller's sp. */
static __always_inline int hotspot_leaving(struct hotspot_walk *h, struct walk_regs *r, __u64 pc,
					   __u64 sp)
{
	__u64 rbx = r->leaf[DWARF_RBX];

	h->value = 0;
	hotspot_set_rbp(r, r->leaf[DWARF_RBP]);
	hotspot_go(r, pc, hotspot_near(rbx, r->sp) ? rbx : sp);
	return 0;
}

static __always_inline int hotspot_interpreted_leaf(WALK_ENV *e, struct hotspot_walk *h,
						    struct walk_regs *r)
{
	__u64 rbp = r->leaf[DWARF_RBP], r13 = r->leaf[DWARF_R13], ra;
	/* Its fixed part is not pushed to the end. */
	int building = !(rbp & 7) && rbp - r->sp < 8 * (__u64)(h->p.bcp_slot + 1);
	int err;

	if (hotspot_in_heap(h, r13))
		return hotspot_leaving(h, r, r13, r->sp);
	if ((building || hotspot_near(r13, r->sp)) && !hotspot_entering(e, h, r, building))
		return 0;
	err = hotspot_interpreted(e, h, r, rbp, r13);
	if (!err || walk_read8(e, r->sp, &ra) || !hotspot_in_heap(h, ra))
		return err;
	return hotspot_leaving(h, r, ra, r->sp + 8);
}
