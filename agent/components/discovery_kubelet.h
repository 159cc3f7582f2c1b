/* SPDX-License-Identifier: Apache-2.0 */
/* The component discovery.kubelet: the pods of this node as targets, from its kubelet. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_kubelet_type;
