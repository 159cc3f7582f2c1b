/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An expression, a text and a template, with NUL bytes between them. Nothing may crash, take more
 * than its budget, or match differently by the two matchers.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/relabel/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(regex_freep) struct regex *re = NULL;
	struct regex_scratch x = {0}, y = {0};
	const char *part[3] = {(const char *)data, "", "$1"}, *s = (const char *)data;
	size_t n[3] = {size, 0, 2};
	uint64_t budget = 200000, other = 400000;
	char why[300];
	int a, b;

	for (int i = 0; i < 3 && s; i++) {
		const char *nul = memchr(s, 0, size - (size_t)(s - (const char *)data));

		part[i] = s;
		n[i] = (nul ? (size_t)(nul - s) : size - (size_t)(s - (const char *)data));
		s = nul ? nul + 1 : NULL;
	}
	if (regex_new_whole(part[0], n[0], &re, why, sizeof(why)) < 0)
		return 0;
	a = regex_match(re, &x, part[1], n[1], &budget);
	b = regex_match_long(re, &y, part[1], n[1], &other);
	if (a >= 0 && b >= 0) {
		assert(a == b);
		assert(!a || (x.n_groups == y.n_groups &&
			      !memcmp(x.groups, y.groups, x.n_groups * 2 * sizeof(int32_t))));
	}
	if (a > 0) {
		_cleanup_buf_ struct buf out = BUF_INIT(1u << 20);

		regex_expand(re, &x, part[1], part[2], n[2], &out);
	}
	regex_scratch_done(&x);
	regex_scratch_done(&y);
	return 0;
}
