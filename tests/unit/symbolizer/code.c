/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose symbol table has what symbol tables have: aliases, weak and local functions,
 * labels without type or size, a function inside a function, calls through the PLT. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int plain(int x);
int __chosen(int x);
extern __typeof__(__chosen) chosen __attribute__((weak, alias("__chosen")));
extern __typeof__(__chosen) _chosen __attribute__((alias("__chosen")));

__attribute__((noinline)) int plain(int x)
{
	return x * 3 + 1;
}

__attribute__((noinline)) int __chosen(int x)
{
	return plain(x) * 5;
}

static __attribute__((noinline)) int hidden(int x)
{
	return chosen(x) - 7;
}

#if defined(__x86_64__)
#define NOP16 ".skip 16, 0x90\n"
#elif defined(__aarch64__)
#define NOP16 "nop\nnop\nnop\nnop\n"
#endif

/* outer: 64 bytes, inner: bytes 16..31 of it, place: a label at 48. loose: no size, 32 bytes. */
__asm__(".pushsection .text.assembly, \"ax\", %progbits\n"
	".globl outer\n.type outer, %function\nouter:\n" NOP16
	".globl inner\n.type inner, %function\ninner:\n" NOP16 ".size inner, . - inner\n" NOP16
	"place:\n" NOP16 ".size outer, . - outer\n"
	".globl loose\nloose:\n" NOP16 NOP16 ".globl after\n.type after, %function\nafter:\n" NOP16
	".size after, . - after\n"
	".globl empty\n.type empty, %function\nempty:\n.size empty, 0\n"
	".globl has_code\n.type has_code, %function\nhas_code:\n" NOP16
	".size has_code, . - has_code\n"
	".popsection\n");

/* Places of 16 bytes with several names each; the name that a person would choose is `want_<n>`,
 * with or without a suffix of a compiler. */
#define LOCAL(name)  ".type " name ", %function\n" name ":\n"
#define GLOBAL(name) ".globl " name "\n" LOCAL(name)
#define WEAK(name)   ".weak " name "\n" LOCAL(name)
#define SIZE(name)   ".size " name ", 16\n"
__asm__(".pushsection .text.choice, \"ax\", %progbits\n.p2align 4\n"
	/* exported under two names, like write() and __write() */
	WEAK("want_0") GLOBAL("__want_0") NOP16 SIZE("want_0") SIZE("__want_0")
	/* what the C library calls inside of itself */
	GLOBAL("want_1") LOCAL("__GI_want_1") LOCAL("a1") NOP16 SIZE("want_1") SIZE("__GI_want_1")
	/* a mark without a size at the start of a function */
	GLOBAL("b2") GLOBAL("want_2") NOP16 SIZE("want_2")
	/* a label without a type */
	".globl c3\nc3:\n" LOCAL("want_3") NOP16 SIZE("want_3")
	/* what compilers and annobin leave behind */
	".annobin_want_4.start:\ngcc2_compiled.:\n" LOCAL("want_4.part.0")
		NOP16 SIZE("want_4.part.0")
	/* a part out of the way; and no name for what annobin marks the end of */
	LOCAL("want_5.cold")
		NOP16 SIZE("want_5.cold") ".annobin_want_5.end:\n" NOP16
					  /* chosen at run time */
					  ".globl want_7\n.type want_7, "
					  "%gnu_indirect_function\nwant_7:\n" LOCAL("__new_want_7")
						  NOP16 SIZE("want_7") SIZE("__new_want_7")
	/* the code of a copy for the linker */
	LOCAL("want_8") LOCAL("want_8.localalias") NOP16 SIZE("want_8")
		SIZE("want_8.localalias") ".globl choice_end\nchoice_end:\n"
					  ".popsection\n");

int main(int argc, char **argv)
{
	char *copy = strdup(argv[0]);

	printf("%d %zu\n", hidden(argc), strlen(copy));
	free(copy);
	return 0;
}
