/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where compiled Java code leads. A compiler writes down what code belongs to at calls and polls
 * only (PcDesc), and puts blocks that it thinks are seldom run behind others, from where they jump
 * back: what follows there is not what is written behind them.
 */
#pragma once

#include "agent/base/macro.h"

struct target_memory;

/*
 * From an instruction at `at` on, is there a jump that is always taken before `end` (offsets in the
 * code that begins at address `code`)? Where it leads, which is outside of [at, end), or -ENOENT:
 * no, or the instructions are none that are known, or are too many. The error of a read.
 */
int64_t hotspot_flow(struct target_memory *m, uint64_t code, uint32_t at, uint32_t end);

/* Does the code at `at` go back, before `end` and without leaving for elsewhere, to what lies in
 * [from, to]? Then it is of the loop that begins there. */
bool hotspot_goes_back(struct target_memory *m, uint64_t code, uint32_t at, uint32_t end,
		       int64_t from, int64_t to);
