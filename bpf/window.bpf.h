/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory of a walk in the kernel: the stack through a window that is read in one piece, which
 * costs less than frame by frame. For bpf/walk_base.h, with WALK_ENV struct cpu_state.
 */
#pragma once

#include "bpf/unwind.bpf.h"

static __always_inline int walk_read8(struct cpu_state *c, u64 addr, u64 *v)
{
	u64 off = addr - c->window_start;

	if (off <= WINDOW_BYTES - 8 && !(off & 7) && c->window_valid) {
		*v = *(u64 *)(c->window + (off & (WINDOW_BYTES - 8)));
		return 0;
	}
	return bpf_probe_read_user(v, 8, (void *)addr) != 0;
}

/* The walk left the window: moves it to where the walk is. Near the end of the mapping the read
 * fails as a whole; then the frames are read one by one. */
static __always_inline int window_move(struct cpu_state *c, u64 addr)
{
	if (c->window_refused || bpf_probe_read_user(c->window, WINDOW_BYTES, (void *)addr)) {
		c->window_refused = 1;
		return 0;
	}
	c->window_start = addr;
	c->window_valid = 1;
	return 1;
}

/* A return address; below it the frame's saved registers lie, above it the callers' frames. */
#define WALK_READ_RETURN walk_read_return
#define WINDOW_SAVED	 48

static __always_inline int walk_read_return(struct cpu_state *c, u64 addr, u64 *v)
{
	u64 off = addr - c->window_start;

	if (!(addr & 7) && !(off <= WINDOW_BYTES - 8 && c->window_valid) &&
	    window_move(c, addr - WINDOW_SAVED)) {
		*v = *(u64 *)(c->window + WINDOW_SAVED);
		return 0;
	}
	return walk_read8(c, addr, v);
}

static __always_inline int walk_read16(struct cpu_state *c, u64 addr, u64 *v)
{
	u64 off = addr - c->window_start;

	if (off <= WINDOW_BYTES - 16 && !(off & 7) && c->window_valid) {
		off &= WINDOW_BYTES - 8;
		v[0] = *(u64 *)(c->window + off);
		v[1] = *(u64 *)(c->window + ((off + 8) & (WINDOW_BYTES - 8)));
		return 0;
	}
	if (window_move(c, addr)) {
		v[0] = *(u64 *)c->window;
		v[1] = *(u64 *)(c->window + 8);
		return 0;
	}
	return bpf_probe_read_user(v, 16, (void *)addr) != 0;
}
