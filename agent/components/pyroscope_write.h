/* SPDX-License-Identifier: Apache-2.0 */
/* The component pyroscope.write: exports a receiver whose profiles go to HTTP endpoints. */
#pragma once

#include "agent/config/component.h"
#include "agent/export/receiver.h"
#include "agent/push/push.h"

struct write_component {
	struct component base;
	struct receiver receiver; /* exported; the same for the component's whole life */
	struct push *push;
};

extern const struct component_type pyroscope_write_type;
