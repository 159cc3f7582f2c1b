/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The component pyroscope.java, as far as it is built: its arguments are decoded and checked
 * (grafana/alloy internal/component/pyroscope/java, 66ebea856dff), nothing is profiled.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type pyroscope_java_type;
