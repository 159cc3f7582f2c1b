/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with the standard alphabet and padding (RFC 4648, 4), as Kubernetes writes secrets. */
#pragma once

#include "agent/base/buf.h"

/* Appends what the text stands for; line ends in it are skipped. -EBADMSG when it is none; whether
 * there was room says out->failed. */
int base64_decode(const char *s, size_t n, struct buf *out);
