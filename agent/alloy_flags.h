/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flags of `alloy run` (grafana/alloy internal/alloycli, 66ebea856dff) that have no place here,
 * so that a unit file or a DaemonSet needs only another program: what they mean is applied or
 * refused, the rest is accepted. Flags of ours are left alone.
 */
#pragma once

#include <stddef.h>

#include "agent/config/stability.h"

struct alloy_flags {
	enum stability stability;
	char ignored[512]; /* names without effect, with commas; "": none */
};

/*
 * Takes them out of argv (argv[0] is a verb). 0, or -EINVAL with a line in why: a value is missing
 * or cannot be had here.
 */
int alloy_flags_take(int *argc, char **argv, struct alloy_flags *ret, char *why, size_t size);
