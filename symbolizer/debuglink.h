/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ELF file says about where its debug information is: .gnu_debuglink (gdb, "Separate Debug
 * Files"), .gnu_debugaltlink (dwz(1)), or that it is in the file itself.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;
struct table_info;

/* Fills in debuglink, debuglink_crc, altlink, alt_id and TABLE_HAS_DEBUG. */
void debuglink_read(struct objfile *o, struct table_info *info);
/* The checksum that a .gnu_debuglink is compared with: CRC-32 of the whole file. */
uint32_t debuglink_crc(const void *data, size_t bytes);
