/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of a JVM, interrupted in Java code, or in native code that was walked up to Java code:
 * what was known of libjvm, registers, the stack up to where Java code ends, every piece of memory
 * that walk and names looked at, and what came out. A .jrec file is one recording after the other;
 * made by record_hotspot.c.
 *
 *   struct jrec_header, struct hotspot_file, struct walk_regs, stack, u64 addresses[n_blocks],
 *   blocks, u64 words[n_words], text (a line each: function, file, line), padding to 8 bytes
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "bpf/hotspot.h"
#include "unwinders/native.h"
#include "unwinders/runtime.h"

#define JREC_MAGIC 0x31304345524a5054ull /* "TPJREC01" */
#define JREC_BLOCK 64

struct jrec_header {
	uint64_t magic, bias;
	uint32_t bytes; /* of the whole recording */
	uint32_t file_bytes, regs_bytes, stack_bytes, n_blocks, n_words, text_bytes;
	uint32_t below; /* bytes of the stack below sp, where native code has put registers */
};

struct jrec { /* borrows the bytes it was parsed from */
	const struct jrec_header *h;
	struct hotspot_file file; /* 0 in what was not known when it was recorded */
	const struct walk_regs *regs;
	const uint8_t *stack;
	const uint64_t *addresses; /* ascending, of whole blocks */
	const uint8_t *blocks;
	const uint64_t *words;
	const char *text;
};

/* data: 8-byte aligned. The bytes of the recording, or -EBADMSG. */
static inline int jrec_parse(const void *data, size_t bytes, struct jrec *ret)
{
	struct cursor c = cursor_of(data, bytes);
	const struct jrec_header *h = (const void *)cursor_bytes(&c, sizeof(*h));
	struct jrec r = {.h = h};
	const uint8_t *file;

	if (!h || h->magic != JREC_MAGIC || h->file_bytes > sizeof(struct hotspot_file) ||
	    h->file_bytes < offsetof(struct hotspot_file, flags) || h->file_bytes % 8 ||
	    h->regs_bytes != sizeof(struct walk_regs) || h->bytes > bytes || h->bytes % 8 ||
	    h->bytes < sizeof(*h) || h->stack_bytes % 8 || h->below % 8 ||
	    h->below > h->stack_bytes)
		return -EBADMSG;
	c = cursor_of((const uint8_t *)data + sizeof(*h), h->bytes - sizeof(*h));
	file = cursor_bytes(&c, h->file_bytes);
	r.regs = (const void *)cursor_bytes(&c, sizeof(*r.regs));
	r.stack = cursor_bytes(&c, h->stack_bytes);
	r.addresses = (const void *)cursor_bytes(&c, 8 * (size_t)h->n_blocks);
	r.blocks = cursor_bytes(&c, JREC_BLOCK * (size_t)h->n_blocks);
	r.words = (const void *)cursor_bytes(&c, 8 * (size_t)h->n_words);
	r.text = (const void *)cursor_bytes(&c, h->text_bytes);
	if (c.bad || !h->text_bytes || r.text[h->text_bytes - 1])
		return -EBADMSG;
	memcpy(&r.file, file, h->file_bytes);
	*ret = r;
	return (int)h->bytes;
}

static inline const uint8_t *jrec_block(const struct jrec *r, uint64_t addr)
{
	uint32_t lo = 0, n = r->h->n_blocks;

	while (n) {
		uint32_t half = n / 2;

		if (r->addresses[lo + half] == addr)
			return r->blocks + JREC_BLOCK * (size_t)(lo + half);
		if (r->addresses[lo + half] < addr) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return NULL;
}

/* The read of a struct target_memory whose data is a struct jrec. */
static inline int jrec_read(void *data, uint64_t addr, void *to, size_t n)
{
	while (n) {
		uint64_t start = addr / JREC_BLOCK * JREC_BLOCK;
		size_t part = MIN(n, (size_t)(start + JREC_BLOCK - addr));
		const uint8_t *block = jrec_block(data, start);

		if (!block)
			return -EFAULT;
		memcpy(to, block + (addr - start), part);
		to = (uint8_t *)to + part;
		addr += part;
		n -= part;
	}
	return 0;
}

/* The walk over a recording, before its first step. still: the process was stopped. */
static inline struct native_walk jrec_start(const struct jrec *r, uint64_t *words, uint32_t room,
					    bool still)
{
	return (struct native_walk){
		.regs = *r->regs,
		.stack = r->stack,
		.stack_start = r->regs->sp - r->h->below,
		.stack_bytes = r->h->stack_bytes,
		.frames = words,
		.max_frames = room,
		.still = still,
	};
}

/* Walks Java code from w->regs on, until native code or trouble. */
static inline void jrec_walk(const struct runtime_process *p, struct native_walk *w)
{
	while (w->n_frames + 4 <= w->max_frames && hotspot_walk(p, w) == 0)
		;
}

/* The frames of w as text: a line for each function, innermost first. */
static inline void jrec_text(void *names, const struct runtime_process *p,
			     const struct native_walk *w, struct buf *ret)
{
	struct runtime_function functions[RUNTIME_FUNCTIONS_MAX];

	for (uint32_t i = 0; i < w->n_frames; i++) {
		struct runtime_frame f = {.process = p};
		const char *why = "?";
		int n;

		if (FRAME_KIND(w->frames[i]) != FRAME_MANAGED) {
			buf_printf(ret, "%s\n", hotspot_runtime.reasons[REASON_CODE(w->frames[i])]);
			continue;
		}
		f.value = FRAME_RUNTIME_VALUE(w->frames[i]);
		f.more = w->frames[++i] & FRAME_PAYLOAD;
		n = hotspot_runtime.name_frame(names, &f, functions, &why);
		if (n <= 0)
			buf_printf(ret, "%s\n", why);
		for (int k = 0; k < n; k++)
			buf_printf(ret, "%s %s %u\n", functions[k].name, functions[k].file,
				   functions[k].line);
	}
}
