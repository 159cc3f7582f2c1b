/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack of DEPTH distinct functions that burns CPU at its leaf: hot (a loop in registers) or
 * cold (random reads over 64 MiB, so that the caches belong to it). Usage: walk_target DEPTH
 * hot|cold; prints "ready" and runs until it is killed, or for at most 10 minutes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THRASH_BYTES (64u << 20)

static volatile uint64_t sink;
static uint64_t *memory;

static __attribute__((noinline)) void leaf(void)
{
	uint64_t x = 88172645463325252u;

	if (write(1, "ready\n", 6) != 6)
		return;
	for (;;) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (memory)
			x += memory[x % (THRASH_BYTES / 8)] & 1;
		else
			sink = x;
	}
}

typedef void (*frame_fn)(int);
extern const frame_fn frame_table[128];

/* Each with a frame of its own size, and a call that cannot become a jump. */
#define FRAME_FN(n)                                               \
	static __attribute__((noinline)) void frame_##n(int left) \
	{                                                         \
		volatile char room[16 + (n) % 7 * 16];            \
                                                                  \
		room[0] = (char)left;                             \
		if (left <= 0)                                    \
			leaf();                                   \
		else                                              \
			frame_table[left](left - 1);              \
		sink += (uint64_t)room[0];                        \
	}
/* clang-format off */
#define FRAME_FN8(n)   \
	FRAME_FN(n##0) \
	FRAME_FN(n##1) \
	FRAME_FN(n##2) FRAME_FN(n##3) FRAME_FN(n##4) FRAME_FN(n##5) FRAME_FN(n##6) FRAME_FN(n##7)
#define FRAME_REF8(n)                                                                       \
	frame_##n##0, frame_##n##1, frame_##n##2, frame_##n##3, frame_##n##4, frame_##n##5, \
		frame_##n##6, frame_##n##7,
FRAME_FN8(1)
FRAME_FN8(2)
FRAME_FN8(3)
FRAME_FN8(4)
FRAME_FN8(5) FRAME_FN8(6) FRAME_FN8(7) FRAME_FN8(10) FRAME_FN8(11) FRAME_FN8(12) FRAME_FN8(13)
	FRAME_FN8(14) FRAME_FN8(15) FRAME_FN8(16) FRAME_FN8(17)

		const frame_fn frame_table[128] = {
			FRAME_REF8(1) FRAME_REF8(2) FRAME_REF8(3) FRAME_REF8(4) FRAME_REF8(5)
				FRAME_REF8(6) FRAME_REF8(7) FRAME_REF8(10) FRAME_REF8(11)
					FRAME_REF8(12) FRAME_REF8(13) FRAME_REF8(14) FRAME_REF8(15)
						FRAME_REF8(16) FRAME_REF8(17)};
/* clang-format on */

int main(int argc, char **argv)
{
	int depth = argc > 1 ? atoi(argv[1]) : 31;

	if (argc > 2 && !strcmp(argv[2], "cold")) {
		memory = malloc(THRASH_BYTES);
		if (!memory)
			return 1;
		memset(memory, 1, THRASH_BYTES);
	}
	alarm(600);
	/* leaf, the functions, main and what the C library puts below it. */
	frame_table[depth](depth - 5);
	return 0;
}
