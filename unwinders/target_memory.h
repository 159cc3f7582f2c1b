/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct target_memory: memory of a process that may write anything there, or be gone. Every read
 * is bounded and counts against a budget that its owner refills; what is read is not believed. Who
 * reads is behind a function: /proc/PID/mem in the agent, recordings in tests.
 */
#pragma once

#include "agent/base/macro.h"

struct target_pages;

struct target_memory {
	/* All n bytes, or a negative errno: -ESRCH gone, -EFAULT not mapped. */
	int (*read)(void *data, uint64_t addr, void *to, size_t n);
	void *data;    /* borrowed */
	size_t budget; /* bytes that may still be read; a read costs TARGET_READ_COST more */
	struct target_pages *pages; /* between target_hold() and target_release(); borrowed */
};

#define TARGET_READ_COST 64

/*
 * What belongs together lies together, and is read in bits: pages that were read once are read from
 * here, however often: until target_release(), and again when the same owner holds them the next
 * time without target_forget() in between. Meant for the moment that stacks are looked at: what the
 * process changes meanwhile is not seen.
 */
#define TARGET_PAGES	  16
#define TARGET_PAGE_BYTES 4096u
struct target_pages {
	uint64_t owner;			/* 0: nobody, nothing is held */
	uint64_t numbers[TARGET_PAGES]; /* number + 1; 0: free */
	uint8_t bytes[TARGET_PAGES][TARGET_PAGE_BYTES];
};
void target_hold(struct target_memory *m, struct target_pages *pages, uint64_t owner);
void target_release(struct target_memory *m);
void target_forget(struct target_pages *pages);
/* Reads anew from here on. False: nothing is held, all was read anew. */
bool target_refresh(struct target_memory *m);

/* 0, the reader's error, or -E2BIG: over the budget (nothing was read). */
int target_read(struct target_memory *m, uint64_t addr, void *to, size_t n);
/* What is there now, not what is held of it. */
int target_read_fresh(struct target_memory *m, uint64_t addr, void *to, size_t n);
int target_read_u64(struct target_memory *m, uint64_t addr, uint64_t *ret);
int target_read_u32(struct target_memory *m, uint64_t addr, uint32_t *ret);
int target_read_u16(struct target_memory *m, uint64_t addr, uint16_t *ret);
int target_read_u8(struct target_memory *m, uint64_t addr, uint8_t *ret);
/* A string of at most room - 1 bytes, cut there; always terminated. Its length or an error. */
int target_read_str(struct target_memory *m, uint64_t addr, char *to, size_t room);

/* Could this be an address that a process uses? */
static inline bool target_is_pointer(uint64_t v)
{
	return v >= TARGET_PAGE_BYTES && !(v >> 47);
}

/* -EBADMSG: what lies there is none. */
int target_read_pointer(struct target_memory *m, uint64_t addr, uint64_t *ret);
