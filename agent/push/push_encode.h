/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One profile as a push.v1.PushRequest (grafana/pyroscope api/push/v1/push.proto, 3fe6a457), and
 * the rules its labels must keep so that the server takes them.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/labels.h"

/* Limits of a Pyroscope server with default settings. */
#define PUSH_MAX_LABELS	     30
#define PUSH_MAX_LABEL_NAME  1024
#define PUSH_MAX_LABEL_VALUE 2048

struct push_label_losses {
	size_t cut, dropped; /* values that were too long, labels that were too many */
};

/*
 * What is sent for the labels of a profile: names that start with "__" go (but __name__ and
 * __delta__), external ones win, names keep [a-zA-Z0-9_.] only, values become valid UTF-8, what
 * is too long is cut, what is too many is dropped. -EINVAL without a __name__, -ENOMEM.
 */
int push_labels(const struct label *in, size_t n, const struct label_set *external,
		struct label_set *ret, struct push_label_losses *ret_losses);
/* Appends the request; b->failed tells whether it fitted. */
void push_encode(const struct label_set *labels, const uint8_t *pprof, size_t bytes, struct buf *b);
/*
 * The query of a request to /ingest: `name` as the server's text form "service{a=b,c=d}", then
 * what else the client asked with. In values ',', '{' and '}' become '_': the form cannot quote
 * them. NULL without memory or when it is larger than PUSH_MAX_QUERY.
 */
char *push_ingest_query(const struct label_set *labels, const char *query);
#define PUSH_MAX_QUERY (256u << 10)
