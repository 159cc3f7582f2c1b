/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Late unwinding, kernel half: when a walk meets a file or page whose rows are not loaded, the
 * sample is sent to user space together with a copy of the stack and the mappings that the words
 * of the copy point into - any of them may be a return address. So the walk can be finished even
 * when the process is gone by then. Rare by design: a page that was asked for is loaded.
 */
#include "bpf/unwind.bpf.h"

/* The copy is scanned in strides: one loop over all words would be too long for the verifier. */
#define LATE_STRIDE_WORDS 64
#define LATE_STRIDES	  (LATE_STACK_BYTES / 8 / LATE_STRIDE_WORDS)

static __always_inline void late_pin_registers(struct cpu_state *c)
{
	/* Saved values may lie below the copy, in frames that are walked already. */
	for (int i = 0; i < SLOT_MAX; i++) {
		u64 at = c->r.saved[i], v;

		if (at == SAVED_NOWHERE || at == SAVED_LOST)
			continue;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)at)) {
			c->r.saved[i] = SAVED_LOST;
			continue;
		}
		c->r.regs[i] = v;
		c->r.saved[i] = SAVED_NOWHERE;
	}
}

/* Copies the stack from sp on, as much as there is: whole 4 KiB pages, the last may be short. */
static __always_inline u32 late_copy(struct cpu_state *c, u32 at)
{
	u64 sp = c->r.sp;
	u32 done = 0, part = 4096 - (sp & 4095);

	for (int i = 0; i < (int)(LATE_STACK_BYTES >> 12); i++) {
		u32 to = at + done;

		if (part > 4096 || to > sizeof(c->late.data) - 4096)
			break;
		if (bpf_probe_read_user(c->late.data + to, part, (void *)(sp + done)))
			break;
		done += part;
		part = 4096;
	}
	return done;
}

static __always_inline int late_known(struct cpu_state *c, u64 addr)
{
	for (u32 i = 0; i < WALK_RANGES; i++) {
		if (i >= c->n_ranges)
			return 0;
		if (addr - c->ranges[i].start < c->ranges[i].size)
			return 1;
	}
	return 1; /* no room for more */
}

/* One word of the stack: resolves the mapping if it may be a return address. */
__noinline int late_scan_word(u32 cpu, u32 at)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u64 word;

	if (!c || at > sizeof(c->late.data) - 8)
		return 1;
	word = *(u64 *)(c->late.data + at);
	/* Not an address of user space, or one of the copied stack itself. (Libraries may lie right
	 * above the stack of a thread.) */
	if (word < 4096 || word >> 47 || word - c->r.sp < LATE_STACK_BYTES / 4)
		return 0;
	/* Most words that are not code point into the same page as their neighbour. */
	if (word >> 12 == c->window_start >> 12 || late_known(c, word))
		return 0;
	if (vma_resolve(cpu, word) < 0)
		c->window_start = word;
	return 0;
}

__noinline int late_scan(u32 cpu, u32 at, u32 end)
{
	for (u32 i = 0; i < LATE_STRIDE_WORDS; i++, at += 8) {
		if (at >= end || late_scan_word(cpu, at))
			return 1;
	}
	return 0;
}

__noinline int late_send(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u32 n, bytes, at;

	if (!c)
		return 1;
	n = c->n_kernel + c->n_user;
	if (n > LATE_FRAMES_MAX)
		return 1;
	late_pin_registers(c);
	at = 8 * n;
	if (bpf_probe_read_kernel(c->late.data, at, c->frames))
		return 1;
	bytes = late_copy(c, at);
	c->window_start = 0;
	for (u32 i = 0; i < LATE_STRIDES; i++) {
		if (late_scan(cpu, at + i * 8 * LATE_STRIDE_WORDS, at + bytes))
			break;
	}
	c->late.h.kind = EVENT_LATE;
	c->late.id = c->id;
	c->late.n_kernel = c->n_kernel;
	c->late.n_user = c->n_user;
	c->late.n_ranges = c->n_ranges;
	c->late.stack_bytes = bytes;
	c->late.regs = c->r;
	for (int i = 0; i < WALK_RANGES; i++)
		c->late.ranges[i] = c->ranges[i];
	bytes += at + offsetof(struct event_late, data);
	if (bytes > sizeof(struct event_late))
		return 1;
	c->late.h.bytes = bytes;
	return !event_send(c, &c->late, bytes, BPF_RB_FORCE_WAKEUP);
}
