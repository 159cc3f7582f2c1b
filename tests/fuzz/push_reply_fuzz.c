/* SPDX-License-Identifier: Apache-2.0 */
/* What a server answers: two bytes of status, the rest is the body. */
#include <stdlib.h>
#include <string.h>

#include "agent/push/push_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct push_reply r = {.content_type = "application/json"};
	char why[320];

	if (size < 2)
		return 0;
	r.status = data[0] | data[1] << 8;
	r.body = (const char *)data + 2;
	r.len = size - 2;
	r.too_long = data[0] & 1;
	for (int i = 0; i < 2; i++) {
		(void)push_reply_judge(&r, i, why, sizeof(why));
		if (r.status != 200 && strnlen(why, sizeof(why)) >= sizeof(why))
			abort();
		r.content_type = "text/plain";
	}
	return 0;
}
