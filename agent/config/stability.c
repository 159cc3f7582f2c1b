/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config/stability.h"

#include <errno.h>
#include <string.h>

#include "agent/base/macro.h"

static const char *const names[] = {"generally-available", "public-preview", "experimental"};

int stability_parse(const char *name, enum stability *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i])) {
			*ret = (enum stability)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *stability_name(enum stability s)
{
	return names[s];
}
