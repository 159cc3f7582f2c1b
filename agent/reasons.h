/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of enum reason: what a frame says that stands for a missing part of a stack. */
#pragma once

#include <stdint.h>

/* "[stack memory unreadable]"; "[unknown reason]" for a value out of range. */
const char *reason_frame(uint32_t reason);
/* "stack_memory_unreadable", as a label of metrics. */
const char *reason_id(uint32_t reason);
