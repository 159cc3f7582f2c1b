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

int main(int argc, char **argv)
{
	char *copy = strdup(argv[0]);

	printf("%d %zu\n", hidden(argc), strlen(copy));
	free(copy);
	return 0;
}
