/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration text as `fmt` writes it, in the style of Alloy's formatter (grafana/alloy
 * syntax/printer, read at 66ebea856dff): tabs, aligned "=" and comments, one statement a line, a
 * blank line before a block, commas at the end of lists over several lines. Line breaks inside of
 * lists, blank lines and comments stay where they are. Formatting what was formatted changes
 * nothing.
 */
#pragma once

#include "agent/base/buf.h"
#include "agent/config/parser.h"

/* Appends the text of the file. 0, -ENOMEM, or -E2BIG over the buffer's maximum. */
int format_file(const struct ast_file *f, struct buf *ret);
