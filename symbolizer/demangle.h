/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for people out of names for linkers: C++ (Itanium ABI), Rust (legacy and v0), D, Swift,
 * OCaml and Go's generic functions. The
 * names come from hostile files: input, output and recursion are limited, and whatever can not be
 * demangled within the limits stays as it is.
 */
#pragma once

#include "agent/base/buf.h"

/* As the argument `demangle` of pyroscope.ebpf has them. They differ for C++, Swift and Go
 * only; the others are demangled the same way in all but DEMANGLE_NONE. What compilers put behind a
 * name (".cold", ".part.0") stays there; "[clone .part.0]" in DEMANGLE_FULL of C++. */
enum demangle_mode {
	DEMANGLE_NONE,
	DEMANGLE_SIMPLIFIED, /* no parameters, no template arguments; Swift: no labels */
	DEMANGLE_TEMPLATES,  /* no parameters */
	DEMANGLE_FULL,
};

/* "none", "simplified", "templates" or "full"; -EINVAL for anything else. */
int demangle_mode_parse(const char *s, enum demangle_mode *ret);

/*
 * The demangled name in scratch (valid UTF-8, at most 8 KiB; until scratch is used again), or
 * `name` itself when it is not mangled or can not be demangled. scratch needs a maximum of
 * 8 KiB at least (DEMANGLE_BUF_MAX).
 */
#define DEMANGLE_BUF_MAX 8192
const char *demangle(const char *name, enum demangle_mode mode, struct buf *scratch);
