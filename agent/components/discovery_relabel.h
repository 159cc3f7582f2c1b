/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.relabel of Grafana Alloy (66ebea856dff): a list of targets through relabelling rules.
 * Exports `output`, the targets that are left, and `rules`. When the rules take more than their
 * budget (RELABEL_STEPS...), the component is unhealthy and exports what it exported before:
 * half-relabelled targets never leave it.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_relabel_type;
