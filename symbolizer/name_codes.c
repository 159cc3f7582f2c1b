/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strings are found in rounds: a sample is coded with those of the round before, it is counted
 * which codes follow each other, and single codes and pairs of them compete for the places of the
 * next round by the bytes that they would have covered.
 */
#include "symbolizer/name_codes.h"

#include <errno.h>
#include <string.h>

#define SAMPLE_BYTES (48u << 10)
#define ROUNDS	     5
#define COST_BYTES   (NAME_CODE_BYTES + 1) /* of a string in the table */
/* In training a byte that stands for itself has a number of its own, behind the codes. */
#define LITERAL 256
#define NUMBERS 512

struct name_trainer {
	struct name_codes codes;
	/* Strings of two bytes and more by their first two: `count` of them from `first` on, the
	 * longest first. */
	struct {
		uint8_t first, count;
	} starts[65536];
	uint8_t single[256];		/* code of a string of one byte; 0: none */
	uint64_t masks[NAME_CODES_MAX]; /* of the bytes that the string has */
};

struct candidate {
	uint64_t word;
	uint32_t length, uses;
};

struct training {
	struct name_trainer *t;
	const struct name_piece *names;
	size_t n, step; /* every step-th name is in the sample */
	uint32_t uses[NUMBERS];
	uint16_t pairs[NUMBERS][NUMBERS];
	struct candidate *v;
	size_t n_candidates, cap;
};

static uint64_t mask_of(uint32_t bytes)
{
	return bytes == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * bytes) - 1;
}

/* The next bytes, zeros behind the end: no string has any. */
static uint64_t load(const char *s, size_t left)
{
	uint64_t v = 0;

	if (left >= sizeof(v))
		memcpy(&v, s, sizeof(v));
	else
		memcpy(&v, s, left);
	return v;
}

/* The code of the longest string that s begins with; 0: none. */
static uint8_t match(const struct name_trainer *t, const char *s, size_t left)
{
	uint64_t word = load(s, left);
	uint32_t k = t->starts[(uint16_t)word].first;
	uint32_t end = k + t->starts[(uint16_t)word].count;

	for (; k < end; k++) {
		if (t->codes.words[k] == (word & t->masks[k]))
			return (uint8_t)(k + 1);
	}
	return t->single[word & 0xff];
}

/* ---- training ---- */

/* Codes the sample and counts. */
static void count(struct training *x)
{
	const struct name_trainer *t = x->t;

	memset(x->uses, 0, sizeof(x->uses));
	memset(x->pairs, 0, sizeof(x->pairs));
	for (size_t i = 0; i < x->n; i += x->step) {
		const struct name_piece *p = &x->names[i];
		uint32_t before = 0;

		for (size_t at = 0; at < p->bytes;) {
			uint8_t code = match(t, p->s + at, p->bytes - at);
			uint32_t number = code ? code : LITERAL + (uint8_t)p->s[at];

			at += code ? t->codes.lengths[code - 1] : 1;
			x->uses[number]++;
			if (before && x->pairs[before][number] < UINT16_MAX)
				x->pairs[before][number]++;
			before = number;
		}
	}
}

static uint64_t string_of(const struct training *x, uint32_t number, uint32_t *ret_length)
{
	if (number >= LITERAL) {
		*ret_length = 1;
		return number - LITERAL;
	}
	*ret_length = x->t->codes.lengths[number - 1];
	return x->t->codes.words[number - 1];
}

static int suggest(struct training *x, uint64_t word, uint32_t length, uint32_t uses)
{
	if (x->n_candidates == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 4096;
		struct candidate *v = realloc(x->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		x->v = v;
		x->cap = cap;
	}
	x->v[x->n_candidates++] = (struct candidate){word, length, uses};
	return 0;
}

static int suggest_pairs(struct training *x, uint32_t a)
{
	uint32_t la, lb;
	uint64_t wa = string_of(x, a, &la);
	int r = 0;

	for (uint32_t b = 1; la < NAME_CODE_BYTES && b < NUMBERS && r == 0; b++) {
		uint64_t wb;

		if (x->pairs[a][b] < 2)
			continue;
		wb = string_of(x, b, &lb);
		lb = MIN(lb, NAME_CODE_BYTES - la);
		r = suggest(x, wa | (wb & mask_of(lb)) << 8 * la, la + lb, x->pairs[a][b]);
	}
	return r;
}

static int by_string(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;

	if (a->word != b->word)
		return a->word < b->word ? -1 : 1;
	return a->length < b->length ? -1 : a->length > b->length;
}

/* Bytes covered. */
static uint64_t gain(const struct candidate *c)
{
	return (uint64_t)c->uses * c->length;
}

/* By gain; where it is equal the order is still one, so that a file has one table. */
static int by_gain(const void *pa, const void *pb)
{
	uint64_t a = gain(pa), b = gain(pb);

	return a != b ? (a > b ? -1 : 1) : by_string(pa, pb);
}

/* By the first two bytes, then longer ones first: as match() wants them. */
static int by_start(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;
	uint16_t x = (uint16_t)a->word, y = (uint16_t)b->word;

	if (x != y)
		return x < y ? -1 : 1;
	if (a->length != b->length)
		return a->length > b->length ? -1 : 1;
	return by_string(a, b);
}

static size_t merge_equal(struct candidate *v, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_string);
	for (size_t i = 0; i < n; i++) {
		if (kept && !by_string(&v[kept - 1], &v[i]))
			v[kept - 1].uses += v[i].uses;
		else
			v[kept++] = v[i];
	}
	return kept;
}

static void set_codes(struct name_trainer *t, struct candidate *v, size_t n)
{
	memset(t->starts, 0, sizeof(t->starts));
	memset(t->single, 0, sizeof(t->single));
	if (n)
		qsort(v, n, sizeof(*v), by_start);
	t->codes.n = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		uint16_t two = (uint16_t)v[i].word;

		t->codes.words[i] = v[i].word;
		t->codes.lengths[i] = (uint8_t)v[i].length;
		t->masks[i] = mask_of(v[i].length);
		if (v[i].length == 1) {
			t->single[two] = (uint8_t)(i + 1);
			continue;
		}
		if (!t->starts[two].count++)
			t->starts[two].first = (uint8_t)i;
	}
}

/* Leaves out what does not save as many bytes as it takes in the table. */
static size_t drop_costly(struct candidate *v, size_t n, size_t step)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t saved = (uint64_t)v[i].uses * (v[i].length > 1 ? v[i].length - 1 : 1);

		if (saved * step > COST_BYTES)
			v[kept++] = v[i];
	}
	return kept;
}

/* `last`: what does not pay for its place is left out. */
static int round_once(struct training *x, bool last)
{
	size_t n;
	int r = 0;

	count(x);
	x->n_candidates = 0;
	for (uint32_t i = 1; i < NUMBERS && r == 0; i++) {
		uint32_t length;
		uint64_t word;

		if (!x->uses[i])
			continue;
		word = string_of(x, i, &length);
		r = suggest(x, word, length, x->uses[i]);
		if (r == 0 && !last)
			r = suggest_pairs(x, i);
	}
	if (r < 0)
		return r;
	n = merge_equal(x->v, x->n_candidates);
	if (n)
		qsort(x->v, n, sizeof(*x->v), by_gain);
	n = MIN(n, (size_t)NAME_CODES_MAX);
	if (last)
		n = drop_costly(x->v, n, x->step);
	set_codes(x->t, x->v, n);
	return 0;
}

struct name_trainer *name_trainer_new(const struct name_piece *names, size_t n)
{
	_cleanup_(name_trainer_freep) struct name_trainer *t = calloc(1, sizeof(*t));
	_cleanup_free_ struct training *x = calloc(1, sizeof(*x));
	size_t bytes = 0;
	int r = 0;

	if (!t || !x)
		return NULL;
	for (size_t i = 0; i < n; i++)
		bytes += names[i].bytes;
	x->t = t;
	x->names = names;
	x->n = n;
	x->step = 1 + bytes / SAMPLE_BYTES;
	for (int i = 0; i <= ROUNDS && r == 0; i++)
		r = round_once(x, i == ROUNDS);
	free(x->v);
	return r < 0 ? NULL : TAKE_PTR(t);
}

struct name_trainer *name_trainer_free(struct name_trainer *t)
{
	free(t);
	return NULL;
}

const struct name_codes *name_trainer_codes(const struct name_trainer *t)
{
	return &t->codes;
}

void name_encode(const struct name_trainer *t, const char *s, size_t bytes, struct buf *to)
{
	uint8_t *out;
	size_t n = 0;

	if (!t->codes.n) {
		buf_add(to, s, bytes);
		return;
	}
	/* Whatever it is, it has room; what is not used is given back. */
	out = buf_grow(to, 2 * bytes);
	if (!out)
		return;
	for (size_t at = 0; at < bytes;) {
		uint8_t code = match(t, s + at, bytes - at);

		out[n++] = code ? code : NAME_ESCAPE;
		if (!code)
			out[n++] = (uint8_t)s[at];
		at += code ? t->codes.lengths[code - 1] : 1;
	}
	to->len -= 2 * bytes - n;
}

/* ---- reading ---- */

static int decode_plain(const uint8_t *in, size_t in_bytes, char *to, size_t size)
{
	const uint8_t *end = memchr(in, 0, in_bytes);

	if (!end || (size_t)(end - in) + 1 + NAME_CODE_BYTES > size)
		return -EBADMSG;
	memcpy(to, in, (size_t)(end - in) + 1);
	return 0;
}

int name_decode(const struct name_codes_view *v, const uint8_t *in, size_t in_bytes, char *to,
		size_t size)
{
	/* Not through v: the compiler must think that writing to `to` changes it. */
	const uint8_t *const words = v->words, *const lengths = v->lengths, *end = in + in_bytes;
	const uint32_t n_codes = v->n;
	size_t n = 0;

	if (!n_codes)
		return decode_plain(in, in_bytes, to, size);
	while (in < end && n + 1 + NAME_CODE_BYTES <= size) {
		uint8_t code = *in++, length;

		if (code == NAME_ESCAPE) {
			if (in == end || !*in)
				return -EBADMSG;
			to[n++] = (char)*in++;
			continue;
		}
		if (!code) {
			to[n] = '\0';
			return 0;
		}
		if (code > n_codes)
			return -EBADMSG;
		length = lengths[code - 1];
		if (length > NAME_CODE_BYTES)
			return -EBADMSG;
		/* Always 8 bytes: there is room, and what is too much is written over. */
		memcpy(to + n, words + (size_t)(code - 1) * NAME_CODE_BYTES, NAME_CODE_BYTES);
		n += length;
	}
	return -EBADMSG;
}
