/* SPDX-License-Identifier: Apache-2.0 */
/* What the child does with a file: everything that a table holds, from one look at it. */
#pragma once

#include "agent/base/macro.h"

/*
 * A child_build_fn: unwind rows, symbols and TABLE_INFO of the ELF file behind in_fd as one table
 * in out_fd. A part that can not be made (a limit, another machine) is left out, and its flag is
 * not set; the file as a whole fails only when it is no ELF file or when memory runs out.
 * *ret_flags: enum table_info_flags. `kind` is ignored.
 */
int build_table(int in_fd, uint32_t kind, int out_fd, uint32_t *ret_flags);
