/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.file: targets from JSON and YAML files (target_groups.h), followed while they change.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type discovery_file_type;
