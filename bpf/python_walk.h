/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk over the frames of a CPython thread, in small steps; the same code runs in the kernel on
 * live memory and in the tests on recorded memory. Nothing that is read is believed: a code object
 * has CPython's own type object, frames belong to a run of the loop when what links them lies in
 * the loop's native frame, and each step is short, so that who calls it can count.
 *
 * How frames hang together (CPython, Include/internal/pycore_frame.h and Python/ceval.c):
 *   to 3.10    tstate->frame is a PyFrameObject, a run of the loop for each, f_back the next
 *   3.10-3.12  each run also links a _PyCFrame on its native stack: tstate->cframe
 *   3.11       a run executes frames up to the one with is_entry
 *   3.12-      below the frames of a run lies a frame on its native stack (FRAME_OWNED_BY_CSTACK,
 *              from 3.14 on FRAME_OWNED_BY_INTERPRETER: 3 in all of them)
 *
 * The file that includes it defines PYTHON_WALK and before:
 *   WALK_ENV                 a type that stands for the memory
 *   static int walk_read(WALK_ENV *e, __u64 addr, void *to, __u32 bytes)
 *       0, or nonzero: unreadable
 *   static int python_push(WALK_ENV *e, struct python_state *s)
 *       the frame of s->code, s->more; nonzero: no name could be had
 *   static void python_mark(WALK_ENV *e, struct python_state *s)
 *   static void python_undo(WALK_ENV *e, struct python_state *s)
 *       frames from here on ... are taken back; also without a mark in this sample
 */
#pragma once

#include "bpf/python.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

enum python_phase {
	PYTHON_THREAD, /* the thread state is not known */
	PYTHON_LIST,   /* looking for it among all */
	PYTHON_ENTER,  /* at a run of the loop */
	PYTHON_FRAMES, /* its frames */
	PYTHON_LOST,   /* something was wrong: no more frames in this sample */
};

/* What a step says; else -(enum python_reason): the run of the loop is left with that. */
#define PYTHON_AGAIN 0
#define PYTHON_LEAVE 1 /* the frames of this run are complete, maybe none; s->at says whose */

/* What is read at once of a thread's frames; a power of two. */
#define PYTHON_WINDOW_BYTES 1024

/* Thread states that are looked at in one step, and in one sample. */
#define PYTHON_LIST_STEP 8
#define PYTHON_LIST_MAX	 1024

/* enum _frameowner */
#define PYTHON_OWNER_ENTRY 3
#define PYTHON_OWNER_MAX   4

/* The frames of one thread state that are still to come. */
struct python_chain {
	__u64 tstate;
	__u64 frame; /* the next one */
	__u64 link;  /* the next _PyCFrame */
};

struct python_state {
	struct python_file file;
	__u64 load;	 /* what addresses of the file count from */
	__u64 thread;	 /* pthread_self() */
	__u64 cached;	 /* its thread state in an earlier sample, not proved yet; 0: none */
	__u64 low, high; /* the native frame of this run of the loop; high 0: not known */
	__u64 at; /* an address in the native frame that the frames belong to; 0: not known */
	/* The last frame. */
	__u64 code, more;
	__u64 cookie; /* changes when another code object takes its place */
	struct python_chain chain;
	struct python_chain begin; /* where this run began */
	struct python_chain kept;  /* while another thread state is tried: where to come back to */
	struct python_chain other; /* one that was left for another interpreter's */
	__u64 interp, listed;	   /* in the list */
	__u32 n_listed;
	__u32 phase;
	__u32 runs;    /* of the loop, in this sample */
	__u32 seeking; /* another thread state of this thread is tried */
	__u32 verdict; /* what it is when none fits */
	__u32 fit;     /* the last run had frames */
	__u32 place;   /* offset in the file where this run of the loop is; 0: not known */
	/* The memory around the last frame, and where in it the frame lies. */
	__u32 piece, window_bytes; /* 0: nothing is there */
	__u32 pad;
	__u64 window_at;
	__u8 window[PYTHON_WINDOW_BYTES];
	__u8 object[256]; /* of a code object, PYTHON_CODE_BYTES from its type on */
};

#ifdef PYTHON_WALK
/* The includer may take several frames in one step. */
#ifndef PYTHON_FRAMES_STEP
#define PYTHON_FRAMES_STEP(e, s) python_frame(e, s)
#define PYTHON_LOAD(e, s, at)	 python_load(e, s, at)
#endif

/* Of the frame: a word, or an int. */
static __always_inline __u64 python_piece(const struct python_state *s, __u32 off)
{
	return *(const __u64 *)(s->window + ((s->piece + off) & (PYTHON_WINDOW_BYTES - 8)));
}

static __always_inline __u32 python_piece_int(const struct python_state *s, __u32 off)
{
	return *(const __u32 *)(s->window + ((s->piece + off) & (PYTHON_WINDOW_BYTES - 4)));
}

static __always_inline __u64 python_object(const struct python_state *s, __u32 off)
{
	return *(const __u64 *)(s->object + (off & 248));
}

static __always_inline __u64 python_word(WALK_ENV *e, __u64 addr)
{
	__u64 v;

	return walk_read(e, addr, &v, 8) ? 0 : v;
}

/* ---- The thread state ---- */

static __always_inline int python_is_ours(WALK_ENV *e, const struct python_state *s, __u64 tstate)
{
	return tstate && python_word(e, tstate + s->file.thread_id) == s->thread;
}

static __always_inline __u64 python_head(WALK_ENV *e, const struct python_state *s)
{
	return python_word(e, s->load + s->file.runtime + s->file.interpreters);
}

/* A thread state's frames from the newest on, or from where they were left for another's. */
static __always_inline void python_take(WALK_ENV *e, struct python_state *s, __u64 tstate)
{
	s->phase = PYTHON_ENTER;
	if (tstate == s->other.tstate) {
		s->chain = s->other;
		return;
	}
	s->chain.tstate = tstate;
	s->chain.frame = s->file.thread_frame ? python_word(e, tstate + s->file.thread_frame) : 0;
	s->chain.link = s->file.thread_cframe ? python_word(e, tstate + s->file.thread_cframe) : 0;
}

static __always_inline void python_list(WALK_ENV *e, struct python_state *s)
{
	s->phase = PYTHON_LIST;
	s->interp = python_head(e, s);
	s->listed = s->interp ? python_word(e, s->interp + s->file.interp_threads) : 0;
}

static __always_inline int python_thread(WALK_ENV *e, struct python_state *s)
{
	/* From 3.10 on something on the stack tells whether it is the right one. */
	int told = s->cached && s->file.thread_cframe && python_is_ours(e, s, s->cached);
	__u64 holder;

	/* A thread may have thread states in several interpreters. Of those, this is the one that
	 * runs. It lies where nothing else does that a walk needs. */
	if (!told && (s->file.flags & PYTHON_GIL_HOLDER)) {
		holder = python_word(e, s->load + s->file.holder);
		if (python_is_ours(e, s, holder)) {
			s->cached = 0;
			python_take(e, s, holder);
			return PYTHON_AGAIN;
		}
	}
	if (told || python_is_ours(e, s, s->cached)) {
		python_take(e, s, s->cached);
		return PYTHON_AGAIN;
	}
	s->cached = 0;
	python_list(e, s);
	return PYTHON_AGAIN;
}

static __always_inline int python_lost(struct python_state *s, __u32 reason)
{
	s->phase = PYTHON_LOST;
	s->at = 0;
	s->fit = 0;
	return -(int)reason;
}

/* No thread state fits: back to where the search began. */
static __always_inline int python_list_end(struct python_state *s)
{
	if (!s->seeking)
		return python_lost(s, PYTHON_REASON_NO_THREAD);
	s->chain = s->kept;
	s->seeking = 0;
	s->phase = PYTHON_ENTER;
	return s->verdict ? python_lost(s, s->verdict) : PYTHON_LEAVE;
}

/* A few entries of the list. */
static __always_inline int python_list_step(WALK_ENV *e, struct python_state *s)
{
	for (int i = 0; i < PYTHON_LIST_STEP; i++) {
		__u64 tstate = s->listed;

		s->n_listed++;
		if (!tstate) {
			if (s->interp)
				s->interp = python_word(e, s->interp + s->file.interp_next);
			if (!s->interp)
				return python_list_end(s);
			s->listed = python_word(e, s->interp + s->file.interp_threads);
			continue;
		}
		s->listed = python_word(e, tstate + s->file.thread_next);
		if (python_is_ours(e, s, tstate) && !(s->seeking && tstate == s->kept.tstate)) {
			python_take(e, s, tstate);
			return PYTHON_AGAIN;
		}
	}
	return s->n_listed > PYTHON_LIST_MAX ? python_list_end(s) : PYTHON_AGAIN;
}

/* ---- A run of the loop ---- */

/*
 * The chain does not go with this run: 0, since the run has not linked its frames yet or no more,
 * or a reason. If there are several interpreters, the thread may have a thread state in another.
 */
static __always_inline int python_misfit(WALK_ENV *e, struct python_state *s, __u32 verdict)
{
	__u64 head;

	s->at = 0;
	s->fit = 0;
	if (s->seeking) {
		s->phase = PYTHON_LIST;
		return PYTHON_AGAIN;
	}
	s->phase = PYTHON_ENTER;
	head = python_head(e, s);
	if (!head || !python_word(e, head + s->file.interp_next) || s->n_listed > PYTHON_LIST_MAX)
		return verdict ? python_lost(s, verdict) : PYTHON_LEAVE;
	s->kept = s->chain;
	s->verdict = verdict;
	s->seeking = 1;
	python_list(e, s);
	return PYTHON_AGAIN;
}

/* What links frames of this run lies in its native frame. */
static __always_inline int python_fits(const struct python_state *s, __u64 at)
{
	return !s->high || at - s->low < s->high - s->low;
}

/* The outermost link of a thread is in the thread state itself. */
#define PYTHON_THREAD_BYTES 4096

static __always_inline __u32 python_verdict(const struct python_state *s, __u64 at)
{
	/* The innermost run may be about to link its first frame. */
	if (!at || at - s->chain.tstate < PYTHON_THREAD_BYTES)
		return s->runs > 1 ? PYTHON_REASON_NO_FRAMES : 0;
	return at < s->low ? PYTHON_REASON_BROKEN : 0;
}

static __always_inline int python_in_gap(const struct python_state *s)
{
	for (int i = 0; i < PYTHON_GAPS; i++) {
		if (s->place && s->place - s->file.gaps[i].start < s->file.gaps[i].bytes)
			return 1;
	}
	return 0;
}

static __always_inline int python_enter(WALK_ENV *e, struct python_state *s)
{
	s->runs += !s->seeking;
	s->at = 0;
	if (s->file.thread_cframe) {
		__u64 link = s->chain.link;

		if (!link || link - s->chain.tstate < PYTHON_THREAD_BYTES || !python_fits(s, link))
			return python_misfit(e, s, python_verdict(s, link));
		s->at = link;
		if (!s->file.thread_frame)
			s->chain.frame = python_word(e, link + s->file.cframe_frame);
	}
	if ((s->file.flags & PYTHON_FRAME_OBJECTS) && python_in_gap(s)) {
		s->fit = 0;
		return PYTHON_LEAVE;
	}
	if (!s->chain.frame)
		return python_misfit(e, s, python_verdict(s, 0));
	s->begin = s->chain;
	python_mark(e, s);
	s->phase = PYTHON_FRAMES;
	return PYTHON_AGAIN;
}

/* All frames of this run are pushed. */
static __always_inline int python_leave(WALK_ENV *e, struct python_state *s)
{
	if (s->file.thread_cframe)
		s->chain.link = python_word(e, s->chain.link + s->file.cframe_previous);
	if (s->seeking) {
		s->other = s->kept;
		s->seeking = 0;
	}
	s->phase = PYTHON_ENTER;
	s->fit = 1;
	return PYTHON_LEAVE;
}

/* The frame below the frames of a run, on the native stack of the loop. */
static __always_inline int python_entry(WALK_ENV *e, struct python_state *s, __u64 at)
{
	if (!s->file.thread_cframe) {
		if (at - s->chain.tstate < PYTHON_THREAD_BYTES || !python_fits(s, at)) {
			python_undo(e, s);
			s->chain = s->begin;
			return python_misfit(e, s, python_verdict(s, at));
		}
		s->at = at;
	}
	s->chain.frame = python_piece(s, s->file.frame_previous);
	return python_leave(e, s);
}

/*
 * What tells a code object from another that takes its place: the pointers to its names and its
 * line table, in one short read. Whether it is a code object at all is looked at when its names are
 * read.
 */
static __always_inline int python_read_cookie(WALK_ENV *e, struct python_state *s)
{
	__u64 p[PYTHON_COOKIE_BYTES / 8];

	if (walk_read(e, s->code + s->file.code_ob_type + s->file.code_file, p, sizeof(p)))
		return 1;
	/* To 3.10 there are only three, and what follows them changes all the time. */
	if (s->file.code_table - s->file.code_file < 24)
		p[3] = 0;
	s->cookie =
		(p[0] ^ p[1] << 13 ^ p[1] >> 51 ^ p[2] << 29 ^ p[2] >> 35) * 0x9e3779b97f4a7c15ULL ^
		p[3];
	return 0;
}

/*
 * Makes a frame the piece. Each read costs the same, long or short, and from 3.11 on the callers'
 * frames lie right below (Include/internal/pycore_frame.h, _PyStackChunk; those of generators are
 * elsewhere): so what lies there is read along, but for other pages, which need not be there.
 */
static __always_inline int python_load(WALK_ENV *e, struct python_state *s, __u64 at)
{
	const __u32 bytes = PYTHON_FRAME_BYTES;
	__u64 page = at & ~4095ULL, off, n;

	s->window_bytes = 0;
	if ((at & 7) || !page)
		return 1;
	/* Eight bytes less than there is room for: the mask is for the verifier. */
	off = at + bytes - (PYTHON_WINDOW_BYTES - 8);
	if (off < page)
		off = page;
	n = at + bytes - off;
	if (walk_read(e, off, s->window, n & (PYTHON_WINDOW_BYTES - 1))) {
		if (walk_read(e, at, s->window, bytes))
			return 1;
		off = at;
		n = bytes;
	}
	s->window_at = off;
	s->window_bytes = n;
	s->piece = at - off;
	return 0;
}

static __always_inline int python_find(WALK_ENV *e, struct python_state *s, __u64 at)
{
	__u64 off = at - s->window_at;

	if (!(off & 7) && off < PYTHON_WINDOW_BYTES &&
	    off + PYTHON_FRAME_BYTES <= s->window_bytes) {
		s->piece = off;
		return 0;
	}
	return PYTHON_LOAD(e, s, at);
}

/* To 3.10: one PyFrameObject for each run. */
static __always_inline int python_frame_object(WALK_ENV *e, struct python_state *s)
{
	__u32 more = s->file.frame_instr < PYTHON_OBJECT_BYTES ? 0 : PYTHON_OBJECT_MORE;
	__s32 last;

	s->piece = 0;
	if (walk_read(e, s->chain.frame, s->window, PYTHON_OBJECT_BYTES + more))
		return python_lost(s, PYTHON_REASON_FRAME);
	s->code = python_piece(s, s->file.frame_code);
	last = python_piece_int(s, s->file.frame_instr);
	s->more = last < 0 ? 0 : (__u64)last * s->file.instr_bytes;
	if (python_push(e, s))
		return python_lost(s, PYTHON_REASON_CODE);
	s->chain.frame = python_piece(s, s->file.frame_previous);
	return python_leave(e, s);
}

/* Free-threaded builds from 3.14 on give threads copies of the bytecode: _PyCodeArray. */
static __always_inline __u64 python_bytecode(WALK_ENV *e, struct python_state *s)
{
	__u32 index;

	if (s->file.frame_tlbc) {
		index = python_piece_int(s, s->file.frame_tlbc);
		if (index && index < 65536)
			return python_word(e, python_word(e, s->code + s->file.code_tlbc) + 8 +
						      8 * (__u64)index);
	}
	return s->code + s->file.code_instrs;
}

/* From 3.11 on. The lowest bits of what a frame executes may be a tag. */
static __always_inline int python_frame(WALK_ENV *e, struct python_state *s)
{
	__u64 at = s->chain.frame;
	__u32 owner;

	if (python_find(e, s, at))
		return python_lost(s, PYTHON_REASON_FRAME);
	owner = s->window[(s->piece + s->file.frame_owner) & (PYTHON_WINDOW_BYTES - 1)];
	if (s->file.flags & PYTHON_ENTRY_FLAG) {
		if (owner > 1)
			return python_lost(s, PYTHON_REASON_FRAME);
	} else {
		if (owner == PYTHON_OWNER_ENTRY)
			return python_entry(e, s, at);
		if (owner > PYTHON_OWNER_MAX)
			return python_lost(s, PYTHON_REASON_FRAME);
	}
	s->code = python_piece(s, s->file.frame_code) & ~7ULL;
	s->more = python_piece(s, s->file.frame_instr) - python_bytecode(e, s);
	if (s->more >> 32) /* before the first instruction */
		s->more = 0;
	if (python_push(e, s))
		return python_lost(s, PYTHON_REASON_CODE);
	s->chain.frame = python_piece(s, s->file.frame_previous);
	if (s->file.flags & PYTHON_ENTRY_FLAG)
		return owner ? python_leave(e, s) : PYTHON_AGAIN;
	/* The outermost run of all has one below its frames, too. */
	return s->chain.frame ? PYTHON_AGAIN : python_lost(s, PYTHON_REASON_BROKEN);
}

static __always_inline int python_step_of(WALK_ENV *e, struct python_state *s)
{
	switch (s->phase) {
	case PYTHON_THREAD:
		return python_thread(e, s);
	case PYTHON_LIST:
		return python_list_step(e, s);
	case PYTHON_ENTER:
		return python_enter(e, s);
	case PYTHON_FRAMES:
		if (s->file.flags & PYTHON_FRAME_OBJECTS)
			return python_frame_object(e, s);
		return PYTHON_FRAMES_STEP(e, s);
	}
	return PYTHON_LEAVE; /* PYTHON_LOST: it was said why */
}

/*
 * One step. The caller has set file, load, thread and cached, phase and everything else zero, and
 * sets low and high for each run of the loop.
 */
static __always_inline int python_walk(WALK_ENV *e, struct python_state *s)
{
	int r = python_step_of(e, s);

	if (r == PYTHON_AGAIN || !s->cached)
		return r;
	if (!s->fit) {
		/* Of a thread that ended, maybe, and a new one has its id: look for the true one.
		 */
		python_undo(e, s);
		s->runs = 0;
		s->phase = PYTHON_THREAD;
		r = PYTHON_AGAIN;
	}
	s->cached = 0;
	return r;
}

#endif
