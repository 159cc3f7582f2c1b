/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind rows of Go functions on x86-64, from the table of stack heights (pcsp) that the Go linker
 * puts into every program, stripped or not. It needs no version of Go: where rbp is saved is read
 * from the code. See go_rows.c for what holds in which release.
 */
#pragma once

#include "unwinders/row_list.h"

struct objfile;

/*
 * Adds a block for each function to the list and seals it. The number of functions, or -ENOENT when
 * there is no table, -EBADMSG, -EOPNOTSUPP (another machine or an unknown table), -ENOMEM, -E2BIG.
 */
int go_rows_add(struct objfile *o, struct row_list *list);
