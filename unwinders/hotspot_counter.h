/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters that a JVM keeps of itself (jvmstat, what jcmd PerfCounter.print shows), in its own
 * memory. Every length and offset there is the process's word and is bounded here.
 */
#pragma once

#include "agent/base/macro.h"

struct target_memory;

/* start: of the counters' memory. Where the value of this counter lies, of 8 bytes, or 0: it has
 * none such (-XX:-UsePerfData). */
uint64_t hotspot_counter(struct target_memory *m, uint64_t start, const char *name);
