/* SPDX-License-Identifier: Apache-2.0 */
/* A small valid pprof for the drivers: not compressed, so that its size is known. */
#pragma once

#include "agent/base/buf.h"

/* One sample of `value` ns in one function "main", and a string of `bytes` bytes. */
void push_profile(struct buf *b, uint64_t value, uint64_t time_ns, size_t bytes);
