/* SPDX-License-Identifier: Apache-2.0 */
/* When a process started: what tells it from a later one with the same id. */
#pragma once

#include "agent/base/macro.h"

/* Field 22 of /proc/PID/stat: ticks of USER_HZ since boot (proc(5)). 0: there is no such process.
 */
uint64_t process_start_ticks(uint32_t pid);
/* False in a time namespace: there the field counts from somewhere else than the kernel does. */
bool process_start_is_true(void);
/* The same of the text of /proc/PID/stat; 0 when it is none. */
uint64_t process_start_parse(const char *text);
