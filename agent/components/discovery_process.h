/* SPDX-License-Identifier: Apache-2.0 */
/* The component discovery.process: the processes of this host as targets. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_process_type;
