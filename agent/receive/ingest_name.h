/* SPDX-License-Identifier: Apache-2.0 */
/* The parameter `name` of /ingest: "app{key=value,key=value}" (grafana/pyroscope
 * api/model/labelset, 3fe6a457). */
#pragma once

#include "agent/labels.h"

/*
 * The labels, the part before the brace as __name__. -EINVAL with the reason in why: no name, or
 * a character that may not be in a name or a key. -ENOMEM.
 */
int ingest_name_parse(const char *name, struct label_set *ret, char *why, size_t size);
/*
 * What pyroscope.receive_http of Alloy does with the labels of each profile: without a service_name
 * that is __name__, with one __name__ is kept as app_name. -ENOMEM.
 */
int ingest_name_service(struct label_set *labels);
