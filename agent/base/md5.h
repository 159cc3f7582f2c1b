/* SPDX-License-Identifier: Apache-2.0 */
/* MD5 (RFC 1321), because others' formats name things by it; not for secrets. */
#pragma once

#include "agent/base/macro.h"

#define MD5_BYTES 16

void md5(const void *p, size_t n, uint8_t ret[MD5_BYTES]);
