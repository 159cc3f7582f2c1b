/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of targets in JSON, or, when the first byte is none of JSON's, in YAML. */
#include "agent/components/target_groups.h"
#include "agent/config/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(value_list_done) struct value_list l = {0};
	_cleanup_value_ struct value *v = NULL;
	bool json = size && (data[0] == '[' || data[0] == '{');
	char why[64];

	if ((json ? data_from_json : data_from_yaml)((const char *)data, size, &v, why,
						     sizeof(why)) == 0)
		(void)target_groups_read(v, "__meta_filepath", "x", &l, why, sizeof(why));
	return 0;
}
