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

struct receiver {
	/*
	 * One gzip pprof with its series labels (including __name__ and service_name; names that
	 * start with "__" are dropped by the sender). Everything is borrowed for the call only.
	 * time_ns: start of the profile, CLOCK_REALTIME. Never blocks; a receiver that can not
	 * take it counts the loss itself.
	 */
	void (*append)(struct receiver *self, const struct label *labels, size_t n_labels,
		       const uint8_t *pprof, size_t bytes, uint64_t time_ns);
};
