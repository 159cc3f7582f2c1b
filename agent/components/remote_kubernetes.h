/* SPDX-License-Identifier: Apache-2.0 */
/* The components remote.kubernetes.secret and remote.kubernetes.configmap: the data of one. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type remote_kubernetes_secret_type;
extern const struct component_type remote_kubernetes_configmap_type;
