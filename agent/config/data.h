/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and YAML of somebody else to struct value and back, as encoding.from_json() and its like see
 * it (numbers and escapes: Go's encoding/json; scalars: gopkg.in/yaml.v3). Depth, size and the
 * number of values are bounded; an alias of YAML counts as much as what it stands for.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/value.h"

#define DATA_MAX_BYTES	(64u << 20)
#define DATA_MAX_DEPTH	100
#define DATA_MAX_VALUES (2u << 20)

/*
 * 0 with a new reference in *ret. -EBADMSG (malformed), -E2BIG (over one of our limits) or -ENOMEM,
 * with one line in why ("line 3, column 7: ..."); s need not be NUL-terminated. Numbers of JSON are
 * floats, a key that comes twice keeps its last value.
 */
int data_from_json(const char *s, size_t n, struct value **ret, char *why, size_t size);
/* The first document; nothing at all is null. A key that comes twice is an error. */
int data_from_yaml(const char *s, size_t n, struct value **ret, char *why, size_t size);
/*
 * Appends; b->failed says whether it had room. What JSON cannot say is made a string: "(secret)",
 * "capsule(\"receiver\")", "function"; infinite numbers are null, invalid UTF-8 is U+FFFD.
 */
void data_to_json(const struct value *v, struct buf *b);
