/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSONPath over a value, as json_path() of the language has it (github.com/ohler55/ojg/jp):
 *   $ @ (optional)  .name  ["name"]  [n] [-n]  [*] .*  ..  [from:to:step]  ["a", "b", 1]
 *   [?(@.a == 1 && !(@.b < "x") || @.c)]   a path alone asks whether there is something
 */
#pragma once

#include "agent/config/value.h"

#define JSON_PATH_MAX_STEPS  100
#define JSON_PATH_MAX_BYTES  4096
#define JSON_PATH_MAX_VISITS (1u << 20)

/*
 * 0 with an array of new references to what the path finds, objects in the order of their keys.
 * -EBADMSG with one line in why when the path is malformed, -E2BIG when it visits too many values,
 * -ENOMEM.
 */
int json_path(const struct value *v, const char *path, size_t n, struct value **ret, char *why,
	      size_t size);
