/* SPDX-License-Identifier: Apache-2.0 */
/* The query of somebody's /ingest request: whatever it holds, the name that goes on is ours. */
#include <stdlib.h>
#include <string.h>

#include "agent/http/escape.h"
#include "agent/push/push_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many parameters the server takes for the name. */
static size_t names(const char *query)
{
	size_t count = 0;

	while (*query) {
		size_t n = strcspn(query, "&"), key = MIN(strcspn(query, "="), n);
		char *to = malloc(key + 1);

		if (!to)
			abort();
		http_unescape(query, key, true, to);
		count += !strcmp(to, "name");
		free(to);
		query += n + (query[n] == '&');
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_labels_ struct label_set labels = {0};
	char *query = strndup((const char *)data, size), *made;

	if (!query)
		return 0;
	label_set_put(&labels, "__name__", "svc");
	label_set_put(&labels, "value", query);
	made = push_ingest_query(&labels, query);
	if (made && (strncmp(made, "name=svc%7B", 11) != 0 || names(made) != 1))
		abort();
	free(made);
	free(query);
	return 0;
}
