/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Out of the code that CPython 3.14's JIT compiler has made. It has neither frame pointers nor call
 * frame information, and one activation of the loop calls it: a shim saves five registers and calls
 * the first of the pieces that an instruction is made of, which then jump to one another (shim.c in
 * Tools/jit; preserve_none of LLVM 19 leaves rbp alone to who is called). So between rsp and the
 * return address into the shim lies what one piece has pushed. All that is compiled at once begins
 * on a page of its own, with the shim (Python/jit.c, _PyJIT_Compile()), whose bytes are always the
 * same. From 3.15 on no piece touches rbp, which is the frame pointer of the shim.
 *
 * Could that be the return address of a call that is over? The pieces write what they reserve, and
 * what was called through a shim before lies below a frame of the loop, which has more than is
 * looked at here. Else the frames of Python do not fit the loop that is found: python_fits().
 */
#pragma once

#include "bpf/arch.h"
#include "bpf/python.h"
#include "bpf/walk_base.h"

#define PYTHON_JIT_VERSION 0x030e
#define PYTHON_SHIM_RETURN 0x17 /* from the start to behind the call */
#define PYTHON_SHIM_SAVED  5	/* rbx, r12, r13, r14, r15 */
#define PYTHON_SHIM_WORDS  64	/* that a piece may have pushed */
#define PYTHON_JIT_WORDS   (PYTHON_SHIM_WORDS + PYTHON_SHIM_SAVED + 2)
/* At most so far above the shim the loop's frame pointer is. */
#define PYTHON_LOOP_BYTES 65536

#ifdef PYTHON_JIT
/* Is a word of the stack the return address into a shim, `above` that of the shim? */
#ifndef PYTHON_IS_SHIM
#define PYTHON_IS_SHIM(e, ra, above) python_shim_code(e, ra)
#endif

/* push r15, r14, r13, r12, rbx; mov rdi, r12; mov rsi, r13; mov rdx, r14; call; and pop rbx, r12,
 * r13, r14, r15; ret. */
static __always_inline int python_shim_code(WALK_ENV *e, __u64 ra)
{
	__u64 start = ra - PYTHON_SHIM_RETURN, code[2], pops;

	return !walk_read(e, start, code, sizeof(code)) && code[0] == 0x5441554156415741ULL &&
	       code[1] == 0x49f58949fc894953ULL && !walk_read(e, ra, &pops, sizeof(pops)) &&
	       pops == 0x415e415d415c415bULL;
}

/* The registers of the loop at its call of the shim, whose return address lies at `at`; `below` is
 * the word below that. Nonzero: nothing has called it. */
static __always_inline int python_shim_leave(struct walk_regs *r, __u64 at, __u64 ra, __u64 rbp,
					     __u64 below)
{
#ifdef ARCH_X86
	for (int k = 0; k < PYTHON_SHIM_SAVED; k++)
		r->saved[SLOT_RBX + k] = at + 8 + 8 * k;
	at += 8 * (PYTHON_SHIM_SAVED + 2);
	/* A piece that uses rbp pushes it first. */
	if (rbp - at >= PYTHON_LOOP_BYTES)
		rbp = below;
	r->regs[SLOT_RBP] = rbp;
	r->saved[SLOT_RBP] = rbp - at < PYTHON_LOOP_BYTES ? SAVED_NOWHERE : SAVED_LOST;
	return walk_return(r, ra, at) != WALK_NEXT;
#else
	(void)r, (void)at, (void)ra, (void)rbp, (void)below;
	return 1; /* the other machine's is not known */
#endif
}

/*
 * `stack`: PYTHON_JIT_WORDS from r->sp on. 0: r holds the registers of the loop, at its call of the
 * shim. Nonzero: no shim has called this code.
 */
static __always_inline int python_jit_leave(WALK_ENV *e, struct walk_regs *r, const __u64 *stack)
{
	__u64 below = 0, rbp;

	if (walk_get_slot(e, r, SLOT_RBP, &rbp))
		rbp = 0;
	for (__u32 i = 0; i < PYTHON_SHIM_WORDS; i++) {
		__u64 ra = stack[i], above = stack[i + PYTHON_SHIM_SAVED + 1];

		if ((ra & 4095) == PYTHON_SHIM_RETURN && PYTHON_IS_SHIM(e, ra, above))
			return python_shim_leave(r, r->sp + 8 * i, above, rbp, below);
		below = ra;
	}
	return 1;
}
#endif
