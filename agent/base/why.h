/* SPDX-License-Identifier: Apache-2.0 */
/* What failed, in words for people, beside the negative errno that says it to the program. */
#pragma once

#include "agent/base/macro.h"

/* Writes one line to why (cut when it does not fit) and returns r. */
int why_set(int r, char *why, size_t size, const char *fmt, ...) _printf_(4, 5);
