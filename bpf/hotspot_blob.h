/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which of HotSpot's code blobs a pc lies in, and the ways by which frames are left: what all parts
 * of the walk (bpf/hotspot_walk.h) stand on.
 */
#pragma once

#include "bpf/hotspot.h"
#include "bpf/walk_base.h"

#define HOTSPOT_HEADER_BYTES 512
#define HOTSPOT_HEADER_SMALL 128 /* of blobs that end before, at the end of the heap's memory */
#define HOTSPOT_HOPS	     64	 /* in the segment map; a hop is up to 254 segments */
#define HOTSPOT_FRAME_MAX    (1U << 20) /* bytes; 65,535 locals and as much expression stack */
#define HOTSPOT_STUB_MAX     (1U << 16)
#define HOTSPOT_SCAN	     32 /* words above sp that are looked at for a return address */
#define HOTSPOT_PROLOGUE     64 /* bytes before "frame complete" that are searched */

enum hotspot_blob_kind {
	HOTSPOT_BLOB_STUB = 0, /* anything else */
	HOTSPOT_BLOB_NMETHOD,  /* frame of a fixed size */
	HOTSPOT_BLOB_NATIVE,   /* the same around a native method, addressed by rbp */
	HOTSPOT_BLOB_INTERPRETER,
	HOTSPOT_BLOB_ADAPTER, /* between compiled and interpreted code: no frame */
	HOTSPOT_BLOB_VTABLE,  /* no frame */
};

struct hotspot_blob {
	__u64 at; /* the CodeBlob; from there: */
	__u32 bytes, code;
	__u32 deopt, deopt_mh; /* return addresses that stand for others; 0: none */
	__u32 frame;	       /* bytes, with the return address; 0: it has none, or nobody says */
	__u32 complete;	       /* bytes of code before the frame is there */
	__u32 orig_pc;	       /* where in the frame the return address is that deopt stands for */
	__u32 cookie, kind;
	__u32 proof; /* of the kernel's memory of it: see bpf/hotspot.bpf.c */
};
_Static_assert(sizeof(struct hotspot_blob) == 48, "hotspot_blob");

/* Where the walk is in frames that lie in the heap: see bpf/hotspot_chunk.h. */
struct hotspot_chunk {
	__u64 end;   /* behind its oldest frame; 0: the walk is on the stack */
	__u64 link;  /* of the frame: where its rbp is kept, two words below what is its callee's sp
		      */
	__u64 pc;    /* of the topmost frame */
	__u64 next;  /* the chunk to go on with; 0: none */
	__u64 cont;  /* the Continuation */
	__u64 entry; /* on the stack: where rbp is kept by Continuation.enterSpecial() */
	__u64 back_pc, back_sp, back_rbp; /* its caller */
	__u64 base;			  /* of addresses of 32 bits */
	__u64 bad;			  /* of coloured addresses: bits of which none may be set */
	__u32 shift, colour;		  /* of each kind; colour 0: they have none */
	__u32 mixed;			  /* it has interpreted frames */
	__u32 ended;			  /* the frame that the step found is its last one */
	__u32 taken;			  /* chunks that had frames */
	__u32 again; /* frames of the chunk that were found on the stack already */
	/* Words of the two topmost frames on the stack, and how many there are. */
	__u64 top[4];
	__u32 above;
	__u32 pad;
};
_Static_assert(sizeof(struct hotspot_chunk) == 152, "hotspot_chunk");

/* State of a walk: too much for the kernel's stack. */
struct hotspot_walk {
	struct hotspot_proc p;
	struct hotspot_blob b;
	struct hotspot_chunk chunk;
	__u64 value, more; /* the frame that the step found; value 0: none */
	__u32 unloaded;	   /* classes, by now */
	__u32 stays;	   /* the class of the method that was looked at last */
	__u64 words[2];
	__u64 target;
	__u8 code[HOTSPOT_PROLOGUE + 16];
	__u8 header[HOTSPOT_HEADER_BYTES];
};

#define HOTSPOT_CHARS(a, b, c, d, e, f, g, h)                                                    \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

static __always_inline int hotspot_in_heap(const struct hotspot_walk *h, __u64 pc)
{
	int in = 0;

	WALK_UNROLL
	for (int i = 0; i < HOTSPOT_HEAPS; i++)
		in |= pc - h->p.heaps[i].low < h->p.heaps[i].high - h->p.heaps[i].low;
	return in;
}

/* At the beginning of a walk. */
static __always_inline void hotspot_count_unloaded(WALK_ENV *e, struct hotspot_walk *h)
{
	h->unloaded = 0;
	if (h->p.unloaded)
		(void)walk_read(e, h->p.unloaded, &h->unloaded, 4);
}

/* ---- Code blobs ---- */
static __always_inline __u32 hotspot_header_u32(const struct hotspot_walk *h, __u32 offset)
{
	return *(const __u32 *)(h->header + (offset & (HOTSPOT_HEADER_BYTES - 4)));
}

static __always_inline __u64 hotspot_header_u64(const struct hotspot_walk *h, __u32 offset)
{
	return *(const __u64 *)(h->header + (offset & (HOTSPOT_HEADER_BYTES - 8)));
}

static __always_inline __u32 hotspot_header_u16(const struct hotspot_walk *h, __u32 offset)
{
	return *(const __u16 *)(h->header + (offset & (HOTSPOT_HEADER_BYTES - 2)));
}

/* The HeapBlock that pc lies in, by the segment map. 0 or a reason. */
static __always_inline int hotspot_block_find(WALK_ENV *e, const struct hotspot_walk *h, __u64 pc,
					      __u64 *ret)
{
	__u64 low = 0, segmap = 0, segment;
	__u32 shift = 0;
	__u8 tag;

	WALK_UNROLL
	for (int i = 0; i < HOTSPOT_HEAPS; i++) {
		const struct hotspot_heap *heap = &h->p.heaps[i];

		if (pc - heap->low < heap->high - heap->low) {
			low = heap->low;
			segmap = heap->segmap;
			shift = heap->shift & 31;
		}
	}
	segment = (pc - low) >> shift;
	for (int i = 0; i < HOTSPOT_HOPS; i++) {
		if (walk_read(e, segmap + segment, &tag, 1))
			return HOTSPOT_REASON_BLOB;
		if (tag == 0xff)
			return HOTSPOT_REASON_NO_BLOB;
		if (tag == 0) {
			*ret = low + (segment << shift);
			return 0;
		}
		if (tag > segment)
			return HOTSPOT_REASON_BLOB;
		segment -= tag;
	}
	return HOTSPOT_REASON_BLOB;
}

static __always_inline __u32 hotspot_blob_kind(__u64 name)
{
	if (name == HOTSPOT_CHARS('n', 'm', 'e', 't', 'h', 'o', 'd', 0))
		return HOTSPOT_BLOB_NMETHOD;
	if (name == HOTSPOT_CHARS('n', 'a', 't', 'i', 'v', 'e', ' ', 'n'))
		return HOTSPOT_BLOB_NATIVE;
	if (name == HOTSPOT_CHARS('I', 'n', 't', 'e', 'r', 'p', 'r', 'e'))
		return HOTSPOT_BLOB_INTERPRETER;
	if (name == HOTSPOT_CHARS('v', 't', 'a', 'b', 'l', 'e', ' ', 'c'))
		return HOTSPOT_BLOB_VTABLE;
	/* Of method handles, too: they are entered like interpreted methods and jump on. */
	if (name == HOTSPOT_CHARS('I', '2', 'C', '/', 'C', '2', 'I', ' ') ||
	    name == HOTSPOT_CHARS('M', 'e', 't', 'h', 'o', 'd', 'H', 'a'))
		return HOTSPOT_BLOB_ADAPTER;
	return HOTSPOT_BLOB_STUB;
}

/* What a pointer in the header leads to, or, of other versions, an offset. 0: not into the blob. */
static __always_inline __u32 hotspot_blob_place(const struct hotspot_walk *h, __u32 pointer,
						__u32 offset)
{
	__u64 place = 0;

	if (pointer != HOTSPOT_NONE)
		place = hotspot_header_u64(h, pointer) - h->b.at;
	else if (offset != HOTSPOT_NONE)
		place = hotspot_header_u32(h, offset);
	return place <= h->b.bytes ? place : 0;
}

static __always_inline void hotspot_blob_deopt(struct hotspot_walk *h)
{
	const __u16 *at = h->p.at;
	struct hotspot_blob *b = &h->b;

	b->deopt = hotspot_blob_place(h, at[HF_NM_DEOPT_BEGIN], at[HF_NM_DEOPT_OFFSET]);
	b->deopt_mh = hotspot_blob_place(h, at[HF_NM_DEOPT_MH_BEGIN], at[HF_NM_DEOPT_MH_OFFSET]);
	b->orig_pc = hotspot_header_u32(h, at[HF_NM_ORIG_PC]);
}

/* Is this return address, which lies behind the beginning of the blob, one for another? */
static __always_inline int hotspot_is_deopt(const struct hotspot_blob *b, __u64 pc)
{
	return pc - b->at == b->deopt || pc - b->at == b->deopt_mh;
}

/* Fills h->b from h->header. */
static __always_inline int hotspot_blob_parse(WALK_ENV *e, struct hotspot_walk *h, __u64 pc)
{
	const __u16 *at = h->p.at;
	struct hotspot_blob *b = &h->b;
	__u64 name = hotspot_header_u64(h, at[HF_BLOB_NAME]);
	__u32 words = hotspot_header_u32(h, at[HF_BLOB_FRAME_SIZE]);

	b->bytes = hotspot_header_u32(h, at[HF_BLOB_SIZE]);
	b->code = hotspot_blob_place(h, at[HF_BLOB_CODE_BEGIN], at[HF_BLOB_CODE_OFFSET]);
	if (pc - b->at >= b->bytes || !b->code || walk_read(e, name, h->words, 8))
		return HOTSPOT_REASON_BLOB;
	/* -1 where there is no frame. */
	b->frame = words <= HOTSPOT_FRAME_MAX / 8 ? words * 8 : 0;
	b->complete = h->p.frame_complete_bytes == 2
			      ? (__u32)(__s16)hotspot_header_u16(h, at[HF_BLOB_FRAME_COMPLETE])
			      : hotspot_header_u32(h, at[HF_BLOB_FRAME_COMPLETE]);
	b->kind = hotspot_blob_kind(h->words[0]);
	b->cookie = (__u32)name;
	b->deopt = b->deopt_mh = 0;
	b->orig_pc = 0;
	if (b->kind == HOTSPOT_BLOB_NMETHOD || b->kind == HOTSPOT_BLOB_NATIVE) {
		b->cookie = hotspot_header_u32(h, at[HF_NM_COMPILE_ID]);
		hotspot_blob_deopt(h);
	}
	return 0;
}

/* The blob of a pc inside a heap into h->b. 0 or a reason. */
static __always_inline int hotspot_blob_find(WALK_ENV *e, struct hotspot_walk *h, __u64 pc)
{
	__u64 block;
	int r = hotspot_block_find(e, h, pc, &block);

	if (r)
		return r;
	h->b.at = block + h->p.bytes[HT_BLOCK];
	if (walk_read(e, h->b.at, h->header, HOTSPOT_HEADER_BYTES) &&
	    walk_read(e, h->b.at, h->header, HOTSPOT_HEADER_SMALL))
		return HOTSPOT_REASON_BLOB;
	return hotspot_blob_parse(e, h, pc);
}

/* Where in the blob lies what tells it from another one at its place. */
static __always_inline __u32 hotspot_blob_check(const struct hotspot_walk *h,
						const struct hotspot_blob *b)
{
	int compiled = b->kind == HOTSPOT_BLOB_NMETHOD || b->kind == HOTSPOT_BLOB_NATIVE;

	return h->p.at[compiled ? HF_NM_COMPILE_ID : HF_BLOB_NAME];
}

/* ---- Callers ---- */
static __always_inline void hotspot_go(struct walk_regs *r, __u64 pc, __u64 sp)
{
	r->pc = pc;
	r->sp = sp;
	r->is_leaf = 0;
}

static __always_inline void hotspot_set_rbp(struct walk_regs *r, __u64 rbp)
{
	r->regs[SLOT_RBP] = rbp;
	r->saved[SLOT_RBP] = SAVED_NOWHERE;
}

static __always_inline int hotspot_rbp(WALK_ENV *e, struct walk_regs *r, __u64 *ret)
{
	if (r->is_leaf) {
		*ret = r->leaf[DWARF_RBP];
		return 0;
	}
	return walk_get_slot(e, r, SLOT_RBP, ret) ? HOTSPOT_REASON_STACK : 0;
}

/* A frame whose return address ends at cfa and whose rbp lies below it. */
static __always_inline int hotspot_leave(WALK_ENV *e, struct hotspot_walk *h, struct walk_regs *r,
					 __u64 cfa)
{
	if (cfa < r->sp + 16 || (cfa & 7))
		return HOTSPOT_REASON_CHAIN;
	if (walk_read16(e, cfa - 16, h->words))
		return HOTSPOT_REASON_STACK;
	if (!hotspot_in_heap(h, h->words[1]))
		return HOTSPOT_REASON_CHAIN;
	hotspot_set_rbp(r, h->words[0]);
	hotspot_go(r, h->words[1], cfa);
	return 0;
}

/* No frame: the return address is at sp, rbp is the caller's. */
static __always_inline int hotspot_leave_bare(WALK_ENV *e, struct hotspot_walk *h,
					      struct walk_regs *r)
{
	__u64 rbp;

	if (hotspot_rbp(e, r, &rbp) || walk_read8(e, r->sp, h->words))
		return HOTSPOT_REASON_STACK;
	if (!hotspot_in_heap(h, h->words[0]))
		return HOTSPOT_REASON_CHAIN;
	hotspot_set_rbp(r, rbp);
	hotspot_go(r, h->words[0], r->sp + 8);
	return 0;
}

/* Is there a call instruction before ra? h->target is where it leads, 0: not known. */
static __always_inline int hotspot_after_call(WALK_ENV *e, struct hotspot_walk *h, __u64 ra)
{
	const __u8 *c = h->code;

	h->target = 0;
	if (walk_read(e, ra - 13, h->code, 13))
		return 0;
	if (c[8] == 0xe8) { /* call rel32 */
		h->target = ra + (__s32)(c[9] | c[10] << 8 | c[11] << 16 | (__u32)c[12] << 24);
		return 1;
	}
	if (c[10] == 0x41 && c[11] == 0xff && c[12] == 0xd2) { /* call r10 */
		if (c[0] == 0x49 && c[1] == 0xba)	       /* mov r10, imm64 */
			h->target = HOTSPOT_CHARS(c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]);
		else if (c[3] == 0x4c && c[4] == 0x8d && c[5] == 0x15) /* lea r10, [rip+rel32] */
			h->target =
				ra - 3 + (__s32)(c[6] | c[7] << 8 | c[8] << 16 | (__u32)c[9] << 24);
		return 1;
	}
	/* call reg, [reg], [reg+8], [reg+32], [rip+32] */
	return (c[11] == 0xff &&
		((c[12] & 0xf8) == 0xd0 || ((c[12] & 0xf8) == 0x10 && (c[12] & 6) != 4))) ||
	       (c[10] == 0xff && (c[11] & 0xf8) == 0x50) ||
	       (c[7] == 0xff && ((c[8] & 0xf8) == 0x90 || c[8] == 0x15));
}

/* A place of a frame that begins at sp? */
static __always_inline int hotspot_near(__u64 addr, __u64 sp)
{
	return !(addr & 7) && addr - sp < HOTSPOT_FRAME_MAX;
}

/*
 * Does Continuation.enterSpecial() return by the address at `at`? Below it lie its caller's rbp and
 * the ContinuationEntry (continuationEntry.hpp), in product builds of 21 to 28 of 64 bytes: at 56
 * from its end the entry that it lies inside of, at 48 the Continuation, at 40 always 0, at 32
 * whether it is a virtual thread's, at 28 the words of arguments below it. The rest is of any
 * value.
 */
#define HOTSPOT_ENTRY_BYTES 64
#define HOTSPOT_ENTRY_CONT  48

static __always_inline int hotspot_is_entry(WALK_ENV *e, __u64 at)
{
	__u64 fp = at - 8, outer[2], numbers[2];

	if (walk_read16(e, fp - HOTSPOT_ENTRY_CONT - 8, outer) ||
	    walk_read16(e, fp - HOTSPOT_ENTRY_CONT + 8, numbers))
		return 0;
	return (!outer[0] || hotspot_near(outer[0], at)) && outer[1] && !(outer[1] & 7) &&
	       !numbers[0] && (__u32)numbers[1] <= 1 && numbers[1] >> 40 == 0;
}
