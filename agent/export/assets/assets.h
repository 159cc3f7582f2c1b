/* SPDX-License-Identifier: Apache-2.0 */
/* The files of this directory as the build embeds them; embed.py writes the definitions. */
#pragma once

#include <stddef.h>

struct asset {
	const char *data; /* NUL-terminated, the NUL is not counted */
	size_t len;
	const char *sha256; /* of the data, base64: as a Content-Security-Policy names it */
};

extern const struct asset asset_page, asset_picture, asset_style, asset_script;
