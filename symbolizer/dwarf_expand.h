/* SPDX-License-Identifier: Apache-2.0 */
/* What dwarf.c has opened and dwarf_expand.c looks up in. */
#pragma once

#include "symbolizer/dwarf_internal.h"

/* A range of addresses of a unit. By start; max_end: the largest end up to this one. */
struct dwarf_cover {
	uint64_t start, end, max_end;
	struct dwarf_unit *unit; /* borrowed */
};

struct dwarf {
	struct dwarf_part main, alt;
	struct dwarf_part *split;
	size_t n_split;
	bool has_alt;
	struct dwarf_cover *covers;
	size_t n_covers, cap_covers;
	const struct dwarf_unit **missing; /* skeletons that were needed and are not complete */
	size_t n_missing, cap_missing;
};
