/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of block that a configuration may have, in one array. */
#pragma once

#include "agent/config/component.h"

const struct component_type *const *component_registry(size_t *ret_n);
