/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a sample on aarch64 gets at the user's registers: what the sampled context and the kernel's
 * saved registers look like, and the registers that a walk begins with. Page size and the bits of
 * an address differ from kernel to kernel: user space finds them out and sets the knobs.
 */
#pragma once

#include "bpf/kernel.h"

#include <stddef.h>

extern const volatile __u64 pac_mask;	/* the bits of a user's code pointer that are not address */
extern const volatile __u32 page_shift; /* log2 of the page size: 12, 14 or 16 */

/* THREAD_SIZE is 16 KiB, or a page where that is more (arch/arm64/include/asm/memory.h,
 * MIN_THREAD_SHIFT; KASAN doubles it). */
#define STACK_SHIFT_ARM64 14

/* The kernel's own, of which struct user_pt_regs is the beginning (arch/arm64/include/asm/
 * ptrace.h). Only its size is used. */
struct pt_regs___kernel {
	struct user_pt_regs user_regs;
} __attribute__((preserve_access_index));

/* The part of struct user_pt_regs that a walk needs, which is its end. */
struct arm64_regs {
	u64 x29, x30, sp, pc, pstate;
};
#define ARCH_REGS	struct arm64_regs
#define ARM64_REGS_FROM offsetof(struct user_pt_regs, regs[29])
_Static_assert(ARM64_REGS_FROM + sizeof(struct arm64_regs) == sizeof(struct user_pt_regs) &&
		       offsetof(struct user_pt_regs, pstate) ==
			       ARM64_REGS_FROM + offsetof(struct arm64_regs, pstate),
	       "the end of struct user_pt_regs");

static __always_inline int arch_in_user(struct bpf_perf_event_data *ctx)
{
	return (ctx->regs.pstate & PSR_MODE_MASK) == PSR_MODE_EL0t;
}

static __always_inline void arch_sampled_regs(struct bpf_perf_event_data *ctx, ARCH_REGS *ret)
{
	ret->x29 = ctx->regs.regs[29];
	ret->x30 = ctx->regs.regs[30];
	ret->sp = ctx->regs.sp;
	ret->pc = ctx->regs.pc;
	ret->pstate = ctx->regs.pstate;
}

/* `regs`: the kernel's struct pt_regs of a task. 0, or nonzero: unreadable. */
static __always_inline long arch_read_regs(void *regs, ARCH_REGS *ret)
{
	return bpf_probe_read_kernel(ret, sizeof(*ret), regs + ARM64_REGS_FROM);
}

/* Where the struct pt_regs of a task lies, from the start of its kernel stack. */
static __always_inline u64 arch_regs_offset(void)
{
	u32 shift = page_shift > STACK_SHIFT_ARM64 ? page_shift : STACK_SHIFT_ARM64;

	return (1ULL << (shift & 31)) - bpf_core_type_size(struct pt_regs___kernel);
}

static __always_inline int arch_is_user(const ARCH_REGS *u)
{
	return (u->pstate & PSR_MODE_MASK) == PSR_MODE_EL0t;
}

static __always_inline int arch_is_compat(const ARCH_REGS *u)
{
	return (u->pstate & PSR_MODE32_BIT) != 0;
}

static __always_inline void arch_walk_start(struct walk_regs *r, const ARCH_REGS *u)
{
	r->pc = u->pc;
	r->sp = u->sp;
	r->regs[SLOT_X29] = u->x29;
	r->regs[SLOT_X30] = u->x30;
	r->pac_mask = pac_mask;
	r->sp_is_bound = 0;
}

/* Addresses above are given only to who asks for them (Documentation/arch/arm64/memory.rst). */
/* What the thread's own pointers count from: pthread_self() lies at a fixed distance. */
static __always_inline u64 arch_thread_pointer(void)
{
	return TASK_READ(current_task(), thread.uw.tp_value);
}

#define ARCH_ADDRESS_BITS 48

/* A word of the stack, should it be a return address. */
static __always_inline u64 arch_code_address(const struct walk_regs *r, u64 word)
{
	return word & ~r->pac_mask;
}

/* A return address that is in no memory yet; 0: they all are. */
static __always_inline u64 arch_link_register(const struct walk_regs *r)
{
	return r->saved[SLOT_X30] == SAVED_NOWHERE ? arch_code_address(r, r->regs[SLOT_X30]) : 0;
}

/* log2 of the unit of vm_pgoff. */
static __always_inline u32 arch_page_shift(void)
{
	return page_shift & 31;
}
