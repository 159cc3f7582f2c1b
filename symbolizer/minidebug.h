/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct minidebug: MiniDebugInfo, the symbol table that Fedora, RHEL and openSUSE leave in
 * stripped files: the section .gnu_debugdata is an xz stream of an ELF file that has .symtab, and
 * for the rest sections without contents (GDB manual, "MiniDebugInfo"; rpm's
 * scripts/find-debuginfo.sh makes it). Its addresses are those of the file it is in.
 */
#pragma once

#include "agent/base/macro.h"

struct objfile;

#define MINIDEBUG_BYTES_MAX (64u << 20) /* decompressed; Firefox's is 12 MB */

struct minidebug {
	uint8_t *data;		/* owned: the decompressed file */
	struct objfile *object; /* owned, reads data; NULL: nothing is open */
};

/* -ENOENT: o has none; -EBADMSG: not xz, cut, or no ELF file in it; -E2BIG; -ENOMEM. */
int minidebug_open(struct objfile *o, struct minidebug *ret);
void minidebug_done(struct minidebug *m);
