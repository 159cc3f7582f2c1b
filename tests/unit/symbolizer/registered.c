/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled for gdb_jit_test.c, which knows the lines. */
volatile int sink;

static inline __attribute__((always_inline)) void twist(int x)
{
	sink += x;
}

__attribute__((noinline)) void FIRST(int n)
{
	for (int i = 0; i < n; i++)
		sink += i;
}

__attribute__((noinline)) void second(int n)
{
	for (int i = 0; i < n; i++) {
		twist(i);
		twist(i + 1);
	}
	sink = 0;
}
