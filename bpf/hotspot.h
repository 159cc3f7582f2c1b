/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HotSpot, shared by both sides: what is known of a libjvm (struct hotspot_file, from the file
 * alone), what is known of a process (struct hotspot_proc, from its memory), and how a frame's two
 * words are laid out.
 *
 * HotSpot describes itself in the tables gHotSpotVMStructs and gHotSpotVMTypes. Their entries name
 * a type and a field by strings, which the file has, and carry the field's offset, which most
 * builds compute in a static constructor: in the file it is 0 (Debian's 8, 17, 21, 25 and Temurin's
 * 25; those of 11, 26, 27, 28 have the offsets). So the file says at which index of the table a
 * field stands, and the offset is read from the table of a process.
 */
#pragma once

#include "bpf/types.h"

#define HOTSPOT_NONE 0xffff /* a field that this version does not have */

/* Fields whose offset we want: see unwinders/hotspot.c for their names. */
enum hotspot_field {
	HF_BLOB_NAME,
	HF_BLOB_SIZE,
	HF_BLOB_FRAME_SIZE,
	HF_BLOB_FRAME_COMPLETE,
	HF_BLOB_CODE_BEGIN,  /* 9 to 22: a pointer */
	HF_BLOB_CODE_OFFSET, /* 8, 23 and later: 32 bits, from the blob */
	HF_BLOB_CODE_END,
	HF_BLOB_DATA_OFFSET,
	HF_BLOB_RELOCATION_SIZE,
	HF_BLOB_MUTABLE_DATA,
	HF_NM_COMPILE_ID,
	HF_NM_ORIG_PC,
	HF_NM_METHOD,
	HF_NM_DEOPT_BEGIN, /* 9 to 22: a pointer */
	HF_NM_DEOPT_MH_BEGIN,
	HF_NM_DEOPT_OFFSET, /* 8, 23 and later: 32 bits, from the blob */
	HF_NM_DEOPT_MH_OFFSET,
	HF_NM_SCOPES_DATA_BEGIN, /* 9 to 22: a pointer */
	HF_NM_SCOPES_DATA_OFFSET,
	HF_NM_SCOPES_PCS_OFFSET,
	HF_NM_DEPENDENCIES_OFFSET,
	HF_NM_METADATA_OFFSET,
	HF_NM_IMMUTABLE_DATA, /* 23 and later */
	HF_NM_IMMUTABLE_SIZE,
	HF_NM_REF_COUNT_OFFSET,
	HF_PC_DESC_PC,
	HF_PC_DESC_SCOPE,
	HF_METHOD_CONST,
	HF_CONST_CONSTANTS,
	HF_CONST_CODE_SIZE,
	HF_CONST_FLAGS,
	HF_CONST_NAME,
	HF_CONST_SIGNATURE,
	HF_POOL_HOLDER,
	HF_POOL_SOURCE_FILE,  /* 15 and later */
	HF_KLASS_SOURCE_FILE, /* of InstanceKlass, before */
	HF_KLASS_NAME,
	HF_KLASS_LOADER, /* its ClassLoaderData */
	HF_LOADER_OBJECT,
	HF_LOADER_NEXT,
	HF_LOADER_ONE_CLASS, /* 11 and later: a byte, it is that of a hidden class */
	HF_SYMBOL_LENGTH,
	HF_SYMBOL_LENGTH_AND_REFCOUNT, /* 12 to 15 */
	HF_SYMBOL_BODY,
	HF_GROWABLE_LEN,
	HF_GROWABLE_DATA,
	HF_HEAP_MEMORY,
	HF_HEAP_SEGMAP,
	HF_HEAP_SHIFT,
	HF_SPACE_LOW_BOUNDARY,
	HF_SPACE_HIGH_BOUNDARY,
	HF_SPACE_LOW,
	HF_BLOCK_HEADER,
	HF_BLOCK_USED,
	HF_Z_LOAD_BAD, /* 21 and later: pointers to variables */
	HF_Z_LOAD_SHIFT,
	HF_COLLECTIONS,
	HF_MAX,
	HF_ROOM = 60,
};
_Static_assert(HF_MAX <= HF_ROOM, "hotspot_field");

enum hotspot_type {
	HT_BLOCK,
	HT_CONST_METHOD,
	HT_CONSTANT_POOL,
	HT_PC_DESC,
	HT_MAX,
	HT_ROOM = 4,
};

enum hotspot_static {
	HS_HEAP,  /* 8: the only CodeHeap */
	HS_HEAPS, /* 9 and later */
	HS_CALL_STUB_RETURN,
	HS_RETURN_BARRIER, /* 27 and later */
	HS_VM_MAJOR,
	HS_NARROW_BASE, /* addresses of 32 bits: base + (address << shift) */
	HS_NARROW_SHIFT,
	HS_ENTRY_RETURN, /* 25 and later: where a virtual thread's oldest frame returns */
	HS_MAX,
	HS_ROOM = 8,
};

/* Options of the command line, by which objects are laid out. */
enum hotspot_flag {
	HG_COMPRESSED_OOPS,
	HG_COMPRESSED_CLASS_POINTERS, /* before 27 */
	HG_COMPACT_OBJECT_HEADERS,    /* 24 and later */
	HG_MAX,
	HG_ROOM = 4,
};

/* Exported numbers: how the tables' entries are laid out. In .bss, set when libjvm is loaded. */
enum hotspot_layout {
	HL_STRUCT_STRIDE,
	HL_STRUCT_OFFSET,
	HL_STRUCT_ADDRESS,
	HL_TYPE_STRIDE,
	HL_TYPE_SIZE,
	HL_MAX,
	HL_ROOM = 6,
};

/* Of a libjvm. Addresses are virtual addresses in the file; 0: not there. */
struct hotspot_file {
	__u64 structs, types; /* the tables */
	__u64 layout[HL_ROOM];
	__u64 statics[HS_ROOM];	    /* of the variable */
	__u16 fields[HF_ROOM];	    /* index in `structs`, or HOTSPOT_NONE */
	__u16 type_index[HT_ROOM];  /* in `types` */
	__u16 stubs_first, n_stubs; /* entries of StubRoutines */
	__u16 frame_complete_bytes; /* of that field: 2 or 4 */
	__u16 pad;
	__u64 flags[HG_ROOM]; /* addresses of the variables, of a byte */
	__u64 z_globals;      /* of the pointer to ZGC's; 21 and later */
	__u64 counters;	      /* of the pointer to the JVM's counters of itself */
	__u64 collected;      /* of the pointer to the heap of objects */
};
_Static_assert(sizeof(struct hotspot_file) == 16 + 8 * 14 + 2 * 64 + 8 + 8 * 7, "hotspot_file");

/* Loaders whose classes are never unloaded: boot class path, platform, application. */
#define HOTSPOT_LOADERS 3

/* Segmented: non-nmethods, profiled, non-profiled; 27 has one for hot code. */
#define HOTSPOT_HEAPS 4

struct hotspot_heap {
	__u64 low, high; /* reserved: it grows inside without our noticing */
	__u64 segmap; /* a byte for each segment: how many to go back; 0: a block begins, 0xff: free
		       */
	__u32 shift;  /* of a segment */
	__u32 pad;
};

struct hotspot_proc {
	struct hotspot_heap heaps[HOTSPOT_HEAPS];
	__u64 call_stub_return; /* where Java returns to native code that called it */
	__u64 return_barrier;	/* where the last thawed frame of a virtual thread returns; or 0 */
	__u64 structs;		/* address of the table */
	/* Addresses of these variables; 0: not there. */
	__u64 narrow_base, narrow_shift, entry_return;
	__u64 z_load_bad, z_load_shift; /* how addresses are coloured, see bpf/hotspot_chunk.h */
	__u64 unloaded;			/* address of the number of classes that are gone, or 0 */
	__u64 staying[HOTSPOT_LOADERS]; /* addresses of ClassLoaderData that stay; 0: not met yet */
	/* The kernel's own: when that number was last seen to change, and what it was then. */
	__u64 unloaded_ns;
	__u32 unloaded_seen;
	__u32 tells;		    /* all offsets are known that names take */
	__u16 at[HF_ROOM];	    /* offsets of fields, or HOTSPOT_NONE */
	__u16 bytes[HT_ROOM];	    /* sizes of types */
	__u16 version;		    /* feature release: 8, 11, 17... */
	__u16 frame_complete_bytes; /* as in struct hotspot_file */
	__u16 bcp_slot;		    /* of an interpreted frame, words below rbp */
	__u16 stubs_first, n_stubs;
	/* Of objects of java.base that keep frames: see unwinders/hotspot.c. */
	__u16 oop_bytes; /* of a reference: 4 or 8; 0: the rest is not known */
	__u16 cont_tail; /* jdk.internal.vm.Continuation */
	__u16 chunk_stack, chunk_pc, chunk_size, chunk_sp, chunk_parent; /* StackChunk */
};
_Static_assert(sizeof(struct hotspot_proc) == 32 * 4 + 112 + 2 * 64 + 24, "hotspot_proc");

/*
 * A frame: value = 48 bits of address, then enum hotspot_frame; more = 24 bits of position, then 32
 * bits that tell what lies at the address from what lay there before.
 *
 *   HOTSPOT_COMPILED     address of the nmethod; pc - address; compile id
 *   HOTSPOT_INTERPRETED  address of the Method; bytecode index; hotspot_method_cookie() or
 *			  hotspot_staying_cookie()
 *   HOTSPOT_STUB	  address of the CodeBlob; pc - address; low half of the name's address
 */
enum hotspot_frame {
	HOTSPOT_COMPILED = 1,
	HOTSPOT_INTERPRETED = 2,
	HOTSPOT_STUB = 3,
};
#define HOTSPOT_ADDRESS_BITS  48
#define HOTSPOT_ADDRESS(v)    ((v) & ((1ULL << HOTSPOT_ADDRESS_BITS) - 1))
#define HOTSPOT_KIND(v)	      ((__u32)((v) >> HOTSPOT_ADDRESS_BITS) & 15)
#define HOTSPOT_VALUE(k, a)   (((__u64)(k) << HOTSPOT_ADDRESS_BITS) | HOTSPOT_ADDRESS(a))
#define HOTSPOT_POSITION_BITS 24
#define HOTSPOT_POSITION(m)   ((__u32)(m) & ((1U << HOTSPOT_POSITION_BITS) - 1))
#define HOTSPOT_COOKIE(m)     ((__u32)((m) >> HOTSPOT_POSITION_BITS))
#define HOTSPOT_MORE(cookie, at) \
	(((__u64)(__u32)(cookie) << HOTSPOT_POSITION_BITS) | HOTSPOT_POSITION(at))
#define HOTSPOT_BCI_UNKNOWN 0xffffff

/*
 * Of a Method with this ConstMethod after so many classes were unloaded. Classes of the same form
 * that are made one after another (scripts, generated code) lie one after another at the same
 * addresses, when those before were collected.
 */
static inline __attribute__((always_inline)) __u32 hotspot_method_cookie(__u64 method_const,
									 __u32 unloaded)
{
	return (__u32)(method_const >> 3) + unloaded * 0x9e3779b1U;
}

/* The same when its class is never unloaded. */
static inline __attribute__((always_inline)) __u32 hotspot_staying_cookie(__u64 method_const)
{
	return ~(__u32)(method_const >> 3);
}

#define HOTSPOT_CLASS_BYTES	256
#define HOTSPOT_METHOD_BYTES	128
#define HOTSPOT_SIGNATURE_BYTES 256
#define HOTSPOT_SOURCE_BYTES	64
#define HOTSPOT_TABLE_BYTES	128

/*
 * What a method is called that was met in the interpreter, as it lies in the JVM's memory: when
 * user space looks for it, it may be gone. Texts are whole, their ends are not marked; longer ones
 * are not told. e.key: of the process (HOTSPOT_OWNER()).
 */
struct hotspot_record {
	struct event_runtime e;
	__u64 method, method_const;
	__u32 cookie; /* of its frames */
	__u16 version, code_bytes;
	__u16 class_bytes, method_bytes, signature_bytes, source_bytes;
	__u16 table_bytes; /* of `table`, which goes on behind them when its end is not there */
	__u16 pad[3];
	char class_name[HOTSPOT_CLASS_BYTES], method_name[HOTSPOT_METHOD_BYTES];
	char signature[HOTSPOT_SIGNATURE_BYTES], source[HOTSPOT_SOURCE_BYTES];
	__u8 table[HOTSPOT_TABLE_BYTES]; /* of lines, compressed */
};

/* Where in the HeapBlock in front of a code blob a byte says whether it is in use (heap.hpp, struct
 * HeapBlock::Header). The process's word: to be compared with bytes[HT_BLOCK]. */
static inline __attribute__((always_inline)) __u32 hotspot_used_at(const struct hotspot_proc *p)
{
	return (__u32)p->at[HF_BLOCK_HEADER] + p->at[HF_BLOCK_USED];
}

#define HOTSPOT_OWNER(key) ((__u64)(key).tgid << 32 | (key).mm)

/* Why frames are missing; the texts are in unwinders/hotspot.c. 0 is every runtime's. */
enum hotspot_reason {
	HOTSPOT_REASON_CHAIN = 1,   /* what should be a return address is none of Java's */
	HOTSPOT_REASON_STACK,	    /* the stack could not be read */
	HOTSPOT_REASON_NO_BLOB,	    /* nothing is allocated at this pc of a code heap */
	HOTSPOT_REASON_BLOB,	    /* the code blob could not be read, or is none */
	HOTSPOT_REASON_INTERPRETER, /* an interpreted frame without a method */
	HOTSPOT_REASON_STUB,	    /* code without a frame that says who called it */
	HOTSPOT_REASON_FROZEN,	    /* frames in the heap that can not be read */
	HOTSPOT_REASON_THAWING,	    /* frames that are being put back on the stack */
	HOTSPOT_REASON_MAX,
};

/* Counters of the kernel half; the names are in unwinders/hotspot.c. The first ones are those of
 * enum hotspot_reason: one for each frame of a reason. */
enum hotspot_stat {
	HOTSPOT_STAT_ATTEMPTS = 0, /* walks that came to Java code */
	HOTSPOT_STAT_FRAMES = HOTSPOT_REASON_MAX,
	HOTSPOT_STAT_BLOBS, /* looked up in the segment map */
	HOTSPOT_STAT_MAX,
};
