/* SPDX-License-Identifier: Apache-2.0 */
/* string.format() and json_path(): the first line is the format and the path, the rest is JSON,
 * whose elements are the arguments. */
#include <string.h>

#include "agent/config/data.h"
#include "agent/config/json_path.h"
#include "agent/config/string_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data, *line = size ? memchr(s, '\n', size) : NULL;
	_cleanup_value_ struct value *v = NULL, *found = NULL;
	_cleanup_buf_ struct buf b = BUF_INIT(4u << 20);
	size_t n = line ? (size_t)(line - s) : 0;
	char why[200];

	if (!line || data_from_json(line + 1, size - n - 1, &v, why, sizeof(why)) < 0)
		return 0;
	(void)json_path(v, s, n, &found, why, sizeof(why));
	if (v->kind == VALUE_ARRAY)
		string_format(s, n, v->items, v->n_items, &b);
	return 0;
}
