/* SPDX-License-Identifier: Apache-2.0 */
/* The top-level blocks that are settings of the agent and no components. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type settings_livedebugging, settings_logging, settings_remotecfg,
	settings_tracing;
