/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of structs that begin with a name (a const char *) and are sorted by it. */
#pragma once

#include <string.h>

#include "agent/base/macro.h"

/* Where name is among n structs of so many bytes each, or where it belongs. */
static inline size_t named_find(const void *v, size_t n, size_t bytes, const char *name,
				bool *ret_there)
{
	const char *s = v;
	size_t at = PARTITION_POINT(mid, 0, n,
				    strcmp(*(const char *const *)(s + mid * bytes), name) < 0);

	*ret_there = at < n && !strcmp(*(const char *const *)(s + at * bytes), name);
	return at;
}
