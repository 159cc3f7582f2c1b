/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The colours of frames: a family of hues for each kind, the hue inside it from the module, the
 * shade from the function's name. The same function has the same colour in every picture.
 */
#pragma once

#include "agent/export/profile.h"

/* Colours that exist; every index is below. */
size_t palette_size(void);
/* 0xRRGGBB, for a light or a dark page. Both carry dark text. */
uint32_t palette_rgb(size_t index, bool dark);
size_t palette_index(enum profile_kind kind, const char *module, const char *name);
