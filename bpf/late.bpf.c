/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Late unwinding, kernel half: when a walk meets a file or page whose rows are not loaded, the
 * sample is sent to user space together with a copy of the stack and the mappings that the words
 * of the copy point into - any of them may be a return address. So the walk can be finished even
 * when the process is gone by then. Rare by design: a page that was asked for is loaded.
 */
#include "bpf/unwind.bpf.h"

#define PAGE_BYTES 4096
/* Near the end of a mapping the stack is read in pieces of this size. */
#define PIECE_BYTES 64

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

static __always_inline int late_is_data(struct cpu_state *c, u64 addr)
{
	for (u32 i = 0; i < DATA_SPANS; i++) {
		if (addr - c->data_spans[i].start < c->data_spans[i].size)
			return 1;
	}
	return 0;
}

/* One word of the window: resolves the mapping if it may be a return address. */
__noinline int late_scan_word(u32 cpu, u32 at)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u64 word;

	if (!c)
		return 1;
	word = arch_code_address(&c->r, *(u64 *)(c->window + (at & (WINDOW_BYTES - 8))));
	/* Not an address of user space, or one of the stack itself. (Libraries may lie right above
	 * the stack of a thread.) */
	if (word < PAGE_BYTES || word >> ARCH_ADDRESS_BITS || word - c->r.sp < LATE_SMALL_BYTES / 2)
		return 0;
	if (late_is_data(c, word) || late_known(c, word))
		return 0;
	c->no_code.start = word & ~(u64)(PAGE_BYTES - 1);
	c->no_code.size = PAGE_BYTES; /* unless a mapping is found there */
	if (vma_resolve(cpu, word) < 0)
		c->data_spans[c->n_data_spans++ & (DATA_SPANS - 1)] = c->no_code;
	return 0;
}

/* Fills the window from addr on; the bytes that could be had. */
static __always_inline u32 late_read_window(struct cpu_state *c, u64 addr)
{
	u32 done = 0;

	if (bpf_probe_read_user(c->window, WINDOW_BYTES, (void *)addr) == 0)
		return WINDOW_BYTES;
	for (u32 i = 0; i < WINDOW_BYTES / PIECE_BYTES; i++) {
		if (bpf_probe_read_user(c->window + i * PIECE_BYTES, PIECE_BYTES,
					(void *)(addr + i * PIECE_BYTES)))
			break;
		done += PIECE_BYTES;
	}
	return done;
}

/* One window of the stack. Nonzero: the stack ends here. */
__noinline int late_scan(u32 cpu, u64 addr)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u32 bytes;

	if (!c)
		return 1;
	bytes = late_read_window(c, addr);
	for (u32 at = 0; at < WINDOW_BYTES; at += 8) {
		if (at >= bytes || late_scan_word(cpu, at))
			return 1;
	}
	return 0;
}

/* Copies the stack from sp on, as much as there is: whole pages but the first, pieces at the end.
 */
static __always_inline u32 late_copy(u64 sp, u8 *to, u32 room)
{
	u32 done = 0, part = PAGE_BYTES - (sp & (PAGE_BYTES - 1));

	for (u32 i = 0; i < room / PAGE_BYTES; i++) {
		if (part > PAGE_BYTES || done > room - PAGE_BYTES)
			break;
		if (bpf_probe_read_user(to + done, part, (void *)(sp + done)))
			break;
		done += part;
		part = PAGE_BYTES;
	}
	return done;
}

static __always_inline void late_fill(struct cpu_state *c, struct event_late *e, u32 bytes)
{
	u32 n = c->n_kernel + c->n_user + c->n_loops;

	e->h.kind = EVENT_LATE;
	e->h.bytes = sizeof(*e) + bytes;
	e->id = c->id;
	e->n_kernel = c->n_kernel;
	e->n_user = c->n_user;
	e->n_loops = c->n_loops;
	e->gap = c->gap;
	e->n_ranges = c->n_ranges;
	e->stack_bytes = bytes;
	e->regs = c->r;
	for (int i = 0; i < WALK_RANGES; i++)
		e->ranges[i] = c->ranges[i];
	if (n <= LATE_FRAMES_MAX)
		bpf_probe_read_kernel(e->frames, 8 * n, c->frames);
}

__noinline int late_send_small(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct event_late_small *e;

	if (!c)
		return 1;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		c->stats[STAT_LOST_RING]++;
		return 1;
	}
	late_fill(c, &e->late, late_copy(c->r.sp, e->stack, LATE_SMALL_BYTES));
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

__noinline int late_send_large(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	struct event_late_large *e;

	if (!c)
		return 1;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return late_send_small(cpu);
	late_fill(c, &e->late, late_copy(c->r.sp, e->stack, LATE_STACK_BYTES));
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

__noinline int late_send(u32 cpu)
{
	struct cpu_state *c = cpu_state_of(cpu);
	u64 link;
	u8 probe;

	if (!c)
		return 1;
	/* This one is cut; the next finds the rows. */
	if (c->n_kernel + c->n_user > LATE_FRAMES_MAX) {
		struct event_page page = {
			.h.kind = EVENT_PAGE, .h.bytes = sizeof(page), .frame = c->blocked};

		event_send(c, &page, sizeof(page), BPF_RB_FORCE_WAKEUP);
		return 1;
	}
	late_pin_registers(c);
	link = arch_link_register(&c->r);
	if (link && !late_known(c, link))
		vma_resolve(cpu, link);
	for (u32 i = 0; i < DATA_SPANS; i++)
		c->data_spans[i].size = 0;
	for (u32 i = 0; i < LATE_STACK_BYTES / WINDOW_BYTES; i++) {
		if (late_scan(cpu, c->r.sp + i * WINDOW_BYTES))
			break;
	}
	/* Whose loops they may be is known by now. */
	loops_capture(cpu);
	/* Is there more stack than a small record holds? */
	if (bpf_probe_read_user(&probe, 1, (void *)(c->r.sp + LATE_SMALL_BYTES - PAGE_BYTES)))
		return late_send_small(cpu);
	return late_send_large(cpu);
}
