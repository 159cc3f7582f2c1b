/* SPDX-License-Identifier: Apache-2.0 */
/* The block `rule` of discovery.relabel and pyroscope.relabel, and what both export of it. */
#pragma once

#include "agent/config/schema.h"
#include "agent/relabel/relabel.h"

/* Of one rule; for schema_blocks. */
extern const struct schema relabel_rule_schema;

/* Compiles the rules; see relabel_new(). */
int relabel_rules_new(const struct schema_blocks *rules, bool legacy_names, struct relabel **ret,
		      char *why, size_t size);
bool relabel_rules_equal(const struct schema_blocks *a, const struct schema_blocks *b);
/* The rules as something to hand on; two are equal when their rules are. NULL without memory. */
struct value *relabel_rules_capsule(const struct schema_blocks *rules);
/* What each rule has done, in their order: an array of objects. NULL without memory. */
struct value *relabel_rules_debug(const struct relabel *r);
