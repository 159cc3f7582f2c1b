/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pyroscope.relabel of Grafana Alloy (66ebea856dff): a receiver that passes profiles on with
 * their labels relabelled, or drops them. Names are the classic ones: `replace` writes no label
 * with a dot in its name. A profile is dropped when a rule says so, when no label is left, and
 * when the rules would take more than RELABEL_STEPS for it (the component is unhealthy then).
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type pyroscope_relabel_type;
