/* SPDX-License-Identifier: Apache-2.0 */
/* What the pages of struct ops share. */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/graph_view.h"
#include "agent/ops/ops.h"

#define OPS_MAX_REPLY  (32u << 20)
#define OPS_REFRESH_MS 60000

struct ops {
	struct ops_options o;
	char *prefix; /* "/" or "/x/": begins and ends with a slash */
	struct http_server *server;
	struct loop_source *timer; /* certificates */
	const struct graph *graph; /* borrowed; NULL: nothing runs */
	bool ready, last_ok;
	char hash[2 * 32 + 1];		 /* of the configuration; "" unknown */
	uint64_t started_ns, last_ok_ns; /* CLOCK_REALTIME */
	uint64_t failures, scrape_ns, scrapes;
};

/* ops_json.c. Valid JSON whatever the bytes are. */
void json_string(struct buf *b, const char *s, size_t len);
void json_cstr(struct buf *b, const char *s);
/* A component as Alloy's API shows it (internal/component/component_provider.go and
 * syntax/encoding/alloyjson): with `detail` its arguments, exports and debug information. */
void json_component(struct buf *b, const struct graph_view *v, bool detail);

/* ops_pages.c: for people. */
void html_text(struct buf *b, const char *s);
void ops_page(const struct ops *o, struct buf *b);
/* The targets of all profilers, as JSON or as a table of plain text. */
void ops_targets_json(const struct ops *o, struct buf *b);
void ops_targets_text(const struct ops *o, struct buf *b);

/* ops_metrics.c */
int ops_metrics(struct ops *o, struct buf *b);

/* ops_settings.c: applies the block http {} of the graph. What can not be applied is logged, and
 * what was there stays; then a negative errno. */
int ops_apply_settings(struct ops *o);
