/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and user space share: the frame word, the unwind rule, the page of rows,
 * the records of the ring buffer and the keys of the maps. Fixed-width fields, explicit padding,
 * no pointers; each size is asserted.
 */
#pragma once

#ifdef __bpf__
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef signed short __s16;
typedef signed int __s32;
typedef signed long long __s64;
#else
#include <linux/types.h>
#endif

/* ---- The frame word -------------------------------------------------------------------------
 * One u64 a frame: kind in the top 8 bits, payload below. A stack is an array of frame words,
 * leaf first, kernel frames before user frames.
 */
#define FRAME_KIND_SHIFT  56
#define FRAME_PAYLOAD     ((1ULL << FRAME_KIND_SHIFT) - 1)
#define FRAME(kind, payload) (((__u64)(kind) << FRAME_KIND_SHIFT) | ((__u64)(payload) & FRAME_PAYLOAD))
#define FRAME_KIND(f)     ((__u32)((f) >> FRAME_KIND_SHIFT))

enum frame_kind {
	FRAME_NONE = 0,
	FRAME_NATIVE = 1, /* payload: file id (20 bits) and file offset (36 bits) */
	FRAME_ANON = 2,   /* payload: address in code that has no file (JIT) */
	FRAME_KERNEL = 3, /* payload: low 56 bits of a kernel address; sign-extend */
	FRAME_REASON = 4, /* payload: enum reason: what is missing here, and why */
};

/*
 * FRAME_NATIVE: the offset is that of the instruction to look up: the interrupted instruction of
 * a leaf (or of a frame that a signal interrupted), and return address - 1 of every other frame.
 * It counts bytes in the file, not virtual addresses: offset = pc - vm_start + vm_pgoff * 4096.
 */
#define FILE_ID_BITS      20
#define FILE_OFFSET_BITS  36
#define FILE_OFFSET_MASK  ((1ULL << FILE_OFFSET_BITS) - 1)
#define FILE_ID_MAX       ((1u << FILE_ID_BITS) - 1)
#define FRAME_FILE(f)     ((__u32)(((f) & FRAME_PAYLOAD) >> FILE_OFFSET_BITS))
#define FRAME_OFFSET(f)   ((f) & FILE_OFFSET_MASK)
#define FRAME_OF_FILE(id, off) \
	FRAME(FRAME_NATIVE, ((__u64)(id) << FILE_OFFSET_BITS) | ((off) & FILE_OFFSET_MASK))

/* File ids with a fixed meaning. Ids of real files start at FILE_ID_FIRST. */
#define FILE_ID_NONE  0 /* no mapping at this address */
#define FILE_ID_ANON  1 /* executable memory without a file */
#define FILE_ID_VDSO  2 /* the kernel's [vdso]; offsets count from its start */
#define FILE_ID_FIRST 16

/* Why a stack, or a part of it, is not what it should be. The texts are in agent/reasons.c. */
enum reason {
	REASON_NONE = 0,
	REASON_NO_MAPPING,	/* the return address lies in no executable mapping */
	REASON_NO_RULE,		/* the code has no unwind information and no frame pointer chain */
	REASON_BAD_FRAME_POINTER, /* the frame pointer chain leads nowhere */
	REASON_STACK_UNREADABLE, /* the stack memory could not be read */
	REASON_STACK_LOOP,	/* the walk did not move towards the stack's base */
	REASON_TOO_DEEP,	/* more frames than the limit: the root part is missing */
	REASON_COMPAT,		/* a 32-bit process: its user stack is not walked */
	REASON_NO_USER_STACK,	/* the user registers could not be had */
	REASON_COPY_TOO_SHORT,	/* late unwinding: the copied part of the stack ended */
	REASON_FILE_GONE,	/* late unwinding: the file could not be opened any more */
	REASON_FILE_BAD,	/* late unwinding: the file's unwind information is unusable */
	REASON_LATE_DROPPED,	/* late unwinding: the queue was over its budget */
	REASON_LOST_RING,	/* the ring buffer was full */
	REASON_LOST_COUNT,	/* the map of counts was full */
	REASON_STACK_UNKNOWN,	/* counted, but the stack itself was never delivered */
	REASON_UNTRACKED_REGISTER, /* the rule needs a register whose value is not known here */
	REASON_MAX,
};

/* ---- Unwind rules ---------------------------------------------------------------------------
 * One u64: how to find the caller's registers from this instruction's. Registers are numbered as
 * DWARF numbers them for x86-64 (System V psABI, figure 3.36): 3 rbx, 6 rbp, 7 rsp, 12..15.
 *
 *   bits  0..3   enum rule_kind
 *   bits  4..7   CFA base register (DWARF number)
 *   bits  8..27  RULE_CFA: CFA offset / 8, signed (20 bits: +-4 MiB)
 *   bits 28..63  six fields of 6 bits: where the caller's rbp, rbx, r12, r13, r14, r15 are saved,
 *                in units of -8 from the CFA; 0: not saved, the register is unchanged;
 *                RULE_SLOT_LOST: its value can not be recovered
 */
enum rule_kind {
	RULE_INVALID = 0, /* no information about this instruction */
	RULE_CFA = 1,     /* CFA = reg + off * 8; return address at CFA - 8 */
	RULE_CFA_FAR = 2, /* like RULE_CFA; bits 28..45 and 46..63 hold 18-bit slots of rbp, rbx only;
			     r12..r15 are taken as lost */
	RULE_DEREF = 3,   /* CFA = *(reg + off * 8) + deref_add: see RULE_DEREF_ADD */
	RULE_PLT = 4,     /* CFA = rsp + 8 + ((rip & 15) >= PLT_PUSHED ? 8 : 0): lazy binding stubs,
			     PLT_PUSHED in bits 8..27 */
	RULE_SIGNAL = 5,  /* rt_sigreturn frame: all registers in the ucontext at rsp (+ off * 8) */
	RULE_FP = 6,      /* frame pointer chain: CFA = rbp + 16, rbp at CFA - 16, checked */
	RULE_END = 7,     /* the outermost frame of the thread: the stack is complete */
	RULE_RA_REG = 8,  /* like RULE_CFA, but the return address is in register bits 60..63 (DWARF
			     number), only in a leaf; CFA is the caller's rsp; no slots but rbp (28..33) */
};

#define RULE_KIND(r)    ((__u32)((r) & 15))
#define RULE_REG(r)     ((__u32)(((r) >> 4) & 15))
#define RULE_OFF(r)     (((__s64)((r) << 36)) >> 44) /* signed, in units of 8 bytes */
#define RULE_SLOT(r, i) ((__u32)(((r) >> (28 + 6 * (i))) & 63)) /* i: enum rule_slot */
#define RULE_SLOT_LOST  63
#define RULE_FAR_RBP(r) ((__u32)(((r) >> 28) & 0x3ffff))
#define RULE_FAR_RBX(r) ((__u32)(((r) >> 46) & 0x3ffff))
#define RULE_FAR_LOST   0x3ffff
/* RULE_DEREF: bits 28..33 are the rbp slot as ever; bits 34..63 are a signed byte count to add
 * after the load (GCC's stack realignment uses 0). */
#define RULE_DEREF_ADD(r) (((__s64)(r)) >> 34)
#define RULE_RA_REGNO(r)  ((__u32)((r) >> 60))
#define RULE_OFF_MAX      ((1 << 19) - 1)

#define RULE_BASE(kind, reg, off8) \
	((__u64)(kind) | ((__u64)(reg) << 4) | (((__u64)(off8) & 0xfffff) << 8))
#define RULE_WITH_SLOT(rule, i, slot) ((rule) | ((__u64)(slot) << (28 + 6 * (i))))

enum rule_slot { SLOT_RBP, SLOT_RBX, SLOT_R12, SLOT_R13, SLOT_R14, SLOT_R15, SLOT_MAX };

enum dwarf_x86_reg {
	DWARF_RAX = 0, DWARF_RDX = 1, DWARF_RCX = 2, DWARF_RBX = 3, DWARF_RSI = 4, DWARF_RDI = 5,
	DWARF_RBP = 6, DWARF_RSP = 7, DWARF_R8 = 8, DWARF_R9 = 9, DWARF_R10 = 10, DWARF_R11 = 11,
	DWARF_R12 = 12, DWARF_R13 = 13, DWARF_R14 = 14, DWARF_R15 = 15, DWARF_X86_REGS = 16,
	DWARF_X86_RA = 16,
};

/* ---- A page of rows -------------------------------------------------------------------------
 * All rows of 64 KiB of file, self-contained: it is stored like this in the flat table, copied as
 * it is into the kernel's pool and read there. Little-endian, 8-byte aligned:
 *
 *   struct rows_page
 *   u16 start[n_rows]   offsets in the page, ascending, distinct, start[0] == 0
 *   u16 rule[n_rows]    index into rules[]
 *   (padding to 8)
 *   u64 rules[n_rules]
 *
 * A row holds from its start to the next row's. Bytes that no unwind information covers have a
 * row with RULE_INVALID (or RULE_FP in a file that has no unwind information at all), so that a
 * lookup needs one page only.
 */
#define ROWS_PAGE_SHIFT 16
#define ROWS_PAGE_SIZE  (1u << ROWS_PAGE_SHIFT)
#define ROWS_MAX        16384 /* rows of one page; the builder merges the rest into RULE_INVALID */

struct rows_page {
	__u16 n_rows;
	__u16 n_rules;
	__u32 bytes; /* the whole page with this header, a multiple of 8 */
};
_Static_assert(sizeof(struct rows_page) == 8, "rows_page");

#define ROWS_STARTS(base)          ((base) + 8)
#define ROWS_INDICES(base, n_rows) ((base) + 8 + 2 * (n_rows))
#define ROWS_RULES(base, n_rows)   (((base) + 8 + 4 * (n_rows) + 7) & ~7u)
