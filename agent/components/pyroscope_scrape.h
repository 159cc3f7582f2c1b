/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The component pyroscope.scrape, as far as it is built: its arguments are decoded and checked
 * (grafana/alloy internal/component/pyroscope/scrape, 66ebea856dff), nothing is scraped.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type pyroscope_scrape_type;
