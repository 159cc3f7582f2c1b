/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The component pyroscope.enrich: copies labels of targets onto the profiles that pass through it,
 * where a label of both has the same value (grafana/alloy internal/component/pyroscope/enrich,
 * 66ebea856dff). Experimental there, and so here.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type pyroscope_enrich_type;
