/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers what regex_oracle.go answers, from our own engine: lines of three words in hexadecimal
 * (expression, text, template; "-" for an empty one) become lines with the groups and the expanded
 * template. With the argument "long" the matcher for long texts is used.
 */
#include <errno.h>
#include <string.h>

#include "agent/relabel/regex.h"

static size_t unhex(const char *word, char *to)
{
	size_t n = 0;

	for (; *word && *word != '-'; word += 2) {
		char pair[3] = {word[0], word[1]};

		to[n++] = (char)strtoul(pair, NULL, 16);
	}
	return n;
}

static void print_hex(const void *p, size_t n)
{
	const unsigned char *c = p;

	if (!n)
		printf("-");
	for (size_t i = 0; i < n; i++)
		printf("%02x", c[i]);
	printf("\n");
}

static void answer(struct regex_scratch *x, char *words[3], bool is_long)
{
	_cleanup_(regex_freep) struct regex *re = NULL;
	_cleanup_buf_ struct buf out = BUF_INIT(16u << 20);
	size_t n[3];
	uint64_t budget = 1000000000;
	char why[1024];
	int r;

	for (int i = 0; i < 3; i++)
		n[i] = unhex(words[i], words[i]);
	r = regex_new(words[0], n[0], &re, why, sizeof(why));
	if (r < 0) {
		printf("E ");
		print_hex(why, strlen(why));
		return;
	}
	r = (is_long ? regex_match_long : regex_match)(re, x, words[1], n[1], &budget);
	if (r < 0) {
		printf("X %d\n", r);
		return;
	}
	if (!r) {
		printf("N\n");
		return;
	}
	printf("M");
	for (size_t i = 0; i < x->n_groups * 2; i++)
		printf("%c%d", i ? ',' : ' ', x->groups[i]);
	regex_expand(re, x, words[1], words[2], n[2], &out);
	printf(" ");
	print_hex(out.data, out.len);
}

int main(int argc, char **argv)
{
	struct regex_scratch x = {0};
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, stdin) > 0) {
		char *save, *words[3];

		for (int i = 0; i < 3; i++)
			words[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!words[2])
			return 1;
		answer(&x, words, argc > 1 && !strcmp(argv[1], "long"));
	}
	regex_scratch_done(&x);
	return 0;
}
