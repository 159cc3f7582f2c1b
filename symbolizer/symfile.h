/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object file that a JIT registered with a debugger: mostly what its compiler wrote (ET_REL),
 * with the addresses of the sections in their headers, and relocations of the debug information
 * that nobody has applied. gdb's manual, "JIT Compilation Interface"; LLVM 14,
 * RuntimeDyld/RuntimeDyldELF.cpp, writes the addresses.
 */
#pragma once

#include "agent/base/macro.h"

/*
 * Applies the relocations of sections that are not loaded (.debug_*) and of .eh_frame in the image
 * itself, so that they can be read like those of a program. Those that are not understood are left
 * alone. 0, -EBADMSG: no ELF file, -EOPNOTSUPP, -ENOMEM.
 */
int symfile_relocate(uint8_t *image, size_t bytes);
