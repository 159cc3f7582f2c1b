/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct filekey: which contents an ELF file has, without reading it all: build id, size, a hash
 * of its headers. Two files with one key share one table. The owner's uid is part of it, so that
 * an ordinary user can not make a file that is taken for one of root's; a file without a build id
 * also counts its modification time. Only fixed amounts are read (at most 24 KiB), into fixed
 * buffers: this runs in the agent.
 */
#pragma once

#include "agent/base/macro.h"

#define FILEKEY_NAME_BYTES 192

struct filekey {
	/* Hexadecimal digits and '-': fit for a file name. */
	char name[FILEKEY_NAME_BYTES];
	uint8_t build_id[64];
	size_t build_id_bytes; /* 0: it has none */
};

/* -EBADMSG: not an ELF file (or no regular file); -EOPNOTSUPP: 32-bit or big-endian; or the read
 * error. The file offset of fd is neither used nor changed. */
int filekey_read(int fd, struct filekey *ret);
/* Another table of the same contents: kind 1 to 9. */
void filekey_set_kind(struct filekey *k, unsigned int kind);
