/* SPDX-License-Identifier: Apache-2.0 */
/* gzip that somebody else made, into a buffer whose maximum bounds what it may become. */
#pragma once

#include "agent/base/buf.h"

/* Appends what the stream holds; several members in a row are one stream (RFC 1952, 2.2). -EBADMSG
 * (no gzip, damaged or cut off), -E2BIG (over to->max), -ENOMEM. */
int gunzip(struct buf *to, const void *data, size_t n);
