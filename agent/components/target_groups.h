/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of targets as files and servers write them for Prometheus (file_sd, http_sd): a list of
 * {"targets": ["host:port", ...], "labels": {...}}. Strict as prometheus
 * discovery/targetgroup/targetgroup.go (3.x): other fields are errors.
 */
#pragma once

#include "agent/config/value.h"

#define TARGET_GROUPS_MAX 100000 /* targets of one list */

/*
 * Adds one target for each address to `to`: __address__, the group's labels and `source_label` =
 * `source`. null is an empty list. 0; -EBADMSG with why ("[3].targets[0] should be string, got
 * null"), and then some of them have been added; -E2BIG, -ENOMEM.
 */
int target_groups_read(const struct value *groups, const char *source_label, const char *source,
		       struct value_list *to, char *why, size_t size);
