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
#define FRAME_KIND_SHIFT 56
#define FRAME_PAYLOAD	 ((1ULL << FRAME_KIND_SHIFT) - 1)
#define FRAME(kind, payload) \
	(((__u64)(kind) << FRAME_KIND_SHIFT) | ((__u64)(payload)&FRAME_PAYLOAD))
#define FRAME_KIND(f) ((__u32)((f) >> FRAME_KIND_SHIFT))

enum frame_kind {
	FRAME_NONE = 0,
	FRAME_NATIVE = 1,    /* payload: file id (20 bits) and file offset (36 bits) */
	FRAME_ANON = 2,	     /* payload: address in code that has no file (JIT) */
	FRAME_REASON = 3,    /* payload: enum reason: what is missing here, and why */
	FRAME_MANAGED = 4,   /* payload: FRAME_RUNTIME and 52 bits of it; a FRAME_MORE follows */
	FRAME_MORE = 5,	     /* payload: 56 bits more of the FRAME_MANAGED before it */
	FRAME_KERNEL = 0xff, /* the whole word is the kernel address, as bpf_get_stack() gives it */
};

/*
 * FRAME_NATIVE: the offset is that of the instruction to look up: the interrupted instruction of
 * a leaf (or of a frame that a signal interrupted), and return address - 1 of every other frame.
 * It counts bytes in the file, not virtual addresses: pc - vm_start + vm_pgoff * page size.
 */
#define FILE_ID_BITS	 20
#define FILE_OFFSET_BITS 36
#define FILE_OFFSET_MASK ((1ULL << FILE_OFFSET_BITS) - 1)
#define FILE_ID_MAX	 ((1u << FILE_ID_BITS) - 1)
#define FRAME_FILE(f)	 ((__u32)(((f)&FRAME_PAYLOAD) >> FILE_OFFSET_BITS))
#define FRAME_OFFSET(f)	 ((f)&FILE_OFFSET_MASK)
#define FRAME_OF_FILE(id, off) \
	FRAME(FRAME_NATIVE, ((__u64)(id) << FILE_OFFSET_BITS) | ((off)&FILE_OFFSET_MASK))

/* File ids with a fixed meaning. Ids of real files start at FILE_ID_FIRST. */
#define FILE_ID_NONE  0 /* no mapping at this address */
#define FILE_ID_ANON  1 /* executable memory without a file */
#define FILE_ID_VDSO  2 /* the kernel's [vdso]; offsets count from its start */
#define FILE_ID_FIRST 16
/* Of code without a file, see struct process_value; given out by user space. */
#define FILE_ID_CODE (FILE_ID_MAX - (1u << 17) + 1)

/*
 * A frame of an interpreter or a JIT takes two words; what they say is for its runtime
 * (bpf/NAME.h). A reason of a runtime has the runtime above enum reason; its texts are in
 * unwinders/NAME.c.
 */
#define RUNTIME_VALUE_BITS	 52
#define RUNTIME_VALUE_MASK	 ((1ULL << RUNTIME_VALUE_BITS) - 1)
#define FRAME_OF_RUNTIME(rt, v)	 FRAME(FRAME_MANAGED, ((__u64)(rt) << RUNTIME_VALUE_BITS) | (v))
#define FRAME_RUNTIME(f)	 ((__u32)(((f)&FRAME_PAYLOAD) >> RUNTIME_VALUE_BITS))
#define FRAME_RUNTIME_VALUE(f)	 ((f)&RUNTIME_VALUE_MASK)
#define RUNTIME_REASON(rt, code) FRAME(FRAME_REASON, ((__u64)(rt) << 16) | (code))
#define REASON_RUNTIME(f)	 ((__u32)(((f)&FRAME_PAYLOAD) >> 16))
#define REASON_CODE(f)		 ((__u32)((f)&0xffff))

/* Why a stack, or a part of it, is not what it should be. The texts are in agent/reasons.c. */
enum reason {
	REASON_NONE = 0,
	REASON_NO_MAPPING, /* the return address lies in no executable mapping */
	REASON_NO_RULE,	   /* the code has no unwind information and no frame pointer chain */
	REASON_BAD_FRAME_POINTER,  /* the frame pointer chain leads nowhere */
	REASON_STACK_UNREADABLE,   /* the stack memory could not be read */
	REASON_STACK_LOOP,	   /* the walk did not move towards the stack's base */
	REASON_TOO_DEEP,	   /* more frames than the limit: the root part is missing */
	REASON_COMPAT,		   /* a 32-bit process: its user stack is not walked */
	REASON_NO_USER_STACK,	   /* the user registers could not be had */
	REASON_COPY_TOO_SHORT,	   /* late unwinding: the copied part of the stack ended */
	REASON_FILE_BAD,	   /* the file could not be read, and no frame pointer helps */
	REASON_LATE_DROPPED,	   /* late unwinding: the queue was over its budget */
	REASON_LOST_COUNT,	   /* the map of counts was full */
	REASON_STACK_UNKNOWN,	   /* counted, but the stack itself was never delivered */
	REASON_EXEC,		   /* the process is inside execve(): its user stack is gone */
	REASON_UNTRACKED_REGISTER, /* the rule needs a register whose value is not known here */
	REASON_MAX,
};

/* ---- Unwind rules ---------------------------------------------------------------------------
 * One u64: how to find the caller's registers from this instruction's. Registers are numbered as
 * DWARF numbers them for x86-64 (System V psABI, figure 3.36): 3 rbx, 6 rbp, 7 rsp, 12..15. The
 * rules of aarch64 are described below those of x86-64.
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
	RULE_CFA = 1,	  /* CFA = reg + off * 8; return address at CFA - 8 */
	RULE_CFA_FAR = 2, /* like RULE_CFA; bits 28..45 and 46..63 hold 18-bit slots of rbp, rbx
			     only; r12..r15 are taken as lost */
	RULE_DEREF = 3,	  /* CFA = *(reg + off * 8) + deref_add: see RULE_DEREF_ADD */
	RULE_PLT = 4,	  /* CFA = rsp + 8 + ((rip & 15) >= PLT_PUSHED ? 8 : 0): lazy binding stubs,
			     PLT_PUSHED in bits 8..27 */
	RULE_SIGNAL = 5,  /* rt_sigreturn frame: all registers in the ucontext at rsp (+ off * 8) */
	RULE_FP = 6,	  /* frame pointer chain: CFA = rbp + 16, rbp at CFA - 16, checked */
	RULE_END = 7,	  /* the outermost frame of the thread: the stack is complete */
	RULE_RA_REG =
		8,     /* like RULE_CFA, but the return address is in register bits 60..63 (DWARF
			  number), only in a leaf; CFA is the caller's rsp; no slots but rbp (28..33) */
	RULE_LOOP = 9, /* like RULE_CFA, in the loop of an interpreter, whose frames stand for it */
};

#define RULE_KIND(r)	((__u32)((r)&15))
#define RULE_REG(r)	((__u32)(((r) >> 4) & 15))
#define RULE_OFF(r)	(((__s64)((r) << 36)) >> 44)		/* signed, in units of 8 bytes */
#define RULE_SLOT(r, i) ((__u32)(((r) >> (28 + 6 * (i))) & 63)) /* i: enum rule_slot */
#define RULE_SLOT_LOST	63
#define RULE_FAR_RBP(r) ((__u32)(((r) >> 28) & 0x3ffff))
#define RULE_FAR_RBX(r) ((__u32)(((r) >> 46) & 0x3ffff))
#define RULE_FAR_LOST	0x3ffff
/* RULE_DEREF: bits 28..33 are the rbp slot as ever, but 62 means that rbp is saved at the address
 * in the base register (where GCC's stack realignment leaves it); rbx and r12..r15 are taken as
 * lost. Bits 34..63 are a signed byte count to add after the load (GCC uses 0). */
#define RULE_DEREF_AT_BASE 62
#define RULE_DEREF_ADD(r)  (((__s64)(r)) >> 34)
#define RULE_RA_REGNO(r)   ((__u32)((r) >> 60))
#define RULE_OFF_MAX	   ((1 << 19) - 1)

#define RULE_BASE(kind, reg, off8) \
	((__u64)(kind) | ((__u64)(reg) << 4) | (((__u64)(off8)&0xfffff) << 8))
/* The frame pointer chain of code that says nothing about itself: taken only when plausible. */
#define RULE_FP_GUESS		      RULE_BASE(RULE_FP, 0, 1)
#define RULE_WITH_SLOT(rule, i, slot) ((rule) | ((__u64)(slot) << (28 + 6 * (i))))

enum rule_slot { SLOT_RBP, SLOT_RBX, SLOT_R12, SLOT_R13, SLOT_R14, SLOT_R15, SLOT_MAX };
#define SLOT_NONE 7 /* of a register that calls do not preserve */
#define SLOT_ROOM 8
/* DWARF number -> slot, a nibble each. */
#define SLOT_OF(reg) ((__u32)(0x5432777770771777ULL >> ((reg)*4)) & 7)

enum dwarf_x86_reg {
	DWARF_RAX = 0,
	DWARF_RDX = 1,
	DWARF_RCX = 2,
	DWARF_RBX = 3,
	DWARF_RSI = 4,
	DWARF_RDI = 5,
	DWARF_RBP = 6,
	DWARF_RSP = 7,
	DWARF_R8 = 8,
	DWARF_R9 = 9,
	DWARF_R10 = 10,
	DWARF_R11 = 11,
	DWARF_R12 = 12,
	DWARF_R13 = 13,
	DWARF_R14 = 14,
	DWARF_R15 = 15,
	DWARF_X86_REGS = 16,
	DWARF_X86_RA = 16,
};

/*
 * Rules of aarch64. Only x29 (frame pointer), x30 (LR) and sp are followed: compilers base the CFA
 * on nothing else, except while a prologue probes a large frame.
 *
 *   RULE_CFA      CFA = sp (register field RULE_ARM_SP) or x29 (RULE_ARM_X29) + off * 8; slot
 *                 fields 0 and 1: where the caller's x29 and x30 are saved. x30 not saved: the
 *                 return address is in x30 itself (a leaf, or before the prologue has stored it).
 *                 RULE_ARM_SIGNED: x30 carries a pointer authentication code at this place. It is
 *                 for those who read rules; a walk strips every return address.
 *   RULE_CFA_FAR  the same with 18-bit slots of x29 and x30: a frame may keep them below its
 *                 locals, over 496 bytes from the CFA
 *   RULE_SIGNAL   sp + off * 8 is the struct rt_sigframe
 *   RULE_FP       x29 points to a frame record: the caller's x29, then the return address. It does
 *                 not tell the CFA: see struct walk_regs, sp_is_bound
 *   RULE_END      as ever; the other kinds are RULE_INVALID
 */
#define RULE_ARM_SP	0
#define RULE_ARM_X29	1
#define RULE_ARM_SIGNED (1ULL << 63)
#define SLOT_X29	SLOT_RBP
#define SLOT_X30	SLOT_RBX
/* DWARF for the Arm 64-bit Architecture (AADWARF64), table "DWARF register names". */
enum dwarf_arm_reg {
	DWARF_ARM_X29 = 29,
	DWARF_ARM_X30 = 30,
	DWARF_ARM_SP = 31,
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
#define ROWS_PAGE_SIZE	(1u << ROWS_PAGE_SHIFT)
#define ROWS_MAX	16384 /* rows of one page; the builder merges the rest into RULE_INVALID */

struct rows_page {
	__u16 n_rows;
	__u16 n_rules;
	__u32 bytes; /* the whole page with this header, a multiple of 8 */
};
_Static_assert(sizeof(struct rows_page) == 8, "rows_page");

#define ROWS_STARTS(base)	   ((base) + 8)
#define ROWS_INDICES(base, n_rows) ((base) + 8 + 2 * (n_rows))
#define ROWS_RULES(base, n_rows)   (((base) + 8 + 4 * (n_rows) + 7) & ~7u)

/* ---- Ranges: address -> file, per sample ------------------------------------------------- */
enum range_state {
	RANGE_PENDING = 0, /* user space has not described the file yet: late unwinding */
	RANGE_ROWS = 1,	   /* its pages of rows can be had on demand */
	RANGE_FP = 2,	   /* no unwind information: frame pointer chain */
	RANGE_BAD = 3,	   /* the file could not be read: frame pointers, never taken as the end */
};

struct range {
	__u64 start, size; /* of the mapping, in the process */
	__u64 first_frame; /* frame word of `start`: FRAME_OF_FILE(id, pgoff) or FRAME(ANON, start)
			    */
	__u16 state;	   /* enum range_state */
	__u16 runtime;	   /* enum runtime_id of the file, when its frames are wanted */
	__u32 file;
};
_Static_assert(sizeof(struct range) == 32, "range");

/* ---- State of one walk -------------------------------------------------------------------- */
#define STACK_MAX_USER	 3072 /* user frames: 512 of CPython 3.6 to 3.10 are four each */
#define STACK_MAX_KERNEL 128
#define FRAMES_ROOM	 4096 /* frame words of one sample, a power of two */
/* Words of the user's frames, of which those of runtimes take two. Behind them there is room for
 * what one more step adds. */
#define STACK_MAX_WORDS (FRAMES_ROOM - STACK_MAX_KERNEL - 16)
#define WALK_RANGES	32

/* The callee-saved registers are tracked lazily: `saved` says where the caller's value lies in
 * the stack, and it is read only when a rule needs it. */
#define SAVED_NOWHERE 0 /* the value is in regs[] */
#define SAVED_LOST    1 /* it can not be had */

struct walk_regs {
	__u64 pc, sp;
	__u64 regs[SLOT_ROOM];	/* by enum rule_slot */
	__u64 saved[SLOT_ROOM]; /* SLOT_NONE: always SAVED_LOST */
	union {
		__u64 leaf[DWARF_X86_REGS]; /* x86-64: all registers, valid while is_leaf */
		__u64 pac_mask;		    /* aarch64: what is not address in a code pointer */
	};
	__u32 is_leaf;	   /* pc is an interrupted instruction, not a return address */
	__u32 sp_is_bound; /* aarch64: only that sp is not below this is known */
};

/* ---- Records of the ring buffer ------------------------------------------------------------ */
enum event_kind {
	EVENT_STACK = 1,   /* a stack that was never delivered before */
	EVENT_LATE = 2,	   /* a sample whose walk must be finished in user space */
	EVENT_FILE = 3,	   /* a file that was never seen before */
	EVENT_TASK = 4,	   /* a process that was never seen before (or that called exec) */
	EVENT_RUNTIME = 5, /* what a runtime tells its half in user space */
	EVENT_PAGE = 6,	   /* rows are missing, and the sample does not fit a late record */
};

#define TASK_COMM_BYTES 16

struct event_header {
	__u32 kind;
	__u32 bytes; /* of the whole record */
};

/*
 * Who a sample belongs to. `mm` tells a process from itself after exec, and from a later process
 * with the same id. Process and thread ids are those of the agent's pid namespace; what is not
 * visible there has TASK_HIDDEN set in its id of the host. Threads of a process are one unless
 * they are asked for (enum task_split): each would make stacks of its own.
 */
struct task_id {
	__u32 tgid;
	__u32 mm;   /* bits of the address of the mm_struct; 0: a kernel thread */
	__u32 tid;  /* SPLIT_TID: the thread; else 0 */
	__u32 name; /* SPLIT_NAME: hash of the thread's name, not 0; else 0 */
};
_Static_assert(sizeof(struct task_id) == 16, "task_id");

enum task_split {
	SPLIT_TID = 1 << 0,
	SPLIT_NAME = 1 << 1,
};

#define TASK_HIDDEN (1U << 31) /* ids are below 2^22: PID_MAX_LIMIT, include/linux/threads.h */

/* Of cgroup names, from the leaf to the root, each followed by NUL. */
#define CGROUP_PATH_BYTES 1024

enum task_flags {
	TASK_KERNEL = 1 << 0, /* a kernel thread; a process that exits has no mm, too */
};

struct event_task {
	struct event_header h;
	struct task_id id;
	__u64 start_ns; /* boot time when the process started */
	__u64 cgroup;	/* cgroup id: inode number in the hierarchy */
	__u32 parent;	/* tgid of the parent */
	__u32 path_bytes;
	__u32 flags; /* enum task_flags */
	__u32 pad;
	char comm[TASK_COMM_BYTES]; /* of the thread with SPLIT_NAME, else of the process */
	char path[CGROUP_PATH_BYTES];
};

struct file_key {
	__u64 ino;
	__u64 mtime_ns; /* seconds * 1e9 + ns where the kernel's layout is known */
	__u32 dev;	/* as the kernel counts: major << 20 | minor */
	__u32 generation;
};

struct file_value {
	__u32 id;
	__u16 state;   /* enum range_state */
	__u16 runtime; /* see struct range */
};

#define FILE_PATH_BYTES 2048

struct event_file {
	struct event_header h;
	struct file_key key;
	__u64 vm_start, vm_end; /* names /proc/TGID/map_files/START-END */
	__u64 size;
	__u32 id, tgid;
	__u32 path_bytes; /* components from leaf to root, each followed by NUL */
	__u32 pad;
	char path[FILE_PATH_BYTES];
};

enum stack_flags {
	STACK_COMPLETE = 1 << 0, /* the walk reached the outermost frame */
};

struct event_stack {
	struct event_header h;
	__u64 hash;
	struct task_id id; /* who was seen with it first */
	__u32 n_kernel, n_user;
	__u32 flags; /* enum stack_flags */
	__u32 pad;
	/* Behind it: n_kernel + n_user frame words. */
};
_Static_assert(sizeof(struct event_stack) == 48, "event_stack");

/* The stack's copy: small where the stack is known to end soon, large else. */
#define LATE_SMALL_BYTES (16u << 10)
#define LATE_STACK_BYTES (128u << 10)
/* A sample with more frames before its first unknown page is cut there. */
#define LATE_FRAMES_MAX 1024

/*
 * The frames so far, the registers where the walk stopped and everything needed to go on: the
 * mappings of every address that stands in the copied stack. The copy begins at regs.sp.
 */
struct event_late {
	struct event_header h;
	struct task_id id;
	__u32 n_kernel, n_user, n_ranges, stack_bytes;
	/* Words of `frames` behind those: the frames of interpreters that the walk has still to
	 * come to; behind those of each activation of a loop a FRAME_NONE, with an address in the
	 * loop's native frame or 0. Memory would not have them any more. */
	__u32 n_loops;
	__u32 gap; /* something is missing among the frames so far */
	struct walk_regs regs;
	struct range ranges[WALK_RANGES];
	__u64 frames[LATE_FRAMES_MAX]; /* n_kernel + n_user + n_loops of them */
				       /* Behind it: stack_bytes of stack from regs.sp on. */
};

struct event_page {
	struct event_header h;
	__u64 frame; /* frame word whose rule is wanted */
};

/* A record of a runtime: bytes behind it that only the runtime knows. */
struct event_runtime {
	struct event_header h;
	__u32 runtime, pad;
	__u64 key;
};

struct event_late_small {
	struct event_late late;
	__u8 stack[LATE_SMALL_BYTES];
};

struct event_late_large {
	struct event_late late;
	__u8 stack[LATE_STACK_BYTES];
};

/* ---- Keys of the maps ---------------------------------------------------------------------- */
/*
 * Samples of one stack in one process. Each CPU fills a table of its own (open addressing, linear
 * probing), so that counting needs no atomic operation and touches one cache line.
 */
struct count_entry {
	__u64 stack; /* hash of the frame words */
	struct task_id id;
	__u64 count; /* 0: free */
};
_Static_assert(sizeof(struct count_entry) == 32, "count_entry");
#define COUNT_PROBES 16

/* A process as far as its code without a file is concerned. */
struct process_key {
	__u32 tgid, mm; /* of its struct task_id */
};

struct page_key {
	__u32 file, page; /* page: file offset >> ROWS_PAGE_SHIFT */
};
struct page_value {
	__u32 offset; /* of the struct rows_page in the pool, bytes */
	__u16 n_rows;
	__u16 used; /* set by the kernel when it searches the page, cleared by user space */
};

/* The pool is an array of chunks; a page lies inside one. */
#define ROWS_CHUNK_BYTES (1u << 20)
struct rows_chunk {
	__u8 bytes[ROWS_CHUNK_BYTES];
};

/* Counters of one CPU; user space adds them up. Names in agent/stats.c. */
enum stat_id {
	STAT_SAMPLES,	    /* samples that passed the filter */
	STAT_IGNORED,	    /* samples of processes that are not profiled */
	STAT_COMPLETE,	    /* user stacks that reached the outermost frame in the kernel */
	STAT_LATE,	    /* sent to user space to be finished there */
	STAT_FRAMES,	    /* user frames walked */
	STAT_RULE_HASHED,   /* rules found through the cache's index */
	STAT_RULE_SEARCHED, /* rules searched in a page */
	STAT_VMA_WALKS,	    /* address -> mapping lookups in the kernel's tree */
	STAT_NEW_FILES,
	STAT_NEW_STACKS,
	STAT_LOST_RING,	  /* records that did not fit the ring buffer */
	STAT_LOST_COUNT,  /* samples that could not be counted */
	STAT_KERNEL_ONLY, /* samples of kernel threads */
	STAT_COMPAT,	  /* samples of 32-bit code */
	STAT_MAX,
};

/* Cgroup ids are inode numbers, counted per hierarchy: those of version 1 carry this bit. */
#define CGROUP_ID_V1 (1ULL << 63)

enum filter_mode {
	FILTER_NONE = 0,	/* everything */
	FILTER_TGID = 1 << 0,	/* processes in `target_tgids` */
	FILTER_CGROUP = 1 << 1, /* processes in a cgroup of `target_cgroups`, or below one */
};

/* The values of `target_tgids` are when the process started, as /proc/PID/stat counts (USER_HZ is
 * 100 on every machine we know); 0: whenever. So a reused id is not taken for its predecessor. */
#define START_TICK_NS 10000000

/* How stacks are hashed, in the kernel and for stacks finished in user space. */
#define STACK_HASH_SEED 0x9e3779b97f4a7c15ULL
static inline __attribute__((always_inline)) __u64 stack_hash(__u64 h, __u64 frame)
{
	h = (h ^ frame) * 0xff51afd7ed558ccdULL;
	return h ^ (h >> 32);
}
