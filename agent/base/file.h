/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files that somebody else writes: configuration, secrets, lists of targets. */
#pragma once

#include <sys/stat.h>

#include "agent/base/buf.h"

/*
 * Appends the contents of a regular file; to->max is the limit. 0 with what fstat() said of it
 * (ret_st may be NULL), or a negative errno: -EINVAL when it is no regular file (a FIFO would never
 * end), -E2BIG when it is larger than there is room.
 */
int file_read(const char *path, struct buf *to, struct stat *ret_st);
