/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct name_codes: makes names of functions small, and one of them readable without the others.
 * Up to 254 byte strings that occur often, of at most 8 bytes, have a code of one byte each; a byte
 * that none begins with is written behind NAME_ESCAPE, and 0 ends a name. That is the scheme of
 * "FSST: Fast Random Access String Compression" (Boncz, Neumann, Leis; VLDB 2020). Names of C++
 * become 0.35 to 0.45 of their length. The strings are chosen by the writer from a sample of the
 * names; a reader needs them alone and trusts nothing.
 */
#pragma once

#include "agent/base/buf.h"

#define NAME_CODES_MAX	254
#define NAME_CODE_BYTES 8   /* the longest string */
#define NAME_ESCAPE	255 /* the next byte stands for itself */

struct name_codes {
	uint32_t n;			/* code i + 1 stands for string i; 0: names are not coded */
	uint64_t words[NAME_CODES_MAX]; /* the string as a little-endian number */
	uint8_t lengths[NAME_CODES_MAX];
};

/* ---- writing ---- */

struct name_trainer; /* the strings, ready to be looked for */

struct name_piece {
	const char *s; /* no NUL inside */
	size_t bytes;
};
/* Chooses strings for n names, which may be few or none. NULL without memory. */
struct name_trainer *name_trainer_new(const struct name_piece *names, size_t n);
struct name_trainer *name_trainer_free(struct name_trainer *t);
DEFINE_CLEANUP(struct name_trainer *, name_trainer_free)
const struct name_codes *name_trainer_codes(const struct name_trainer *t);
/* Appends the codes of a piece, without an end. */
void name_encode(const struct name_trainer *t, const char *s, size_t bytes, struct buf *to);

/* ---- reading ---- */

/* What is coded, as it lies in the table: n words, then n lengths; maybe misaligned. */
struct name_codes_view {
	uint32_t n;
	const uint8_t *words, *lengths;
};

/*
 * Writes the name at in[0 .. in_bytes), up to its 0, to `to` with a NUL. -EBADMSG when it does not
 * end, is longer than size - 1 - NAME_CODE_BYTES, or has a code that there is not.
 */
int name_decode(const struct name_codes_view *v, const uint8_t *in, size_t in_bytes, char *to,
		size_t size);
