/* SPDX-License-Identifier: Apache-2.0 */
#include "unwinders/native.h"

#include <errno.h>
#include <string.h>

#define WALK_ENV const struct native_walk

static int walk_read8(const struct native_walk *w, __u64 addr, __u64 *v)
{
	uint64_t off = addr - w->stack_start;

	if (off >= w->stack_bytes || w->stack_bytes - off < 8)
		return 1;
	memcpy(v, w->stack + off, 8);
	return 0;
}

static int walk_read16(const struct native_walk *w, __u64 addr, __u64 *v)
{
	return walk_read8(w, addr, &v[0]) || walk_read8(w, addr + 8, &v[1]);
}

#include "bpf/walk.h"

static const struct range *find_range(const struct native_walk *w, uint64_t pc)
{
	for (uint32_t i = 0; i < w->n_ranges; i++) {
		if (pc - w->ranges[i].start < w->ranges[i].size)
			return &w->ranges[i];
	}
	return NULL;
}

static int cut(struct native_walk *w, enum reason reason)
{
	w->reason = reason;
	return 0;
}

/* Stacks are not larger than this, mostly: a guess that points further away is none. */
#define STACK_REACH (8u << 20)

/* Memory beyond the copy is not unreadable, it is just not here. */
static int cut_by_walk(struct native_walk *w, int reason)
{
	uint64_t rbp = w->regs.regs[SLOT_RBP], end = w->stack_start + w->stack_bytes;
	bool beyond = reason == REASON_STACK_UNREADABLE;
	/* A copy that is as long as a record takes was cut there. */
	bool small = w->stack_bytes > LATE_SMALL_BYTES - 4096 && w->stack_bytes <= LATE_SMALL_BYTES;
	bool whole = !small && w->stack_bytes <= LATE_STACK_BYTES - 4096;

	if (reason == REASON_BAD_FRAME_POINTER)
		beyond = !(rbp & 7) && rbp + 16 - end < STACK_REACH;
	return cut(w, beyond && !whole ? REASON_COPY_TOO_SHORT : (enum reason)reason);
}

int native_walk(struct native_walk *w, native_rule_fn rule_fn, void *data)
{
	for (;;) {
		uint64_t pc = w->regs.pc - !w->regs.is_leaf, frame, rule = RULE_FP_GUESS;
		const struct range *range = find_range(w, pc);
		bool bad = false;
		int r;

		if (!range) /* a record with all its ranges in use may lack this one */
			return cut(w, w->n_ranges < WALK_RANGES ? REASON_NO_MAPPING
								: REASON_COPY_TOO_SHORT);
		if (w->n_frames >= w->limit || w->n_frames >= w->max_frames)
			return cut(w, REASON_TOO_DEEP);
		frame = range->first_frame + (pc - range->start);
		if (range->state != RANGE_FP) {
			r = rule_fn(data, frame, &rule);
			if (r == -EAGAIN) {
				w->blocked = frame;
				return r;
			}
			bad = r == -EBADMSG;
			if (r < 0)
				rule = bad ? RULE_BASE(RULE_INVALID, 0, 0) : RULE_FP_GUESS;
		}
		w->frames[w->n_frames++] = frame;
		r = walk_rule(w, &w->regs, rule);
		if (r == WALK_END)
			return 1;
		if (r < 0)
			return bad ? cut(w, REASON_FILE_BAD) : cut_by_walk(w, -r);
	}
}

uint64_t native_pac_mask(void)
{
#ifdef __aarch64__
	/*
	 * The kernel's choice of address bits, told by the instruction that strips a code: all bits
	 * below the one that tells user space from the kernel (55) go in, the address comes out.
	 * xpaclri is a hint; what does not know pointer authentication leaves x30 as it is (Arm
	 * Architecture Reference Manual, C6, XPACD, XPACI, XPACLRI).
	 */
	uint64_t all = (1ULL << 55) - 1, stripped = all;

	__asm__("mov x30, %0\n\thint #7\n\tmov %0, x30" : "+r"(stripped) : : "x30");
	return all & ~stripped;
#else
	return 0;
#endif
}
