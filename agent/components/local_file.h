/* SPDX-License-Identifier: Apache-2.0 */
/* local.file: the contents of a file, for other components; followed while it changes. */
#pragma once

#include "agent/config/component.h"

extern const struct component_type local_file_type;
