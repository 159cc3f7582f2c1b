/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a sample on x86-64 gets at the user's registers: what the sampled context and the kernel's
 * saved registers look like, and the registers that a walk begins with.
 */
#pragma once

#include "bpf/kernel.h"

#define USER32_CS      0x23	   /* __USER32_CS, arch/x86/include/asm/segment.h */
#define STACK_SIZE_X86 (16u << 10) /* THREAD_SIZE, arch/x86/include/asm/page_64_types.h */

/* A copy of the user's registers. */
#define ARCH_REGS struct pt_regs

static __always_inline int arch_in_user(struct bpf_perf_event_data *ctx)
{
	return (ctx->regs.cs & 3) == 3;
}

static __always_inline void arch_sampled_regs(struct bpf_perf_event_data *ctx, ARCH_REGS *ret)
{
	*ret = ctx->regs;
}

/* `regs`: the kernel's struct pt_regs of a task. 0, or nonzero: unreadable. */
static __always_inline long arch_read_regs(void *regs, ARCH_REGS *ret)
{
	return bpf_probe_read_kernel(ret, sizeof(*ret), regs);
}

/* Where the struct pt_regs of a task lies, from the start of its kernel stack. */
static __always_inline u64 arch_regs_offset(void)
{
	return STACK_SIZE_X86 - sizeof(ARCH_REGS);
}

static __always_inline int arch_is_user(const ARCH_REGS *u)
{
	return (u->cs & 3) == 3;
}

static __always_inline int arch_is_compat(const ARCH_REGS *u)
{
	return u->cs == USER32_CS;
}

static __always_inline void arch_walk_start(struct walk_regs *r, const ARCH_REGS *u)
{
	r->pc = u->rip;
	r->sp = u->rsp;
	r->regs[SLOT_RBP] = r->leaf[DWARF_RBP] = u->rbp;
	r->regs[SLOT_RBX] = r->leaf[DWARF_RBX] = u->rbx;
	r->regs[SLOT_R12] = r->leaf[DWARF_R12] = u->r12;
	r->regs[SLOT_R13] = r->leaf[DWARF_R13] = u->r13;
	r->regs[SLOT_R14] = r->leaf[DWARF_R14] = u->r14;
	r->regs[SLOT_R15] = r->leaf[DWARF_R15] = u->r15;
	r->leaf[DWARF_RSP] = u->rsp;
	r->leaf[DWARF_RAX] = u->rax;
	r->leaf[DWARF_RCX] = u->rcx;
	r->leaf[DWARF_RDX] = u->rdx;
	r->leaf[DWARF_RSI] = u->rsi;
	r->leaf[DWARF_RDI] = u->rdi;
	r->leaf[DWARF_R8] = u->r8;
	r->leaf[DWARF_R9] = u->r9;
	r->leaf[DWARF_R10] = u->r10;
	r->leaf[DWARF_R11] = u->r11;
}

/* What the thread's own pointers count from: pthread_self() of glibc and musl. */
static __always_inline u64 arch_thread_pointer(void)
{
	return TASK_READ(current_task(), thread.fsbase);
}

#define ARCH_ADDRESS_BITS 47 /* of user space */

/* A word of the stack, should it be a return address. */
static __always_inline u64 arch_code_address(const struct walk_regs *r, u64 word)
{
	return word;
}

/* A return address that is in no memory yet; 0: they all are. */
static __always_inline u64 arch_link_register(const struct walk_regs *r)
{
	return 0;
}

/* log2 of the unit of vm_pgoff. */
static __always_inline u32 arch_page_shift(void)
{
	return 12;
}
