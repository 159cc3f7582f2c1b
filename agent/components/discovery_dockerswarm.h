/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.dockerswarm: its arguments; targets of a swarm are not built yet. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_dockerswarm_type;
