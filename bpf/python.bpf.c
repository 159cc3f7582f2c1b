/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPython's frames in the kernel: python_walk.h on live memory, one step a call. What a code object
 * is called is told to user space once for each content; a code object that was met before costs
 * one read in each sample, of the object itself, which must still be what it was.
 */
#include "bpf/unwind.bpf.h"

#define WALK_ENV struct cpu_state

#include "bpf/window.bpf.h"

static __always_inline int walk_read(struct cpu_state *c, u64 addr, void *to, u32 bytes)
{
	return bpf_probe_read_user(to, bytes, (void *)addr) != 0;
}

struct python_state;
static int python_push(struct cpu_state *c, struct python_state *s);
static void python_mark(struct cpu_state *c, struct python_state *s);
static void python_undo(struct cpu_state *c, struct python_state *s);

int python_frames(u32 cpu);
int python_window(u32 cpu, u64 at);
u64 python_hash_table(u32 cpu, u32 at, u64 h);
#define PYTHON_FRAMES_STEP(c, s)      python_frames((c)->cpu)
#define PYTHON_HASH_SOME(c, r, at, h) python_hash_table((c)->cpu, at, h)
#define PYTHON_LOAD(c, s, at)	      python_window((c)->cpu, at)
#define PYTHON_WALK
#include "bpf/python_code.h"

#define PYTHON_JIT
#include "bpf/python_jit.h"

/* What the code objects' names were, per CPU: true while the object has not changed. User space
 * lets go of names that nobody asked for in a long time, thus nothing is believed for longer. */
#define MEMO_SETS	     256 /* of two each */
#define PYTHON_TRUST_SECONDS 30

struct python_memo {
	u64 code;
	u64 proof; /* of the code object's content and the address space */
	u64 value;
	u32 seen; /* the sample that proved it last */
	u32 second;
};

/* The walk of one CPU. */
struct python_cpu {
	struct python_state s; /* first: its address is this one's */
	u64 serial;	       /* of the sample that it is about */
	u64 mm;
	u32 file, second; /* file: that s.file is of, while `epoch` is that of all */
	u32 epoch, pad;
	/* What was there before the frames of this run. */
	u64 hash;
	u32 n_user, n_frames;
	u64 value;  /* of the last frame */
	u32 unsent; /* user space has not heard what it is called */
	u32 padding;
	u64 known; /* thread state that is remembered */
	struct python_memo memos[MEMO_SETS][2] CACHE_LINES;
	struct python_record record;
};

struct python_cpus_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* number of possible CPUs */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct python_cpu);
} python_cpus SEC(".maps");

/* Filled by user space: file id to what is in it. */
struct python_files_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct python_file);
} python_files SEC(".maps");

struct python_thread_key {
	u64 mm, thread;
};

struct python_threads_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct python_thread_key);
	__type(value, u64); /* thread state */
} python_threads SEC(".maps");

struct python_code_key {
	u64 mm, code;
};

struct python_code_value {
	u64 cookie, value;
};

struct python_codes_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct python_code_key);
	__type(value, struct python_code_value);
} python_codes SEC(".maps");

/* Contents that user space has. */
struct python_sent_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} python_sent SEC(".maps");

static __always_inline struct python_cpu *python_of(u32 cpu)
{
	return bpf_map_lookup_elem(&python_cpus, &cpu);
}

static __always_inline void python_count(struct cpu_state *c, enum python_stat stat)
{
	runtime_count(c, RUNTIME_PYTHON, stat);
}

/* ---- Names ---- */

/* Sends the record of the code object in p->s.object. */
static __always_inline int python_send(struct cpu_state *c, struct python_cpu *p)
{
	/* The mask says to the verifier what python_describe() sees to. */
	u32 bytes = offsetof(struct python_record, table) +
		    (p->record.table_copied & (PYTHON_TABLE_BYTES - 1));
	u32 one = 1;

	p->record.e.h.kind = EVENT_RUNTIME;
	p->record.e.h.bytes = bytes;
	p->record.e.runtime = RUNTIME_PYTHON;
	p->record.e.key = p->value;
	if (!event_send(c, &p->record, bytes, ring_wakeup())) {
		python_count(c, PYTHON_STAT_LOST);
		return 1;
	}
	python_count(c, PYTHON_STAT_NAMED);
	bpf_map_update_elem(&python_sent, &p->value, &one, BPF_ANY);
	return 0;
}

/* A function of its own, as python_window(). */
__noinline u64 python_hash_table(u32 cpu, u32 at, u64 h)
{
	struct python_cpu *p = python_of(cpu);

	return p ? python_hash_some(&p->record, at, h) : h;
}

/* A code object that this CPU has not met lately. 0: p->value is its hash; 0 of one without a name.
 * p->unsent: the next sample has to try again. */
__noinline int python_learn(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);
	struct python_code_key key;
	struct python_code_value *known, value;
	int r;

	if (!c || !p)
		return 1;
	p->unsent = 0;
	key.mm = p->mm;
	key.code = p->s.code;
	known = bpf_map_lookup_elem(&python_codes, &key);
	if (known && known->cookie == p->s.cookie) {
		p->value = known->value;
		if (bpf_map_lookup_elem(&python_sent, &p->value))
			return 0;
	}
	r = python_read_code(c, &p->s);
	if (r == 1)
		return 1;
	p->value = r == 2 ? 0 : python_describe(c, &p->s, &p->record);
	if (!p->value)
		return r != 2;
	if (!bpf_map_lookup_elem(&python_sent, &p->value) && python_send(c, p)) {
		p->unsent = 1;
		return 0;
	}
	value.cookie = p->s.cookie;
	value.value = p->value;
	bpf_map_update_elem(&python_codes, &key, &value, BPF_ANY);
	return 0;
}

/* The code object's name, of a memo that may be wrong. 1: it could not be had. */
__noinline int python_prove(u32 cpu, u32 set, u32 way)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);
	struct python_memo *m;
	u64 proof;

	if (!c || !p)
		return 1;
	m = &p->memos[set & (MEMO_SETS - 1)][way & 1];
	if (python_read_cookie(c, &p->s))
		return 1;
	proof = p->s.cookie ^ p->mm;
	if (m->code != p->s.code || m->proof != proof ||
	    p->second - m->second > PYTHON_TRUST_SECONDS) {
		if (python_learn(cpu))
			return 1;
		m->code = p->s.code;
		m->proof = proof;
		m->second = p->unsent ? p->second - PYTHON_TRUST_SECONDS - 1 : p->second;
		m->value = p->value;
	}
	m->seen = p->serial;
	return 0;
}

/* A code object does not change while a sample is taken in which a frame runs it. */
static __always_inline int python_push(struct cpu_state *c, struct python_state *s)
{
	struct python_cpu *p = (void *)s;
	u64 set = ((s->code ^ p->mm >> 6) * 0x9e3779b97f4a7c15ULL) >> 56 & (MEMO_SETS - 1);
	struct python_memo *m = &p->memos[set][0], *other = &p->memos[set][1];
	u32 serial = p->serial, way = 0;

	if (SECOND_OF_TWO(m->code == s->code, other->code == s->code, m, other, serial)) {
		m = other;
		way = 1;
	}
	if ((m->code != s->code || m->seen != serial) && python_prove(c->cpu, set, way))
		return 1;
	if (m->value)
		push_managed(c, RUNTIME_PYTHON, m->value, s->more);
	return 0;
}

static __always_inline void python_mark(struct cpu_state *c, struct python_state *s)
{
	struct python_cpu *p = (void *)s;

	p->hash = c->hash;
	p->n_user = c->n_user;
	p->n_frames = c->n_frames;
}

static __always_inline void python_undo(struct cpu_state *c, struct python_state *s)
{
	struct python_cpu *p = (void *)s;

	if (c->capturing)
		return;
	c->hash = p->hash;
	c->n_user = p->n_user;
	c->n_frames = p->n_frames;
}

/* ---- The walk ---- */

/* At the first loop of a sample, or one of another file. */
static __always_inline int python_begin(struct cpu_state *c, struct python_cpu *p)
{
	struct python_thread_key key;
	u32 epoch = process_epoch;
	struct python_file *file;
	u64 *tstate;

	if (p->file != c->loop.file || p->epoch != epoch) {
		p->file = 0;
		file = bpf_map_lookup_elem(&python_files, &c->loop.file);
		if (!file)
			return 1;
		p->s.file = *file;
		p->file = c->loop.file;
		p->epoch = epoch;
	}
	if (p->mm != c->mm || p->s.thread != c->thread_pointer || !p->known) {
		key.mm = c->mm;
		key.thread = c->thread_pointer;
		tstate = bpf_map_lookup_elem(&python_threads, &key);
		p->known = tstate ? *tstate : 0;
	}
	p->s.cached = p->known;
	p->s.load = c->loop.load;
	p->s.thread = c->thread_pointer;
	p->s.phase = PYTHON_THREAD;
	p->s.other.tstate = 0;
	p->s.n_listed = 0;
	p->s.runs = 0;
	p->s.seeking = 0;
	p->s.fit = 0;
	p->s.window_bytes = 0;
	p->serial = c->serial;
	p->mm = c->mm;
	p->second = bpf_ktime_get_ns() >> 30;
	python_mark(c, &p->s);
	return 0;
}

/* The thread state proved true: it will be tried first. */
static __always_inline void python_remember(struct cpu_state *c, struct python_cpu *p)
{
	struct python_thread_key key = {.mm = c->mm, .thread = c->thread_pointer};
	u64 tstate = p->s.chain.tstate;

	p->known = tstate;
	bpf_map_update_elem(&python_threads, &key, &tstate, BPF_ANY);
}

static __always_inline void python_fail(struct cpu_state *c, u32 reason)
{
	/* Counters are in the order of reasons. */
	python_count(c, PYTHON_STAT_NO_FILE + reason - PYTHON_REASON_NO_FILE);
	push_runtime_reason(c, RUNTIME_PYTHON, reason);
	loop_leave(c, 0);
}

/* A function of its own: the verifier looks at it once, not for each frame and way to come here. */
__noinline int python_window(u32 cpu, u64 at)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);

	return c && p ? python_load(c, &p->s, at) : 1;
}

/* Frames of 3.11 and later: a few at once, the time goes into what is around them else. */
#define FRAMES_STEP 8

__noinline int python_frames(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);
	int r = PYTHON_AGAIN;

	if (!c || !p)
		return PYTHON_LEAVE;
	for (int i = 0; i < FRAMES_STEP; i++) {
		r = python_frame(c, &p->s);
		if (r != PYTHON_AGAIN || p->s.phase != PYTHON_FRAMES || stack_is_full(c))
			break;
	}
	return r;
}

/* Code that the JIT compiler has made: its frame is one like those of files. No name needs what is
 * only found in the process, so that children that are gone at once have whole stacks, too. */
__noinline int python_claims(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);
	struct range *range;
	u64 frame;

	if (!c || !p)
		return 0;
	range = &c->ranges[c->current_range & (WALK_RANGES - 1)];
	frame = range->first_frame + (c->r.pc - !c->r.is_leaf - range->start);
	_Static_assert(8 * PYTHON_JIT_WORDS <= PYTHON_WINDOW_BYTES, "room for the stack");
	p->s.window_bytes = 0;
	if (walk_read(c, c->r.sp, p->s.window, 8 * PYTHON_JIT_WORDS) ||
	    python_jit_leave(c, &c->r, (const u64 *)p->s.window))
		return 0;
	c->n_frames++;
	push_word(c, frame);
	c->mode = RUNTIME_NONE;
	return 1;
}

__noinline int python_step(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);
	u32 phase, frames;
	int r;

	if (!c || !p)
		return 1;
	if (!c->capturing && !c->loop.frame) {
		if (!python_claims(cpu))
			not_managed(c);
		return 0;
	}
	if ((p->serial != c->serial || p->file != c->loop.file) && python_begin(c, p)) {
		python_fail(c, PYTHON_REASON_NO_FILE);
		return c->capturing;
	}
	p->s.low = c->capturing ? 0 : c->r.sp;
	p->s.high = c->capturing ? 0 : c->loop.end;
	p->s.place = c->capturing ? 0 : FRAME_OFFSET(c->loop.frame);
	phase = p->s.phase;
	frames = c->n_frames;
	r = python_walk(c, &p->s);
	c->runtime_stats[RUNTIME_PYTHON][PYTHON_STAT_FRAMES] += (__s32)(c->n_frames - frames);
	if (p->s.phase == PYTHON_LIST && phase != PYTHON_LIST)
		python_count(c, PYTHON_STAT_SEARCHED);
	if (r == PYTHON_AGAIN)
		return 0;
	if (c->capturing && (r == -PYTHON_REASON_NO_FRAMES || r == -PYTHON_REASON_NO_THREAD))
		return 1;
	python_count(c, PYTHON_STAT_WALKS);
	if (r < 0) {
		python_fail(c, -r);
		return c->capturing;
	}
	if (p->s.fit && p->s.runs == 1 && p->known != p->s.chain.tstate)
		python_remember(c, p);
	loop_leave(c, p->s.at);
	return 0;
}

/* The loop may not have been met yet; but what is mapped is known from what the stack points to. */
__noinline int python_capture(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct python_cpu *p = python_of(cpu);

	if (!c || !p)
		return 0;
	if (p->serial == c->serial)
		return p->s.phase != PYTHON_LOST;
	for (u32 i = 0; i < WALK_RANGES; i++) {
		struct range *range = &c->ranges[i];

		if (i >= c->n_ranges)
			break;
		if (range->runtime == RUNTIME_PYTHON) {
			c->loop.load = range->start - FRAME_OFFSET(range->first_frame);
			c->loop.file = range->file;
			return 1;
		}
	}
	return 0;
}
