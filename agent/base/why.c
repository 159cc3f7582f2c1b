/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/why.h"

#include <stdarg.h>

int why_set(int r, char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return r;
}
