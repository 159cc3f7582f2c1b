/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/base/buf.h"

/*
 * Swift's names from 4.0 on ("$s...", "$S...", "_T0..."; a '_' before '$' is the linker's): what is
 * called, as `Module.Type.method(label:)`, without types. With labels unset, no argument labels
 * either. Generic arguments are left out. Names of data and the rare forms of thunks are not known.
 * The names are what the stack machine of Swift 5.9's lib/Demangling/Demangler.cpp reads, the
 * grammar is in docs/ABI/Mangling.rst. Time and memory are bounded: nothing is nested and no text
 * is copied more often than it fits into 8 KiB. False: not Swift, not known, too long; then `to`
 * may hold anything.
 */
bool demangle_swift(const char *name, bool labels, struct buf *to);
