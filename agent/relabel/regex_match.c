/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two matchers with one result (as in Go's regexp): for short texts a backtracker that marks every
 * (instruction, position) it has been at, for long ones a simulation of all threads at once (Pike),
 * which needs memory for the instructions only. Both take time linear in the text.
 */
#include <errno.h>
#include <string.h>

#include "agent/relabel/regex_internal.h"
#include "agent/relabel/unicode.h"

#define BACKTRACK_BITS 262144u /* marks; 32 KiB */
#define MAX_WORK       (64u << 20)
#define END_OF_TEXT    UINT32_MAX

struct job {
	uint32_t pc;
	int32_t pos;
	bool back; /* ALT: now the other way; CAP: put back what was there, which is pos */
};

struct queue {
	uint32_t *sparse, *dense;
	uint32_t n;
	int32_t *caps; /* n_caps for each in dense */
};

struct regex_work {
	struct job *jobs;
	size_t n_jobs, cap_jobs;
	uint64_t *marks;
	/* Pike. */
	uint8_t *memory;
	size_t memory_bytes;
	int32_t *spare;
};

struct input {
	const struct regex *re;
	struct regex_scratch *x;
	const char *s;
	int32_t n;
	int32_t n_caps;
	uint64_t steps;
};

void regex_scratch_done(struct regex_scratch *x)
{
	if (x->work) {
		free(x->work->jobs);
		free(x->work->marks);
		free(x->work->memory);
		free(x->work);
	}
	free(x->groups);
	*x = (struct regex_scratch){0};
}

static uint32_t char_at(const struct input *in, int32_t pos, int32_t *ret_next)
{
	size_t len;
	uint32_t c;

	if (pos >= in->n) {
		*ret_next = pos;
		return END_OF_TEXT;
	}
	c = (unsigned char)in->s[pos];
	if (c < 0x80) {
		*ret_next = pos + 1;
		return c;
	}
	c = unicode_decode(in->s + pos, (size_t)(in->n - pos), &len);
	*ret_next = pos + (int32_t)len;
	return c;
}

static bool is_word(const struct input *in, int32_t pos)
{
	unsigned char c = pos >= 0 && pos < in->n ? (unsigned char)in->s[pos] : 0;

	return c == '_' || (c && c < 0x80 && unicode_is_alnum(c));
}

static bool look(const struct input *in, uint32_t what, int32_t pos)
{
	switch ((enum regex_look)what) {
	case LOOK_BEGIN_LINE:
		return !pos || in->s[pos - 1] == '\n';
	case LOOK_END_LINE:
		return pos == in->n || in->s[pos] == '\n';
	case LOOK_BEGIN_TEXT:
		return !pos;
	case LOOK_END_TEXT:
		return pos == in->n;
	case LOOK_WORD:
		return is_word(in, pos - 1) != is_word(in, pos);
	case LOOK_NOT_WORD:
		return is_word(in, pos - 1) == is_word(in, pos);
	}
	return false;
}

static bool in_class(const struct regex_class *k, uint32_t c)
{
	size_t at;

	if (c < 0x80)
		return k->ascii[c / 64] >> (c % 64) & 1;
	at = PARTITION_POINT(mid, 0, k->set.n, k->set.v[mid].hi < c);
	return at < k->set.n && c >= k->set.v[at].lo;
}

static bool takes(const struct regex *re, const struct inst *i, uint32_t c)
{
	if (c == END_OF_TEXT)
		return false;
	switch ((enum inst_op)i->op) {
	case INST_RUNE:
		return c == i->arg;
	case INST_CLASS:
		return in_class(&re->classes[i->arg], c);
	case INST_ANY:
		return true;
	case INST_ANY_NOT_NL:
		return c != '\n';
	case INST_FAIL:
	case INST_MATCH:
	case INST_ALT:
	case INST_CAP:
	case INST_LOOK:
	case INST_NOP:
		break;
	}
	return false;
}

static int add_job(struct regex_work *w, uint32_t pc, int32_t pos, bool back)
{
	if (w->n_jobs == w->cap_jobs) {
		size_t cap = w->cap_jobs ? w->cap_jobs * 2 : 64;
		struct job *v = realloc(w->jobs, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->jobs = v;
		w->cap_jobs = cap;
	}
	w->jobs[w->n_jobs++] = (struct job){pc, pos, back};
	return 0;
}

static bool mark(struct input *in, uint32_t pc, int32_t pos)
{
	uint64_t bit = (uint64_t)pc * (uint64_t)(in->n + 1) + (uint64_t)pos;
	uint64_t *word = &in->x->work->marks[bit / 64];

	if (*word >> (bit % 64) & 1)
		return false;
	*word |= UINT64_C(1) << (bit % 64);
	in->steps++;
	return true;
}

/* Follows one way from pc until it fails (0) or matches (1); puts the others on the stack. */
static int follow(struct input *in, uint32_t pc, int32_t pos, bool marked)
{
	const struct regex *re = in->re;
	int32_t *groups = in->x->groups, next;
	int r;

	for (;; marked = false) {
		const struct inst *i = &re->prog[pc];

		if (!marked && !mark(in, pc, pos))
			return 0;
		switch ((enum inst_op)i->op) {
		case INST_FAIL:
			return 0;
		case INST_MATCH:
			groups[1] = pos;
			return 1;
		case INST_ALT:
			r = add_job(in->x->work, pc, pos, true);
			if (r < 0)
				return r;
			break;
		case INST_CAP:
			r = add_job(in->x->work, pc, groups[i->arg], true);
			if (r < 0)
				return r;
			groups[i->arg] = pos;
			break;
		case INST_LOOK:
			if (!look(in, i->arg, pos))
				return 0;
			break;
		case INST_NOP:
			break;
		case INST_RUNE:
		case INST_CLASS:
		case INST_ANY:
		case INST_ANY_NOT_NL:
			if (!takes(re, i, char_at(in, pos, &next)))
				return 0;
			pos = next;
			break;
		}
		pc = i->out;
	}
}

static int backtrack_from(struct input *in, int32_t start, uint64_t budget)
{
	struct regex_work *w = in->x->work;
	int r;

	w->n_jobs = 0;
	in->x->groups[0] = start;
	r = follow(in, in->re->start, start, false);
	while (!r && w->n_jobs) {
		struct job j = w->jobs[--w->n_jobs];
		const struct inst *i = &in->re->prog[j.pc];

		if (in->steps > budget)
			return -E2BIG;
		if (i->op == INST_CAP)
			in->x->groups[i->arg] = j.pos;
		else
			r = follow(in, i->arg, j.pos, false);
	}
	return r;
}

static int backtrack(struct input *in, uint64_t budget)
{
	struct regex_work *w = in->x->work;
	size_t words = ((size_t)in->re->n_prog * (size_t)(in->n + 1) + 63) / 64;
	int r = 0;

	if (!w->marks)
		w->marks = malloc(BACKTRACK_BITS / 8 + 8);
	if (!w->marks)
		return -ENOMEM;
	memset(w->marks, 0, words * 8);
	in->steps += words / 8;
	for (int32_t start = 0; start <= in->n && !r;) {
		int32_t next;

		r = backtrack_from(in, start, budget);
		if (in->re->anchored || start == in->n)
			break;
		(void)char_at(in, start, &next);
		start = next;
	}
	return r;
}

static int32_t *caps_of(const struct input *in, const struct queue *q, uint32_t i)
{
	return q->caps + (size_t)i * (size_t)in->n_caps;
}

/* Adds pc and all that it leads to without a character, best first. caps is changed and put back.
 */
static int add_thread(struct input *in, struct queue *q, uint32_t pc, int32_t pos, int32_t *caps)
{
	struct regex_work *w = in->x->work;
	size_t base = w->n_jobs;
	int r = add_job(w, pc, 0, false);

	while (r >= 0 && w->n_jobs > base) {
		struct job j = w->jobs[--w->n_jobs];
		const struct inst *i = &in->re->prog[j.pc];
		uint32_t k = q->sparse[j.pc];

		if (j.back) {
			caps[i->arg] = j.pos;
			continue;
		}
		if (k < q->n && q->dense[k] == j.pc)
			continue;
		k = q->n++;
		q->sparse[j.pc] = k;
		q->dense[k] = j.pc;
		in->steps++;
		if (i->op == INST_ALT) {
			r = add_job(w, i->arg, 0, false);
			if (r >= 0)
				r = add_job(w, i->out, 0, false);
		} else if (i->op == INST_NOP || (i->op == INST_LOOK && look(in, i->arg, pos))) {
			r = add_job(w, i->out, 0, false);
		} else if (i->op == INST_CAP) {
			r = add_job(w, j.pc, caps[i->arg], true);
			caps[i->arg] = pos;
			if (r >= 0)
				r = add_job(w, i->out, 0, false);
		} else if (i->op != INST_FAIL && i->op != INST_LOOK) {
			memcpy(caps_of(in, q, k), caps, (size_t)in->n_caps * sizeof(*caps));
			in->steps += (uint64_t)in->n_caps / 16;
		}
	}
	return r;
}

/* One character for all threads. 1: one of them has matched, those after it are given up. */
static int advance(struct input *in, const struct queue *now, struct queue *then, uint32_t c,
		   int32_t pos, int32_t next)
{
	int32_t *spare = in->x->work->spare;

	for (uint32_t k = 0; k < now->n; k++) {
		const struct inst *i = &in->re->prog[now->dense[k]];
		int r;

		if (i->op == INST_MATCH) {
			memcpy(in->x->groups, caps_of(in, now, k),
			       (size_t)in->n_caps * sizeof(int32_t));
			in->x->groups[1] = pos;
			return 1;
		}
		if (!takes(in->re, i, c))
			continue;
		memcpy(spare, caps_of(in, now, k), (size_t)in->n_caps * sizeof(*spare));
		r = add_thread(in, then, i->out, next, spare);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pike_memory(struct input *in, struct queue q[2])
{
	struct regex_work *w = in->x->work;
	size_t n = in->re->n_prog, caps = (size_t)in->n_caps * sizeof(int32_t);
	size_t bytes = 2 * (n * 2 * sizeof(uint32_t) + n * caps) + caps;
	uint8_t *p;

	if (bytes > MAX_WORK)
		return -E2BIG;
	if (bytes > w->memory_bytes) {
		free(w->memory);
		w->memory_bytes = 0;
		/* Zeroed once: what sparse[] holds may be anything, but not undefined. */
		w->memory = calloc(1, bytes);
		if (!w->memory)
			return -ENOMEM;
		w->memory_bytes = bytes;
	}
	p = w->memory;
	for (int i = 0; i < 2; i++) {
		q[i] = (struct queue){.sparse = (uint32_t *)p, .dense = (uint32_t *)p + n};
		p += n * 2 * sizeof(uint32_t);
		q[i].caps = (int32_t *)p;
		p += n * caps;
	}
	w->spare = (int32_t *)p;
	return 0;
}

static int pike(struct input *in, uint64_t budget)
{
	struct queue q[2], *now = &q[0], *then = &q[1];
	bool matched = false;
	int32_t pos = 0, next;
	int r = pike_memory(in, q);

	if (r < 0)
		return r;
	in->x->work->n_jobs = 0;
	for (;; pos = next) {
		uint32_t c = char_at(in, pos, &next);
		struct queue *swap = now;

		if (!matched && (!pos || !in->re->anchored)) {
			int32_t *spare = in->x->work->spare;

			for (int32_t i = 0; i < in->n_caps; i++)
				spare[i] = -1;
			spare[0] = pos;
			r = add_thread(in, now, in->re->start, pos, spare);
			if (r < 0)
				return r;
		}
		if (!now->n && (matched || in->re->anchored))
			break;
		then->n = 0;
		r = advance(in, now, then, c, pos, next);
		if (r < 0)
			return r;
		matched = matched || r;
		if (++in->steps > budget)
			return -E2BIG;
		if (c == END_OF_TEXT)
			break;
		now = then;
		then = swap;
	}
	return matched;
}

static int prepare(struct input *in)
{
	struct regex_scratch *x = in->x;
	int32_t *groups;

	if (!x->work)
		x->work = calloc(1, sizeof(*x->work));
	groups = realloc(x->groups, (size_t)in->n_caps * sizeof(*groups));
	if (groups)
		x->groups = groups;
	if (!x->work || !groups)
		return -ENOMEM;
	for (int32_t i = 0; i < in->n_caps; i++)
		groups[i] = -1;
	x->n_groups = in->re->n_groups;
	return 0;
}

static int match(const struct regex *re, struct regex_scratch *x, const char *s, size_t n,
		 uint64_t *budget, bool long_text)
{
	struct input in = {
		.re = re, .x = x, .s = s, .n = (int32_t)n, .n_caps = (int32_t)(re->n_groups * 2)};
	int r;

	if (n > INT32_MAX - 8)
		return -E2BIG;
	if (re->prefix && (n < re->prefix_len || memcmp(s, re->prefix, re->prefix_len) != 0 ||
			   (re->prefix_whole && n != re->prefix_len))) {
		*budget -= MIN(*budget, 1u);
		return 0;
	}
	r = prepare(&in);
	if (r < 0)
		return r;
	if (re->everything) {
		for (int32_t i = 0; i < in.n_caps; i++)
			x->groups[i] = i & 1 ? in.n : 0;
		*budget -= MIN(*budget, 1u);
		return 1;
	}
	long_text = long_text || (uint64_t)re->n_prog * (n + 1) > BACKTRACK_BITS;
	r = long_text ? pike(&in, *budget) : backtrack(&in, *budget);
	if (in.steps > *budget)
		r = r == -ENOMEM ? r : -E2BIG;
	*budget -= MIN(*budget, in.steps);
	return r;
}

int regex_match(const struct regex *re, struct regex_scratch *x, const char *s, size_t n,
		uint64_t *budget)
{
	return match(re, x, s, n, budget, false);
}

int regex_match_long(const struct regex *re, struct regex_scratch *x, const char *s, size_t n,
		     uint64_t *budget)
{
	return match(re, x, s, n, budget, true);
}
