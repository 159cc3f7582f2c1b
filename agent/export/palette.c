/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/export/palette.h"

#include <math.h>
#include <string.h>

#include "agent/base/hash.h"

#define SHADES 3u

/* In OKLCH (B. Ottosson, 2020), where equal lightness looks equally light whatever the hue: names
 * stay readable on all of them, and no module shouts. */
static const struct palette_family {
	unsigned int hues;
	double from, to; /* degrees */
	double chroma, light, dark;
} families[] = {
	[PROFILE_NATIVE] = {12, 22, 98, 0.115, 0.825, 0.735},
	[PROFILE_KERNEL] = {4, 262, 298, 0.075, 0.805, 0.700},
	[PROFILE_JIT] = {4, 138, 162, 0.110, 0.835, 0.740},
	[PROFILE_REASON] = {1, 85, 85, 0.004, 0.850, 0.640},
	[PROFILE_COMM] = {1, 75, 75, 0.016, 0.885, 0.790},
	[PROFILE_MANAGED] = {6, 190, 240, 0.095, 0.835, 0.740},
};
_Static_assert(ARRAY_SIZE(families) == PROFILE_KIND_MAX, "one family a kind");

size_t palette_size(void)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		n += (size_t)families[i].hues * SHADES;
	return n;
}

static uint32_t palette_channel(double linear)
{
	double v = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;

	return (uint32_t)lround(255 * fmin(fmax(v, 0), 1));
}

/* OKLab to sRGB; the matrices are those of the definition. */
static uint32_t palette_convert(double lightness, double chroma, double degrees)
{
	double a = chroma * cos(degrees * M_PI / 180), b = chroma * sin(degrees * M_PI / 180);
	double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
	double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
	double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);

	return palette_channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s) << 16 |
	       palette_channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s) << 8 |
	       palette_channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

uint32_t palette_rgb(size_t index, bool dark)
{
	const struct palette_family *f = families;
	unsigned int hue, shade;

	for (; index >= (size_t)f->hues * SHADES; f++)
		index -= (size_t)f->hues * SHADES;
	hue = (unsigned int)index / SHADES;
	shade = (unsigned int)index % SHADES;
	return palette_convert((dark ? f->dark : f->light) + 0.022 * ((double)shade - 1), f->chroma,
			       f->from +
				       (f->hues > 1 ? (f->to - f->from) * hue / (f->hues - 1) : 0));
}

size_t palette_index(enum profile_kind kind, const char *module, const char *name)
{
	size_t first = 0, hue = hash_bytes(module, strlen(module)) % families[kind].hues;

	for (size_t i = 0; i < kind; i++)
		first += (size_t)families[i].hues * SHADES;
	return first + hue * SHADES + hash_bytes(name, strlen(name)) % SHADES;
}
