/* SPDX-License-Identifier: Apache-2.0 */
/* What a token server answers: the first byte chooses the content type. */
#include <stdlib.h>
#include <string.h>

#include "agent/http/oauth2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *value = NULL, why[128] = "";
	uint32_t expires_s;
	int r;

	if (!size)
		return 0;
	r = oauth2_parse_reply(data[0] & 1 ? "text/plain" : "application/json",
			       (const char *)data + 1, size - 1, &value, &expires_s, why,
			       sizeof(why));
	/* Whatever came is fit for a header, or it is refused with a reason. */
	if (r < 0 ? !*why : !value || strpbrk(value, "\r\n"))
		abort();
	free(value);
	return 0;
}
