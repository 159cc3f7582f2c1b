/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of the flame graph page: one JSON object that holds a string table, the frames and the
 * nodes of the call tree as flat arrays. Its keys are explained in assets/model.js, which reads it.
 * What is written is inert wherever the page puts it: no '<', '>', '&', no control characters.
 */
#pragma once

#include "agent/export/tree.h"

struct page {
	const struct profile *profile;
	struct frames frames;
	struct tree tree;
	struct profile_totals totals;
	uint64_t min_count; /* nodes with fewer samples are merged into FRAMES_OTHER */
	char *title;
};

void page_done(struct page *g);
/* max_nodes bounds the size of the output. 0, -ENOMEM, -E2BIG. */
int page_init(struct page *g, const struct profile *p, const char *title, size_t max_nodes);
/* 0 or -ENOMEM; the stream's error is the caller's to check. */
int page_write(const struct page *g, FILE *f);

#define _cleanup_page_ _cleanup_(page_done)
