/* SPDX-License-Identifier: Apache-2.0 */
/* How settled a feature is; --stability.level says what a configuration may use. */
#pragma once

enum stability { STABILITY_GA, STABILITY_PREVIEW, STABILITY_EXPERIMENTAL };

/* "generally-available", "public-preview", "experimental". -EINVAL. */
int stability_parse(const char *name, enum stability *ret);
const char *stability_name(enum stability s);
