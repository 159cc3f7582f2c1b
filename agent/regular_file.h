/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files that others chose the name of: regular ones and nothing else. O_PATH first: opening
 * a device may do things, and a FIFO would wait.
 */
#pragma once

#include <sys/stat.h>

#include "agent/base/macro.h"

/* What an O_PATH descriptor stands for, for reading. A descriptor, -EOPNOTSUPP when it is no
 * regular file, or the error. */
int regular_file_reopen(int path_fd, struct stat *ret);
/* A path below a directory that cannot be left, not even through links. The same. */
int regular_file_open(int root_fd, const char *path, struct stat *ret);
