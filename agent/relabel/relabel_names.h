/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct relabel_names: what a rule has made of label names before. Targets have the same few
 * hundred names again and again, so labelmap, labeldrop and labelkeep match each of them once.
 */
#pragma once

#include "agent/base/hash.h"

#define RELABEL_NAMES_MAX	2048
#define RELABEL_NAMES_MAX_BYTES (256u << 10)

struct relabel_name {
	char *name;
	char *result; /* NULL: it does not match */
};

struct relabel_names {
	struct hash by_name; /* hash of the name -> index */
	struct relabel_name *v;
	size_t n, bytes;
};

void relabel_names_done(struct relabel_names *t);
/* NULL: not known. */
const struct relabel_name *relabel_names_get(const struct relabel_names *t, const char *name);
/* Remembers, if there is room. Copies; result may be NULL. */
void relabel_names_put(struct relabel_names *t, const char *name, const char *result);
