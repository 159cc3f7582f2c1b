/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over anything: any registers, mappings, rules and stack. An input is a recording
 * (tests/unit/unwinders/recording.h) without its frames and names; numbers that do not fit are cut
 * to what there is. It must end, stay inside its memory and give the same when it is resumed.
 */
#include <stdlib.h>

#include "tests/unit/unwinders/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 200 /* as good as 1024 to find what does not end, and faster */

struct input {
	struct walk_regs regs;
	struct range ranges[WALK_RANGES];
	uint32_t n_ranges;
	const uint8_t *rules; /* pairs of frame word and rule, not aligned */
	uint32_t n_rules;
	bool stop; /* at every other question */
	uint32_t asked;
};

static int rule_of(void *data, uint64_t frame, uint64_t *ret_rule)
{
	struct input *in = data;
	uint64_t pair[2];

	if (in->stop && in->asked++ % 2 == 0)
		return -EAGAIN;
	for (uint32_t i = 0; i < in->n_rules; i++) {
		memcpy(pair, in->rules + 16 * (size_t)i, sizeof(pair));
		if (pair[0] == frame) {
			*ret_rule = pair[1];
			return 0;
		}
	}
	if (!in->n_rules || frame % 16 == 0)
		return -ENODATA;
	/* Code that the recording never saw has some rule all the same. */
	memcpy(ret_rule, in->rules + 16 * (size_t)(frame % in->n_rules) + 8, 8);
	return 0;
}

static uint32_t walk(struct input *in, const uint8_t *stack, size_t bytes, uint64_t *frames)
{
	struct native_walk w = {
		.regs = in->regs,
		.ranges = in->ranges,
		.n_ranges = in->n_ranges,
		.stack = stack,
		.stack_start = in->regs.sp,
		.stack_bytes = bytes,
		.frames = frames,
		.max_frames = LIMIT,
		.limit = LIMIT,
	};
	int r;

	while ((r = native_walk(&w, &(struct native_ops){.rule = rule_of}, in)) == -EAGAIN)
		;
	if ((r != 0 && r != 1) || w.n_frames > LIMIT || (r == 0 && w.reason == REASON_NONE) ||
	    w.reason >= REASON_MAX)
		abort();
	return w.n_frames;
}

static void take_input(struct cursor *c, const struct recording_header *h, struct input *ret)
{
	size_t n = MIN(cursor_left(c), sizeof(ret->regs));

	memcpy(&ret->regs, cursor_bytes(c, n), n);
	ret->n_ranges = (uint32_t)MIN(MIN(h->n_ranges, (uint32_t)WALK_RANGES),
				      cursor_left(c) / sizeof(struct range));
	memcpy(ret->ranges, cursor_bytes(c, ret->n_ranges * sizeof(struct range)),
	       ret->n_ranges * sizeof(struct range));
	ret->n_rules = (uint32_t)MIN(MIN(h->n_rules, 512u), cursor_left(c) / 16);
	ret->rules = cursor_bytes(c, 16 * (size_t)ret->n_rules);
	cursor_skip(c, MIN(8 * (size_t)h->n_frames, cursor_left(c)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint64_t *frames = NULL, *again = NULL;
	_cleanup_free_ uint8_t *stack = NULL;
	struct cursor c = cursor_of(data, size);
	struct recording_header h;
	struct input in = {0};
	uint32_t n;
	size_t bytes;

	if (size < sizeof(h))
		return 0;
	memcpy(&h, cursor_bytes(&c, sizeof(h)), sizeof(h));
	take_input(&c, &h, &in);
	bytes = MIN(cursor_left(&c), (size_t)MIN(h.stack_bytes, LATE_STACK_BYTES));
	/* Of their exact sizes, so that the sanitizer sees what lies outside. */
	stack = malloc(bytes ? bytes : 1);
	frames = calloc(LIMIT, sizeof(*frames));
	again = calloc(LIMIT, sizeof(*again));
	if (!stack || !frames || !again)
		return 0;
	memcpy(stack, cursor_bytes(&c, bytes), bytes);
	n = walk(&in, stack, bytes, frames);
	in.stop = true;
	if (walk(&in, stack, bytes, again) != n || memcmp(frames, again, 8 * (size_t)n) != 0)
		abort();
	return 0;
}
