/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct stacks: stacks by hash, and the samples counted on them in the current interval. A stack
 * stays for some intervals after it was last counted, because the kernel delivers it only once;
 * over the byte budget the least recently counted go first.
 */
#pragma once

#include "agent/base/hash.h"
#include "bpf/types.h"

struct stack {
	uint64_t hash;
	uint32_t n_kernel, n_user;
	bool complete;
	bool has_anon;		/* frames in code without a file */
	uint32_t last_interval; /* when it was counted last */
	uint64_t frames[];
};

struct stack_sample {
	const struct stack *stack; /* NULL: never delivered */
	struct task_id id;
	uint64_t count;
};

struct stacks {
	struct hash by_hash; /* -> pointer to struct stack */
	struct stack_sample *samples;
	size_t n_samples, cap_samples;
	struct hash sample_ids; /* hash of (stack, task) -> index of the sample */
	size_t n_anon;		/* stacks that has_anon is true of */
	size_t bytes, max_bytes;
	uint32_t interval;
	uint64_t lost; /* samples of this interval that could not be counted: no memory */
};

void stacks_init(struct stacks *s, size_t max_bytes);
void stacks_done(struct stacks *s);
/* Adds a stack unless it is there. NULL without memory, or when the stacks of one interval are far
 * over the budget. Borrowed until stacks_next_interval(). */
const struct stack *stacks_add(struct stacks *s, uint64_t hash, const uint64_t *frames,
			       uint32_t n_kernel, uint32_t n_user, bool complete);
/* The hash of frame words as the kernel computes it. */
uint64_t stacks_hash(const uint64_t *frames, size_t n);
/* 0 or -ENOMEM; the samples are in `lost` then. Over a bound of different (stack, task) pairs, new
 * ones are counted on their process, without a stack. */
int stacks_count(struct stacks *s, uint64_t hash, struct task_id id, uint64_t count);
/* Forgets the samples and the stacks that were not counted for a while; `forget` is told their
 * hashes, many at once. */
typedef void (*stacks_forget_fn)(void *data, const uint64_t *hashes, size_t n);
void stacks_next_interval(struct stacks *s, stacks_forget_fn forget, void *data);
