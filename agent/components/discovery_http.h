/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.http: targets from a server that answers with target_groups.h in JSON. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_http_type;
