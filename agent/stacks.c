/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stacks.h"

#include <errno.h>
#include <string.h>

#include "agent/tasks.h"

#define KEEP_INTERVALS 3
/* Within an interval nobody knows yet which stacks count: they are let grow to so many budgets. */
#define OVER_BUDGET    4
#define FORGET_AT_ONCE 256
#define SAMPLES_MAX    (1u << 18) /* some 15 MB */

void stacks_init(struct stacks *s, size_t max_bytes)
{
	*s = (struct stacks){.max_bytes = max_bytes, .interval = 1};
}

void stacks_done(struct stacks *s)
{
	HASH_FOREACH (slot, &s->by_hash)
		free((void *)(uintptr_t)slot->value);
	hash_done(&s->by_hash);
	hash_done(&s->sample_ids);
	free(s->samples);
	*s = (struct stacks){0};
}

uint64_t stacks_hash(const uint64_t *frames, size_t n)
{
	uint64_t h = STACK_HASH_SEED;

	for (size_t i = 0; i < n; i++)
		h = stack_hash(h, frames[i]);
	return h;
}

static size_t stack_bytes(const struct stack *st)
{
	return sizeof(*st) + 8 * ((size_t)st->n_kernel + st->n_user);
}

static struct stack *stack_get(const struct stacks *s, uint64_t hash)
{
	uint64_t v = hash_get(&s->by_hash, hash);

	return v == HASH_NONE ? NULL : (struct stack *)(uintptr_t)v;
}

const struct stack *stacks_add(struct stacks *s, uint64_t hash, const uint64_t *frames,
			       uint32_t n_kernel, uint32_t n_user, bool complete)
{
	struct stack *st = stack_get(s, hash);
	size_t n = (size_t)n_kernel + n_user;

	if (st)
		return st;
	if (s->bytes + sizeof(*st) + 8 * n > OVER_BUDGET * s->max_bytes)
		return NULL;
	st = malloc(sizeof(*st) + 8 * n);
	if (!st)
		return NULL;
	*st = (struct stack){
		.hash = hash,
		.n_kernel = n_kernel,
		.n_user = n_user,
		.complete = complete,
		.last_interval = s->interval,
	};
	memcpy(st->frames, frames, 8 * n);
	for (size_t i = n_kernel; i < n && !st->has_anon; i++)
		st->has_anon = FRAME_KIND(frames[i]) == FRAME_ANON;
	if (hash_put(&s->by_hash, hash, (uintptr_t)st) < 0) {
		free(st);
		return NULL;
	}
	s->bytes += stack_bytes(st);
	s->n_anon += st->has_anon;
	return st;
}

static struct stack_sample *add_sample(struct stacks *s, uint64_t key)
{
	if (s->n_samples == s->cap_samples) {
		size_t cap = s->cap_samples ? s->cap_samples * 2 : 256;
		struct stack_sample *samples = realloc(s->samples, cap * sizeof(*samples));

		if (!samples)
			return NULL;
		s->samples = samples;
		s->cap_samples = cap;
	}
	if (hash_put(&s->sample_ids, key, s->n_samples) < 0)
		return NULL;
	return &s->samples[s->n_samples++];
}

static uint64_t sample_key(uint64_t hash, struct task_id id)
{
	return hash_mix(hash ^ task_key(id));
}

int stacks_count(struct stacks *s, uint64_t hash, struct task_id id, uint64_t count)
{
	struct stack *st = stack_get(s, hash);
	uint64_t key = sample_key(hash, id), i = hash_get(&s->sample_ids, key);
	struct stack_sample *sample;

	if (i == HASH_NONE && s->n_samples >= SAMPLES_MAX) {
		/* Too many in one interval: the process at least is told. */
		st = NULL;
		key = sample_key(0, id);
		i = hash_get(&s->sample_ids, key);
	}
	if (st)
		st->last_interval = s->interval;
	if (i != HASH_NONE) {
		/* It may have come since, when its first announcement was lost. */
		if (!s->samples[i].stack)
			s->samples[i].stack = st;
		s->samples[i].count += count;
		return 0;
	}
	sample = s->n_samples < 2 * SAMPLES_MAX ? add_sample(s, key) : NULL;
	if (!sample) {
		s->lost += count;
		return -ENOMEM;
	}
	*sample = (struct stack_sample){.stack = st, .id = id, .count = count};
	return 0;
}

void stacks_next_interval(struct stacks *s, stacks_forget_fn forget, void *data)
{
	uint32_t keep = s->bytes > s->max_bytes ? 1 : KEEP_INTERVALS;
	uint64_t forgotten[FORGET_AT_ONCE];
	struct hash kept = {0};
	size_t n = 0;

	s->n_samples = 0;
	s->lost = 0;
	hash_done(&s->sample_ids);
	HASH_FOREACH (slot, &s->by_hash) {
		struct stack *st = (struct stack *)(uintptr_t)slot->value;

		if (s->interval - st->last_interval < keep &&
		    hash_put(&kept, slot->key, slot->value) == 0)
			continue;
		s->bytes -= stack_bytes(st);
		s->n_anon -= st->has_anon;
		forgotten[n++] = st->hash;
		free(st);
		if (n == FORGET_AT_ONCE) {
			forget(data, forgotten, n);
			n = 0;
		}
	}
	if (n)
		forget(data, forgotten, n);
	hash_done(&s->by_hash);
	s->by_hash = kept;
	s->interval++;
}
