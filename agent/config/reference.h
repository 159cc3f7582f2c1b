/* SPDX-License-Identifier: Apache-2.0 */
/* What a component takes and gives, for people, from the table that its arguments are decoded by.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/component.h"

/* One component as Markdown: what it is for, arguments, blocks, exports. `level` is that of its
 * heading, from 1. 0 or -ENOMEM. */
int reference_component(const struct component_type *t, unsigned int level, struct buf *ret);
/* All components as one page, with a table of contents. */
int reference_page(const struct component_type *const *types, size_t n, struct buf *ret);
/* The first option without a line of help, "component: block.option", into to; false: all have. */
bool reference_missing(const struct component_type *t, char *to, size_t size);
