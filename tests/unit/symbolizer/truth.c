/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose lines are known: the #line directives number the functions, and the marks are
 * addresses in them. dwarf_truth.sh builds it in every form that debug information has. */
#define MARK(name) __asm__ volatile(".globl mark_" #name "\nmark_" #name ":\n\tnop" ::: "memory")
#define INLINE	   static inline __attribute__((always_inline))

int outer(int x);
int other(int x);

#line 100 "truth_inner.h"
INLINE int innermost(int x)
{
	MARK(inlined);
	return x * 3;
}

#line 200 "truth.c"
INLINE int middle(int x)
{
	if (x > 1)
		return innermost(x + 1);
	return x;
}

#line 300 "truth.c"
__attribute__((noinline)) int outer(int x)
{
	MARK(outer);
	return middle(x) + 1;
}

#line 400 "truth.c"
__attribute__((noinline)) int other(int x)
{
	MARK(other);
	return x + 2;
}

#line 500 "truth.c"
int main(int argc, char **argv)
{
	return outer(argc) + other(argc) == 7;
}
