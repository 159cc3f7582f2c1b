/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pack200's UNSIGNED5 as HotSpot writes numbers into tables of lines and scopes:
 * compressedStream.hpp of OpenJDK 8u504, unsigned5.hpp from 20 on.
 */
#pragma once

#include "agent/base/cursor.h"

#define UNSIGNED5_EXCLUDED_FROM 20 /* JDK-8276422: no byte is 0 */

/* How many of the lowest bytes this version does not use. */
static inline uint32_t hotspot_excluded(uint32_t version)
{
	return version >= UNSIGNED5_EXCLUDED_FROM ? 1 : 0;
}

static inline uint32_t hotspot_unsigned5(struct cursor *c, uint32_t excluded)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < 5; i++) {
		uint32_t b = (uint32_t)cursor_u8(c) - excluded;

		sum += b << (6 * i);
		if (c->bad || b < 192 - excluded)
			break;
	}
	return sum;
}
