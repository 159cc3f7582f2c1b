/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the two halves of the CPython runtime share: where things lie in a build of CPython, the
 * words of a frame and the record that says what a code object is called.
 *
 * A frame's value is a hash of what the code object says of itself (names, first line, line table),
 * so it means the same in every process and outlives them; `more` is the offset of the instruction
 * in the bytecode, in bytes.
 */
#pragma once

#include "bpf/runtimes.h"

enum python_flags {
	PYTHON_FRAME_OBJECTS = 1 << 0, /* to 3.10: a PyFrameObject for each run of the loop */
	PYTHON_ENTRY_FLAG = 1 << 1,    /* 3.11: the loop's first frame says so (is_entry) */
	PYTHON_GIL_HOLDER = 1 << 2,    /* to 3.11: `holder` points to a thread state */
};

/* Bytes that are read at once. */
#define PYTHON_FRAME_BYTES  80	/* of a _PyInterpreterFrame */
#define PYTHON_OBJECT_BYTES 128 /* of a PyFrameObject, to 3.10 */
#define PYTHON_OBJECT_MORE  16	/* ... of 3.6 with Py_TRACE_REFS besides */
#define PYTHON_CODE_BYTES   136 /* of a code object, from its type on */
#define PYTHON_COOKIE_BYTES 32	/* of it, from co_filename on; the other names follow */

/* Code of the loop, by offsets in the file. */
#define PYTHON_GAPS 6
struct python_gap {
	__u32 start, bytes;
};

/*
 * A build of CPython. Addresses count from where the byte 0 of the file would lie by the mapping of
 * the loop's code. Offsets in a code object count from its ob_type.
 */
struct python_file {
	__u64 runtime;	    /* _PyRuntime; in 3.6 the head of the interpreters itself */
	__u64 holder;	    /* the pointer to the thread state that has the GIL */
	__u64 code_type;    /* PyCode_Type */
	__u16 version;	    /* 0x030d */
	__u16 flags;	    /* enum python_flags */
	__u16 interpreters; /* _PyRuntime.interpreters.head */
	__u16 interp_next, interp_threads;
	__u16 thread_next, thread_id;
	__u16 thread_frame;  /* frame or current_frame; 0: in the _PyCFrame */
	__u16 thread_cframe; /* 0: none */
	__u16 cframe_frame, cframe_previous;
	__u16 frame_previous, frame_code, frame_instr, frame_owner;
	__u16 frame_tlbc; /* free-threaded 3.14: index of the thread's bytecode; 0: none */
	__u16 code_ob_type;
	__u16 code_line, code_file, code_name, code_table;
	__u16 code_tlbc;   /* 0: none */
	__u16 code_instrs; /* co_code_adaptive, from the object's start; 0: frames hold an index */
	__u16 string_length, string_state, string_ascii, string_wide;
	__u16 string_kind_bit; /* where in the state the kind begins */
	__u16 bytes_length, bytes_data;
	__u16 instr_bytes; /* frame objects: bytes that f_lasti counts in */
	__u16 pad;
	/* To 3.9, where no link lies on the native stack: what runs before the frame is linked, and
	 * after it is unlinked. */
	struct python_gap gaps[PYTHON_GAPS];
};
_Static_assert(sizeof(struct python_file) == 88 + 8 * PYTHON_GAPS, "python_file");

enum python_reason {
	PYTHON_REASON_UNSEEN = RUNTIME_REASON_UNSEEN,
	PYTHON_REASON_NO_FILE,	 /* user space has not said what the file is */
	PYTHON_REASON_NO_THREAD, /* no thread state has this thread's id */
	PYTHON_REASON_FRAME,	 /* a frame could not be read */
	PYTHON_REASON_CODE,	 /* what a frame runs is no code object */
	PYTHON_REASON_BROKEN,	 /* the frames do not belong to the loop on the stack */
	PYTHON_REASON_NO_FRAMES, /* the loop runs, but there are no frames left */
	PYTHON_REASON_MAX,
};

enum python_stat {
	PYTHON_STAT_WALKS,  /* runs of the loop that were met */
	PYTHON_STAT_FRAMES, /* frames that were pushed */
	PYTHON_STAT_NO_FILE,
	PYTHON_STAT_NO_THREAD,
	PYTHON_STAT_BAD_FRAME,
	PYTHON_STAT_BAD_CODE,
	PYTHON_STAT_BROKEN,
	PYTHON_STAT_NO_FRAMES,
	PYTHON_STAT_SEARCHED, /* searches for a thread state */
	PYTHON_STAT_NAMED,    /* records sent */
	PYTHON_STAT_LOST,     /* records that did not fit the ring; they are sent again */
	PYTHON_STAT_MAX,
};
_Static_assert(PYTHON_STAT_MAX <= RUNTIME_STATS_MAX, "room for the counters");

#define PYTHON_NAME_BYTES  256
#define PYTHON_PATH_BYTES  512
#define PYTHON_TABLE_BYTES 4096

/* A PyUnicode, cut to what fits: bytes as they lie in memory. */
struct python_string {
	__u32 chars; /* of the whole string */
	__u16 bytes; /* that were copied */
	__u8 width;  /* bytes a character: 1, 2, 4; 0: it could not be read */
	__u8 pad;
};

/* What a code object says of itself. */
struct python_record {
	struct event_runtime e; /* key: the frame's value */
	__u32 version;		/* as in struct python_file */
	__u32 line;		/* co_firstlineno */
	struct python_string name, path;
	__u32 table_bytes; /* of the whole line table */
	__u32 table_copied;
	__u8 name_bytes[PYTHON_NAME_BYTES]; /* zero behind the end */
	__u8 path_bytes[PYTHON_PATH_BYTES];
	__u8 table[PYTHON_TABLE_BYTES]; /* table_copied of them are sent */
};
_Static_assert(sizeof(struct python_record) == 24 + 32 + 256 + 512 + 4096, "python_record");
