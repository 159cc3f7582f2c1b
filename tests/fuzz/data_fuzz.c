/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and YAML to values. What was read is written as JSON and read again: it must be the same,
 * but for numbers that JSON does not have.
 */
#include <assert.h>
#include <math.h>

#include "agent/config/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NaN and infinity become null, integers beyond 2^53 floats, a large value is cut by the buffer. */
static bool survives(const struct value *v)
{
	switch (v->kind) {
	case VALUE_NUMBER:
		return v->n.kind == NUMBER_FLOAT ? isfinite(v->n.f)
						 : fabs(number_float(v->n)) < 0x1p53;
	case VALUE_ARRAY:
		for (size_t i = 0; i < v->n_items; i++) {
			if (!survives(v->items[i]))
				return false;
		}
		return true;
	case VALUE_OBJECT:
		for (size_t i = 0; i < v->n_fields; i++) {
			if (!survives(v->fields[i].value))
				return false;
		}
		return true;
	case VALUE_NULL:
	case VALUE_STRING:
	case VALUE_BOOL:
	case VALUE_FUNCTION:
	case VALUE_CAPSULE:
		return true;
	}
	return false;
}

static void check(const struct value *v)
{
	_cleanup_buf_ struct buf b = BUF_INIT(1u << 20);
	_cleanup_value_ struct value *again = NULL;
	char why[200];

	data_to_json(v, &b);
	if (b.failed || !survives(v))
		return;
	assert(data_from_json((const char *)b.data, b.len, &again, why, sizeof(why)) >= 0);
	assert(value_equal(v, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_value_ struct value *json = NULL, *yaml = NULL;
	char why[200];

	if (data_from_json((const char *)data, size, &json, why, sizeof(why)) >= 0)
		check(json);
	if (data_from_yaml((const char *)data, size, &yaml, why, sizeof(why)) >= 0)
		check(yaml);
	return 0;
}
