/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets as the values that components hand each other: an array of objects whose values are all
 * strings. Whoever discovers something builds them with this; a label without a value is left out,
 * because no rule can tell it from one that is missing (Prometheus model/labels, Builder.Set).
 *
 *	struct value_list found = {0}, one = {0};
 *	targets_value_put(&one, "__address__", address);
 *	targets_value_put_named(&one, "__meta_docker_container_label_", key, text);
 *	targets_value_add(&found, &one);
 *	component_export(c, targets_value_exports("targets", targets_value_array(&found)));
 */
#pragma once

#include "agent/config/value.h"

/* A label of the target under construction. Both are copied; "" and NULL are left out. */
void targets_value_put(struct value_list *target, const char *name, const char *value);
/* The same for `len` bytes: what a server sent. NUL bytes become U+FFFD, as no C string has any. */
void targets_value_put_bytes(struct value_list *target, const char *name, const char *value,
			     size_t len);
/* A label whose name ends in something foreign: prefix plus `name`, in which every character that
 * is none of [a-zA-Z0-9_] becomes "_". */
void targets_value_put_named(struct value_list *target, const char *prefix, const char *name,
			     const char *value);
/*
 * The sanitising by itself: one "_" for each character (not byte) that may not be in a label name
 * (prometheus util/strutil, SanitizeLabelName). Allocated; NULL without memory.
 */
char *targets_value_label_name(const char *prefix, const char *name);

/* Closes the target (which becomes empty) and adds it. A failure shows in targets_value_array(). */
void targets_value_add(struct value_list *targets, struct value_list *target);
/* The list; NULL without memory. `targets` becomes empty. */
struct value *targets_value_array(struct value_list *targets);
/* { name = targets }: exports of a component. Takes `targets`, which may be NULL: so is the result.
 */
struct value *targets_value_exports(const char *name, struct value *targets);

/* The value of a label, "" when it is not there. Borrowed. */
const char *targets_value_get(const struct value *target, const char *name);
