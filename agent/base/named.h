/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of structs that begin with a name (a const char *) and are sorted by it. */
#pragma once

#include <string.h>

#include "agent/base/macro.h"

/* Where name is among n structs of so many bytes each, or where it belongs. */
static inline size_t named_find(const void *v, size_t n, size_t bytes, const char *name,
				bool *ret_there)
{
	size_t low = 0, high = n;

	*ret_there = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int r = strcmp(*(const char *const *)((const char *)v + mid * bytes), name);

		if (!r) {
			*ret_there = true;
			return mid;
		}
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
