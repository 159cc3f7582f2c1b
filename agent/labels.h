/* SPDX-License-Identifier: Apache-2.0 */
/* struct label_set: labels sorted by name, each name once; it owns its strings. */
#pragma once

#include "agent/export/receiver.h"

struct label_set {
	struct label *v;
	size_t n, cap;
	bool failed; /* out of memory: the set is incomplete */
};

void label_set_done(struct label_set *s);
/* Copies; replaces the value of a name that is there. */
void label_set_put(struct label_set *s, const char *name, const char *value);
void label_set_remove(struct label_set *s, const char *name);
/* The value, or NULL. */
const char *label_set_get(const struct label_set *s, const char *name);
bool label_set_equal(const struct label_set *a, const struct label_set *b);

#define _cleanup_labels_ _cleanup_(label_set_done)
