/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/late.h"

#include <errno.h>
#include <string.h>

struct late_sample {
	struct late_sample *next;
	struct task_id id;
	uint32_t n_kernel;
	size_t bytes;
	struct native_walk walk; /* points into data */
	uint8_t data[];		 /* ranges, stack */
};

struct late {
	struct late_options o;
	struct late_sample *first, **last;
	size_t n, bytes;
	uint64_t frames[FRAMES_ROOM]; /* of the sample that is walked now */
	struct late_stats stats;
};

int late_new(const struct late_options *o, struct late **ret)
{
	struct late *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->o = *o;
	l->last = &l->first;
	*ret = l;
	return 0;
}

struct late *late_free(struct late *l)
{
	if (!l)
		return NULL;
	while (l->first) {
		struct late_sample *s = l->first;

		l->first = s->next;
		free(s);
	}
	free(l);
	return NULL;
}

/* frames: kernel frames, then w->frames; room for one more. */
static void finish(struct late *l, struct task_id id, uint32_t n_kernel, struct native_walk *w,
		   bool complete)
{
	uint32_t n_user = w->n_frames - n_kernel;
	uint64_t hash;

	if (!complete && w->reason) {
		w->frames[w->n_frames] = FRAME(FRAME_REASON, w->reason);
		n_user++;
	}
	complete = complete && !w->gap;
	if (l->o.finished)
		l->o.finished(l->o.data, id, w->frames + n_kernel, n_user);
	hash = stacks_hash(w->frames, n_kernel + n_user);
	(void)stacks_add(l->o.stacks, hash, w->frames, n_kernel, n_user, complete);
	(void)stacks_count(l->o.stacks, hash, id, 1);
	l->stats.finished++;
	l->stats.complete += complete;
}

static void drop(struct late *l, struct task_id id, uint32_t n_kernel, struct native_walk *w,
		 enum reason reason)
{
	w->reason = reason;
	l->stats.dropped++;
	finish(l, id, n_kernel, w, false);
}

/* A copy of everything the walk refers to, so that it can go on when the record is gone. */
static struct late_sample *sample_copy(const struct native_walk *w, const struct event_late *e)
{
	size_t ranges = w->n_ranges * sizeof(struct range), frames = 8 * (size_t)w->n_frames;
	size_t loops = 8 * (size_t)w->n_loops, bytes = ranges + frames + loops + w->stack_bytes;
	struct late_sample *s = malloc(sizeof(*s) + bytes);

	if (!s)
		return NULL;
	s->next = NULL;
	s->id = e->id;
	s->n_kernel = e->n_kernel;
	s->bytes = sizeof(*s) + bytes;
	s->walk = *w;
	memcpy(s->data, w->ranges, ranges);
	memcpy(s->data + ranges, w->frames, frames);
	memcpy(s->data + ranges + frames, w->loops, loops);
	memcpy(s->data + ranges + frames + loops, w->stack, w->stack_bytes);
	s->walk.ranges = (const struct range *)s->data;
	s->walk.frames = (uint64_t *)(s->data + ranges);
	s->walk.loops = (const uint64_t *)(s->data + ranges + frames);
	s->walk.stack = s->data + ranges + frames + loops;
	return s;
}

static bool event_valid(const struct event_late *e)
{
	uint64_t frames = (uint64_t)e->n_kernel + e->n_user + e->n_loops;

	return frames <= LATE_FRAMES_MAX && e->stack_bytes <= LATE_STACK_BYTES &&
	       e->n_ranges <= WALK_RANGES && e->n_kernel < STACK_MAX_KERNEL &&
	       e->h.bytes >= sizeof(*e) + e->stack_bytes;
}

/* Walks with the room of l->frames; keeps what was walked when it has to wait. */
static int walk_on(struct late *l, struct task_id id, struct native_walk *w)
{
	struct late_walk walk = {.data = l->o.data, .id = id};
	uint64_t *own = w->frames;

	memcpy(l->frames, own, 8 * (size_t)w->n_frames);
	w->frames = l->frames;
	w->max_frames = FRAMES_ROOM - 1;
	return native_walk(w, l->o.ops, &walk);
}

/* User frames: those of a runtime are two words. */
static uint32_t depth_of(const __u64 *frames, uint32_t n)
{
	uint32_t depth = n;

	for (uint32_t i = 0; i < n; i++)
		depth -= FRAME_KIND(frames[i]) == FRAME_MORE;
	return depth;
}

void late_add(struct late *l, const struct event_late *e)
{
	uint64_t frames = (uint64_t)e->n_kernel + e->n_user;
	struct late_sample *s;
	struct native_walk w;
	int r;

	if (!event_valid(e))
		return;
	l->stats.samples++;
	w = (struct native_walk){
		.regs = e->regs,
		.ranges = e->ranges,
		.n_ranges = e->n_ranges,
		.frames = (uint64_t *)e->frames,
		.n_frames = (uint32_t)frames,
		.limit = l->o.max_frames,
		.depth = depth_of(e->frames + e->n_kernel, e->n_user),
		.loops = (const uint64_t *)e->frames + frames,
		.n_loops = e->n_loops,
		.gap = e->gap,
		.stack = (const uint8_t *)(e + 1),
		.stack_start = e->regs.sp,
		.stack_bytes = e->stack_bytes,
	};
	r = walk_on(l, e->id, &w);
	if (r != -EAGAIN) {
		finish(l, e->id, e->n_kernel, &w, r == 1);
		return;
	}
	s = l->bytes < l->o.max_bytes ? sample_copy(&w, e) : NULL;
	if (!s) {
		drop(l, e->id, e->n_kernel, &w, REASON_LATE_DROPPED);
		return;
	}
	*l->last = s;
	l->last = &s->next;
	l->bytes += s->bytes;
	l->n++;
}

static void unlink_sample(struct late *l, struct late_sample **at)
{
	struct late_sample *s = *at;

	*at = s->next;
	if (l->last == &s->next)
		l->last = at;
	l->bytes -= s->bytes;
	l->n--;
	free(s);
}

void late_resume(struct late *l)
{
	struct late_sample **at = &l->first;

	while (*at) {
		struct late_sample *s = *at;
		struct native_walk w = s->walk;
		int r = walk_on(l, s->id, &w);

		if (r == -EAGAIN) {
			/* From where it was queued: the frames in between are cheap to walk again.
			 */
			at = &s->next;
			continue;
		}
		finish(l, s->id, s->n_kernel, &w, r == 1);
		unlink_sample(l, at);
	}
}

void late_give_up(struct late *l, enum reason reason)
{
	while (l->first) {
		struct late_sample *s = l->first;
		struct native_walk w = s->walk;

		memcpy(l->frames, w.frames, 8 * (size_t)w.n_frames);
		w.frames = l->frames;
		drop(l, s->id, s->n_kernel, &w, reason);
		unlink_sample(l, &l->first);
	}
}

size_t late_waiting(const struct late *l)
{
	return l->n;
}

void late_get_stats(const struct late *l, struct late_stats *ret)
{
	*ret = l->stats;
}
