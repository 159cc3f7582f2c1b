/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as Go's time.ParseDuration reads them: "1h30m", "1m0.5s", "-3ms", "0". */
#pragma once

#include "agent/base/macro.h"

/* Nanoseconds. -EINVAL for bad syntax, with the reason (static text) in *ret_why. */
int duration_parse(const char *s, int64_t *ret_ns, const char **ret_why);
/* "1m30s", "2.5s", "500ms": short text for messages. */
void duration_format(int64_t ns, char *to, size_t size);
#define DURATION_TEXT 40
