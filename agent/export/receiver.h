/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct receiver: where finished profiles go. A component that exports `receiver` (in the Alloy
 * sense) embeds one; a component with `forward_to` calls it.
 */
#pragma once

#include "agent/base/macro.h"

struct label {
	const char *name, *value;
};

/*
 * A request to /ingest as a client sent it: the body in whatever format the client chose, which
 * nobody on the way looks into. All is borrowed for the call.
 */
struct ingest {
	/* From the parameter `name`; __name__ is the name itself. What is sent on is built from
	 * these, not from the parameter. Not sorted. */
	const struct label *labels;
	size_t n_labels;
	const char *path;	  /* "/ingest" */
	const char *query;	  /* as it came, without "?"; "" when there was none */
	const char *content_type; /* "" when there was none; with its parameters (boundary) */
	const uint8_t *body;
	size_t bytes;
	uint64_t time_ns; /* when it came, CLOCK_REALTIME */
};

struct receiver {
	/*
	 * One pprof, in gzip unless a client sent it plain, with its series labels (including
	 * __name__ and service_name; names that start with "__" are dropped by the sender).
	 * Everything is borrowed for the call only. time_ns: start of the profile, CLOCK_REALTIME.
	 * Never blocks; a receiver that can not take it counts the loss itself.
	 */
	void (*append)(struct receiver *self, const struct label *labels, size_t n_labels,
		       const uint8_t *pprof, size_t bytes, uint64_t time_ns);
	/* NULL: it cannot take such requests; the caller counts them as dropped. */
	void (*ingest)(struct receiver *self, const struct ingest *in);
};
