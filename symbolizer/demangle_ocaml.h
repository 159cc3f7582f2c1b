/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/base/buf.h"

/*
 * OCaml's names: "camlStdlib__List__map_498", from 5.1 on "camlStdlib__List.map_498" (compilation
 * unit, '__' between modules, name, a stamp; `$xx` is a byte: asmcomp/cmm_helpers.ml and
 * middle_end/compilenv.ml of OCaml 4.14, symbol_separator of 5.1) become "Stdlib.List.map". False:
 * not one of these.
 */
bool demangle_ocaml(const char *name, struct buf *to);
