/* SPDX-License-Identifier: Apache-2.0 */
/* The component discovery.kubernetes: pods, nodes, services... of a cluster as targets. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_kubernetes_type;
