/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reply of a Docker engine (GET /containers/json and /networks; Engine API 1.41 to 1.52) as a
 * value that has nothing but what docker_containers.h reads. Containers may come by the hundred
 * each second and a tenth of what is said of them matters, so the rest is skipped as it is read.
 */
#pragma once

#include "agent/config/value.h"

/*
 * 0 with a new reference in *ret. -EBADMSG (no JSON, or something behind it), -E2BIG (more than
 * DATA_MAX_VALUES, agent/config/data.h, or too deep), -ENOMEM; with one line in why. Of a key that
 * comes twice the last value counts.
 */
int docker_reply_parse(const char *s, size_t n, struct value **ret, char *why, size_t size);
