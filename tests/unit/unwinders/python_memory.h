/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/python_walk.h over memory that a callback reads, as the kernel half drives it, and the file
 * format of its recordings (tests/fixtures/recordings/python):
 *
 *   struct python_rec, { u64 addr, bytes; the bytes, padded to 8 } [n_blocks], text: a line
 *   "name<TAB>file<TAB>line" for each frame, innermost first, "-" behind the frames of each run of
 * the loop, NUL-terminated
 */
#pragma once

#include <string.h>

#include "agent/base/buf.h"
#include "agent/base/cursor.h"
#include "bpf/python.h"

#define PYTHON_REC_MAGIC 0x3130303059504354ull

struct python_rec {
	uint64_t magic;
	struct python_file file;
	uint64_t load, thread;
	uint32_t n_blocks, text_bytes;
};

struct python_memory {
	int (*read)(struct python_memory *m, uint64_t addr, void *to, size_t n);
	void *data;
	/* What was pushed: records of the frames and their instructions. */
	struct python_record *records;
	uint64_t *more;
	size_t n, marked, room;
};

#define WALK_ENV struct python_memory
struct python_state;
static int python_push(struct python_memory *m, struct python_state *s);

static int walk_read(struct python_memory *m, __u64 addr, void *to, __u32 bytes)
{
	return m->read(m, addr, to, bytes) < 0;
}

static void python_mark(struct python_memory *m, struct python_state *s)
{
	(void)s;
	m->marked = m->n;
}

static void python_undo(struct python_memory *m, struct python_state *s)
{
	(void)s;
	m->n = m->marked;
}

#define PYTHON_WALK
#include "bpf/python_code.h"

static int python_push(struct python_memory *m, struct python_state *s)
{
	int r = python_read_code(m, s);

	if (r || m->n == m->room)
		return r != 2;
	m->records[m->n].e.key = python_describe(m, s, &m->records[m->n]);
	m->more[m->n] = s->more;
	return m->records[m->n].e.key ? (m->n++, 0) : 1;
}

static void python_memory_init(struct python_memory *m, size_t room)
{
	m->room = room;
	m->records = calloc(room, sizeof(*m->records));
	m->more = calloc(room, sizeof(*m->more));
	if (!m->records || !m->more)
		abort();
}

static void python_memory_done(struct python_memory *m)
{
	free(m->records);
	free(m->more);
}

/* The steps until a run of the loop is left, as bpf/python.bpf.c takes them. */
#define PYTHON_STEPS_MAX 4096
static inline int python_run(struct python_memory *m, struct python_state *s)
{
	int r = PYTHON_AGAIN;

	for (int i = 0; i < PYTHON_STEPS_MAX && r == PYTHON_AGAIN; i++)
		r = python_walk(m, s);
	return r;
}
