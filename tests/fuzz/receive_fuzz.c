/* SPDX-License-Identifier: Apache-2.0 */
/* What clients send to pyroscope.receive_http: the first byte says what, gzip before it or not. */
#include <assert.h>
#include <string.h>

#include "agent/export/gunzip.h"
#include "agent/receive/ingest_name.h"
#include "agent/receive/push_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(const struct label_set *labels, const uint8_t *profile, size_t n, void *data)
{
	size_t *sum = data;

	for (size_t i = 0; i < labels->n; i++)
		*sum += strlen(labels->v[i].name) + strlen(labels->v[i].value);
	for (size_t i = 0; i < n; i++)
		*sum += profile[i];
	return 0;
}

static void take_name(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *name = strndup((const char *)data, size);
	_cleanup_labels_ struct label_set set = {0};
	char why[64];

	if (name && ingest_name_parse(name, &set, why, sizeof(why)) >= 0) {
		assert(ingest_name_service(&set) >= 0);
		assert(label_set_get(&set, "service_name"));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf plain = BUF_INIT(1u << 20);
	char why[64];
	size_t sum = 0;

	if (!size)
		return 0;
	switch (*data) {
	case 'n':
		take_name(data + 1, size - 1);
		break;
	case 'j':
		(void)push_decode_json(data + 1, size - 1, look, &sum, why, sizeof(why));
		break;
	case 'z':
		if (gunzip(&plain, data + 1, size - 1) >= 0)
			(void)push_decode_proto(buf_cstr(&plain), plain.len, look, &sum, why,
						sizeof(why));
		break;
	default:
		(void)push_decode_proto(data + 1, size - 1, look, &sum, why, sizeof(why));
		break;
	}
	return 0;
}
