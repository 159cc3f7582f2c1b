/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct kallsyms: the kernel's functions, those of its modules and BPF programs, from
 * /proc/kallsyms, sorted and packed (about 4 bytes and the name for each). Addresses come from the
 * kernel, so a lookup trusts nothing but its own table.
 */
#pragma once

#include "agent/base/macro.h"

struct kallsyms;

struct kallsyms_hit {
	const char *name;   /* borrowed; until the next load or refresh */
	const char *module; /* borrowed; "" is the kernel itself, "bpf" a BPF program */
	uint64_t start;
	uint64_t offset; /* of the address from start */
};

/* Reads /proc/kallsyms. -EPERM when the kernel hides addresses (kptr_restrict and no CAP_SYSLOG),
 * -ENODATA when there are no functions, or the read error. */
int kallsyms_load(struct kallsyms **ret);
/* The same from text of that format. */
int kallsyms_parse(const char *text, size_t bytes, struct kallsyms **ret);
struct kallsyms *kallsyms_free(struct kallsyms *k);
DEFINE_CLEANUP(struct kallsyms *, kallsyms_free)

/* -ENOENT: no function there. Remembers the miss for kallsyms_refresh(). */
int kallsyms_lookup(struct kallsyms *k, uint64_t addr, struct kallsyms_hit *ret);

/*
 * Call before a batch of lookups, with the monotonic clock. Reads again when a lookup missed, or
 * when modules, BPF programs or links came or went, at most every 10 s; ever less often (down to
 * 10 min) while that does not explain the misses, or nobody is seen in BPF programs and
 * trampolines. 1: names changed (hits from before are invalid), 0: nothing to do, or an error (the
 * old table stays).
 */
int kallsyms_refresh(struct kallsyms *k, uint64_t now_ms);

size_t kallsyms_count(const struct kallsyms *k);
/* What the table takes in memory. */
size_t kallsyms_bytes(const struct kallsyms *k);
