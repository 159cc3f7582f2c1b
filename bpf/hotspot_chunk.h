/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of a virtual thread that are in the heap: a part of bpf/hotspot_walk.h. When a thread that
 * has blocked goes on, its topmost frames only are put back on the stack; the oldest of them
 * returns to the return barrier. The others lie in StackChunks, objects in a list from the newest
 * to the oldest, of which the topmost may be empty. Sources: continuationFreezeThaw.cpp,
 * stackChunkOop.inline.hpp, stackChunkFrameStream{,_x86}.inline.hpp, continuationEntry.hpp,
 * continuationFreezeThaw_x86.inline.hpp of OpenJDK 21 and 25; layouts seen in 21 to 28.
 *
 * Frames of compiled methods lie there as on a stack. Of an interpreted one the places that its
 * words name are counted in words from where they are named. A chunk does not change while the
 * thread runs frames above it, and objects do not move while it runs Java code. Who moves them
 * meanwhile (any collector while the thread runs native code, Shenandoah, ZGC) marks them or their
 * addresses, and we give up. The memory is read by walk_read(), it is not the stack.
 *
 * ZGC with generations (zAddress.hpp, zAddress_x86.cpp of 21 and 26) keeps addresses in objects
 * coloured: the address is the word shifted right by as much as the collection that runs says, as
 * long as none of the bits is set that would say that the object may be elsewhere. On the stack
 * they have no colours.
 */
#pragma once

#include "bpf/hotspot_interpreter.h"
#include "bpf/hotspot_stub.h"

#define HOTSPOT_CHUNKS	     8		/* looked at for one that is not empty */
#define HOTSPOT_CHUNKS_MAX   64		/* with frames */
#define HOTSPOT_CHUNK_WORDS  (1U << 20) /* of a chunk's stack */
#define HOTSPOT_CHUNK_HEADER 64		/* bytes; all fields lie in them */
#define HOTSPOT_CHUNK_MIXED  1		/* FLAG_HAS_INTERPRETED_FRAMES */

static __always_inline __u32 hotspot_chunk_u32(const struct hotspot_walk *h, __u32 offset)
{
	return *(const __u32 *)(h->code + (offset & (HOTSPOT_CHUNK_HEADER - 4)));
}

static __always_inline __u64 hotspot_chunk_u64(const struct hotspot_walk *h, __u32 offset)
{
	return *(const __u64 *)(h->code + (offset & (HOTSPOT_CHUNK_HEADER - 8)));
}

/* The address of an object, from h->code; 1, which is none, when it is not known any more. */
static __always_inline __u64 hotspot_chunk_oop(const struct hotspot_walk *h, __u32 offset)
{
	__u32 narrow;
	__u64 oop;

	if (h->p.oop_bytes == 8) {
		oop = hotspot_chunk_u64(h, offset);
		return oop & h->chunk.bad ? 1 : oop >> (h->chunk.colour & 31);
	}
	narrow = hotspot_chunk_u32(h, offset);
	return narrow ? h->chunk.base + ((__u64)narrow << (h->chunk.shift & 31)) : 0;
}

/* The frames in the heap can not be shown: the stack goes on behind them. */
static __always_inline int hotspot_chunk_fail(struct hotspot_walk *h, struct walk_regs *r)
{
	h->chunk.end = 0;
	h->chunk.ended = 0;
	hotspot_set_rbp(r, h->chunk.back_rbp);
	hotspot_go(r, h->chunk.back_pc, h->chunk.back_sp);
	return HOTSPOT_REASON_FROZEN;
}

/* The oldest frame was shown: that of Continuation.enterSpecial() is back on the stack. */
static __always_inline int hotspot_chunk_close(WALK_ENV *e, struct hotspot_walk *h,
					       struct walk_regs *r)
{
	int reason = hotspot_chunk_fail(h, r);
	__u64 pc;

	if (!h->p.entry_return)
		return 0;
	if (walk_read(e, h->p.entry_return, &pc, 8) || !hotspot_in_heap(h, pc))
		return reason;
	hotspot_set_rbp(r, h->chunk.entry);
	hotspot_go(r, pc, h->chunk.entry - HOTSPOT_ENTRY_BYTES);
	return 0;
}

/* Takes the chunk at `at`. 0: it has frames; 1: it has none; -1: it is no chunk of this thread. */
static __always_inline int hotspot_chunk_take(WALK_ENV *e, struct hotspot_walk *h, __u64 at)
{
	struct hotspot_chunk *k = &h->chunk;
	__u32 size, sp, bottom;
	__u64 start = at + h->p.chunk_stack;

	if ((at & 7) || at >> 47 || walk_read(e, at, h->code, HOTSPOT_CHUNK_HEADER))
		return -1;
	size = hotspot_chunk_u32(h, h->p.chunk_size);
	sp = hotspot_chunk_u32(h, h->p.chunk_sp);
	bottom = hotspot_chunk_u32(h, h->p.chunk_sp + 4u);
	/* Low bits of the mark: it was moved, and this is what is left. */
	if ((hotspot_chunk_u64(h, 0) & 3) == 3 || size > HOTSPOT_CHUNK_WORDS || sp > size ||
	    bottom > size ||
	    hotspot_chunk_oop(h, h->p.chunk_parent + (__u32)h->p.oop_bytes) != k->cont)
		return -1;
	k->next = hotspot_chunk_oop(h, h->p.chunk_parent);
	k->pc = hotspot_chunk_u64(h, h->p.chunk_pc);
	k->mixed = hotspot_chunk_u32(h, h->p.chunk_sp + 12u) & HOTSPOT_CHUNK_MIXED;
	k->link = start + 8 * (__u64)sp - 16;
	k->end = start + 8 * (__u64)bottom;
	return sp >= bottom;
}

/* Goes on in the next chunk that has frames, or behind the last one. 0 or a reason. */
static __always_inline int hotspot_chunk_next(WALK_ENV *e, struct hotspot_walk *h,
					      struct walk_regs *r)
{
	struct hotspot_chunk *k = &h->chunk;
	int found;

	for (int i = 0; i < HOTSPOT_CHUNKS; i++) {
		if (!k->next)
			return k->taken ? hotspot_chunk_close(e, h, r) : hotspot_chunk_fail(h, r);
		found = hotspot_chunk_take(e, h, k->next);
		if (found < 0 || (!found && !hotspot_in_heap(h, k->pc)))
			break;
		if (found)
			continue;
		if (++k->taken > HOTSPOT_CHUNKS_MAX)
			break;
		k->ended = 0;
		hotspot_go(r, k->pc, k->link + 16);
		return 0;
	}
	return hotspot_chunk_fail(h, r);
}

/*
 * The walk has come to the return barrier, and r is the caller of Continuation.enterSpecial(),
 * whose frame lies below: finds the newest chunk. hotspot_chunk_next() follows.
 */
static __always_inline int hotspot_chunk_open(WALK_ENV *e, struct hotspot_walk *h,
					      struct walk_regs *r)
{
	struct hotspot_chunk *k = &h->chunk;

	k->entry = r->sp - 16;
	k->back_pc = r->pc;
	k->back_sp = r->sp;
	k->back_rbp = r->regs[SLOT_RBP];
	k->base = k->shift = k->taken = 0;
	k->bad = k->colour = k->again = 0;
	/* Not known when the process is attached to: the heap may not be reserved yet. */
	if (!h->p.oop_bytes ||
	    (h->p.oop_bytes == 4 && (walk_read(e, h->p.narrow_base, &k->base, 8) ||
				     walk_read(e, h->p.narrow_shift, &k->shift, 4))) ||
	    (h->p.z_load_bad && (walk_read(e, h->p.z_load_bad, &k->bad, 8) ||
				 walk_read(e, h->p.z_load_shift, &k->colour, 4))) ||
	    walk_read8(e, k->entry - HOTSPOT_ENTRY_CONT, &k->cont) || (k->cont & 7) || !k->cont ||
	    k->cont >> 47 || walk_read(e, k->cont + h->p.cont_tail, h->code, 8))
		return HOTSPOT_REASON_FROZEN;
	k->next = hotspot_chunk_oop(h, 0);
	k->ended = 1;
	return 0;
}

/* ---- Frames ---- */
static __always_inline int hotspot_chunk_interpreted(WALK_ENV *e, struct hotspot_walk *h,
						     struct walk_regs *r)
{
	struct hotspot_chunk *k = &h->chunk;
	__u64 fp, pair[2], word;

	if (walk_read(e, k->link, &word, 8))
		return 1;
	fp = k->link + 8 * word;
	if (fp <= k->link || fp >= k->end ||
	    walk_read(e, fp - 8 * (__u64)h->p.bcp_slot, pair, 16) ||
	    walk_read(e, fp - 24, &word, 8) || hotspot_method(e, h, word, 0, pair[0], 1))
		return 1;
	/* Its locals, the first of which lies highest, are the last words of the chunk? */
	if (fp + 8 * pair[1] + 8 >= k->end) {
		k->ended = 1;
		return 0;
	}
	if (walk_read(e, fp - 8, pair, 16) || walk_read(e, fp + 8, &word, 8))
		return 1;
	pair[0] = fp + 8 * pair[0];
	if (pair[0] <= k->link || pair[0] >= k->end || !hotspot_in_heap(h, word))
		return 1;
	k->link = fp;
	hotspot_go(r, word, pair[0]);
	return 0;
}

static __always_inline int hotspot_chunk_compiled(WALK_ENV *e, struct hotspot_walk *h,
						  struct walk_regs *r)
{
	struct hotspot_chunk *k = &h->chunk;
	struct hotspot_blob *b = &h->b;
	int compiled = b->kind == HOTSPOT_BLOB_NMETHOD || b->kind == HOTSPOT_BLOB_NATIVE;
	__u64 pc = r->pc, cfa = r->sp + b->frame;

	if (hotspot_is_deopt(b, pc) &&
	    (walk_read(e, r->sp + (b->orig_pc & (HOTSPOT_FRAME_MAX - 8)), &pc, 8) ||
	     pc - b->at >= b->bytes))
		return 1;
	h->value = HOTSPOT_VALUE(compiled ? HOTSPOT_COMPILED : HOTSPOT_STUB, b->at);
	h->more = HOTSPOT_MORE(b->cookie, pc - b->at);
	/* Behind interpreted frames up to two words are for alignment. */
	if (cfa >= k->end || (k->mixed && cfa + 16 >= k->end)) {
		k->ended = 1;
		return 0;
	}
	if (b->frame < 16 || cfa - 16 <= k->link || walk_read(e, cfa - 8, &pc, 8) ||
	    !hotspot_in_heap(h, pc))
		return 1;
	k->link = cfa - 16;
	hotspot_go(r, pc, cfa);
	return 0;
}

/*
 * Freezing copies the frames on the stack to the chunk, and leaves them until doYield() returns:
 * then they are in both places. So it is when the chunk's topmost frame is the one on the stack
 * that called doYield(): a thread that runs has not left that in the heap. How many of the chunk's
 * frames were met already. Only doYield() is compiled, is the topmost frame, and has one of two
 * words.
 */
static __always_inline __u32 hotspot_chunk_again(WALK_ENV *e, const struct hotspot_walk *h)
{
	const struct hotspot_chunk *k = &h->chunk;
	__u32 words;

	if (k->above < 2 || HOTSPOT_KIND(k->top[0]) != HOTSPOT_COMPILED ||
	    FRAME_RUNTIME_VALUE(k->top[2]) != (h->value & RUNTIME_VALUE_MASK) ||
	    k->top[3] != FRAME(FRAME_MORE, h->more) ||
	    walk_read(e, HOTSPOT_ADDRESS(k->top[0]) + h->p.at[HF_BLOB_FRAME_SIZE], &words, 4) ||
	    words != 2)
		return 0;
	return k->above - 1;
}

/* One frame of a chunk. 0 or a reason. */
static __always_inline int hotspot_chunk_step(WALK_ENV *e, struct hotspot_walk *h,
					      struct walk_regs *r)
{
	struct hotspot_chunk *k = &h->chunk;
	int err = h->b.kind == HOTSPOT_BLOB_INTERPRETER ? hotspot_chunk_interpreted(e, h, r)
							: hotspot_chunk_compiled(e, h, r);

	if (err)
		return hotspot_chunk_fail(h, r);
	if (k->above) {
		k->again = hotspot_chunk_again(e, h);
		k->above = 0;
	}
	if (k->again) {
		k->again--;
		h->value = 0;
	}
	return 0;
}
