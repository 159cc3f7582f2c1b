/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a pprof (gzip or plain; anybody's, so its bytes are hostile) into a struct profile. What
 * pprof does not say is inferred: the kind of a frame from its mapping, file and name, the count
 * of a sample from its value and the period, its completeness from gap frames.
 */
#pragma once

#include "agent/export/profile.h"

#define PPROF_READ_RAW_MAX     (64u << 20) /* bytes after decompression */
#define PPROF_READ_ENTRIES_MAX (2u << 20)  /* of each table */
#define PPROF_READ_DEPTH_MAX   65536u	   /* locations of one sample */

/*
 * 0; -EBADMSG for anything malformed (also dangling or duplicate ids), -E2BIG over the limits
 * above, -EOPNOTSUPP when no sample type is a time or a count, -ENOMEM. Samples with a negative
 * value are left out, unknown fields ignored.
 */
int pprof_parse(const void *data, size_t n, struct profile **ret);
