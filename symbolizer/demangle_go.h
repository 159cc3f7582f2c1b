/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/base/buf.h"

/*
 * Go's generic functions, compiled once for all types of one shape: the linker's symbols have the
 * shapes in brackets, "main.Map[go.shape.int_0,go.shape.string_1]" (Go 1.18, without the numbers
 * from 1.21 on). With types unset, "main.Map[...]", as Go's own traces have it; else
 * "main.Map[int,string]". False: no such name.
 */
bool demangle_go(const char *name, bool types, struct buf *to);
