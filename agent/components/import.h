/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The components import.file, import.string, import.http and import.git: each exports the texts of
 * a module, {files = [{name, text}], dir}, whose declare blocks the graph makes available under the
 * label of the import (names and defaults: grafana/alloy internal/runtime/internal/importsource,
 * 66ebea856dff). import.git is known and refused.
 */
#pragma once

#include "agent/config/component.h"

extern const struct component_type import_file_type, import_string_type, import_http_type,
	import_git_type;

/* What an import exports: takes files (a list of import_text()); dir NULL: that of the importing
 * module. NULL without memory. */
struct value *import_exports(struct value *files, const char *dir);
struct value *import_text(const char *name, const char *text, size_t len);
