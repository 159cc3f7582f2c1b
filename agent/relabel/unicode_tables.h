/* SPDX-License-Identifier: Apache-2.0 */
/* The generated tables behind unicode.h. */
#pragma once

#include "agent/base/macro.h"

/* first, first + stride ... last each map to themselves plus distance. */
struct unicode_run {
	uint32_t first, last;
	uint32_t stride;
	int32_t distance;
};

/* The names by value; value 0 is "no category", "no script". */
extern const char *const unicode_category_names[], *const unicode_script_names[];
extern const size_t unicode_category_names_n, unicode_script_names_n;
/* Where runs of one value begin: code point << 8 | value; ascending. */
extern const uint32_t unicode_categories[], unicode_scripts[];
extern const size_t unicode_categories_n, unicode_scripts_n;
extern const struct unicode_run unicode_lower[], unicode_upper[], unicode_orbits[];
extern const size_t unicode_lower_n, unicode_upper_n, unicode_orbits_n;
