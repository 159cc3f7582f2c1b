/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /proc/PID/cgroup. An id that is found stands in the text. */
#include <stdlib.h>
#include <string.h>

#include "discovery/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[CGROUP_ID_MAX + 1];

	if (cgroup_container_id((const char *)data, size, id) == 0 &&
	    (strlen(id) > CGROUP_ID_MAX || !memmem(data, size, id, strlen(id))))
		abort();
	if (cgroup_path_id((const char *)data, size, id) == 0 && strlen(id) > CGROUP_ID_MAX)
		abort();
	return 0;
}
